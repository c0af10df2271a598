# Role frontend: the public edge, ends TLS and passes sites on to the app hosts.
# Owner: platform
include:
  - base
  - tls
  - nginx
  - www
