site:
  level: demo
  domain: demo.test
  size: small

site-pages:
  notice: This is a sandbox. What you write here may vanish.

nftables:
  operators: [gateway]

php-fpm:
  # A host of a sandbox sees the memory of the whole machine.
  memory_mb: 1024

mariadb:
  buffer_pool_mb: 64
