# Role salt: the master of a level.
# Owner: platform
include:
  - salt-minion
  - salt-master
