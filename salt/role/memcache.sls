# Role memcache: a keystore in memory, memcached protocol.
# Owner: platform
include:
  - base
  - memcached
