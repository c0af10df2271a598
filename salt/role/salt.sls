# Role salt: the master of a level.
# Owner: platform
include:
  - base
  - ca
  - hook
  - salt-master
