# Managed by Saltworks: varnish. Local changes are overwritten.
sub private_recv {
}
