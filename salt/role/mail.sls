# Role mail: the mail relay of the level, and outside production its sink.
# Owner: platform
include:
  - base
  - tls
