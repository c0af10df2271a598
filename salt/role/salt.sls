# Role salt: the master of a level.
# Owner: platform
include:
  - base
  - ca
  - deploy
  - hook
  - release
  - salt-master
