site:
  level: demo
  domain: demo.test
  size: small

site-pages:
  notice: This is a sandbox. What you write here may vanish.

nftables:
  operators: [gateway]
  fenced:
    # The package index of the machine that this runs on may have a private address.
    reach: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16]

php-fpm:
  # A host of a sandbox sees the memory of the whole machine.
  memory_mb: 1024

mariadb:
  buffer_pool_mb: 64
