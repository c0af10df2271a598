# Role redis: a keystore in memory, redis protocol.
# Owner: platform
include:
  - base
  - redis
