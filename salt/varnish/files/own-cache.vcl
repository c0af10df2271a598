# Managed by Saltworks: varnish. Local changes are overwritten.
#
# Stands after rules.vcl where no other network of caches stands before this one.

sub vcl_deliver {
    # How long this cache may keep a page is not for caches that nobody purges.
    if (resp.http.Cache-Control ~ "(?i)s-maxage") {
        set resp.http.Cache-Control = regsuball(resp.http.Cache-Control, "(?i)(^|,)\s*s-maxage=[^,]*", "");
        set resp.http.Cache-Control = regsub(resp.http.Cache-Control, "^[,\s]+", "");
        if (resp.http.Cache-Control == "") {
            unset resp.http.Cache-Control;
        }
    }
}
