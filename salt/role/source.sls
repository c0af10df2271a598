# Role source: the git repositories of the apps, and the builder of their releases.
# Owner: platform
include:
  - base
  - tls
  - gitolite
  - cgit
  - upstreams
  - builder
