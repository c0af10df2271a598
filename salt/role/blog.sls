# Role blog: the blog, WordPress on php-fpm.
# Owner: apps
# The brokers come first: the blog's installation talks to the database.
include:
  - base
  - tls
  - haproxy
  - nutcracker
  - nginx
  - php-fpm
  - sso-gate
  - wordpress
