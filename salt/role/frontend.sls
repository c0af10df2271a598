# Role frontend: the public edge, ends TLS, caches, and shares requests among the apps' hosts.
# Owner: platform
include:
  - base
  - tls
  - varnish
  - haproxy
  - nginx
  - www
  - domains
