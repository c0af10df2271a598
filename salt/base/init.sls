# What every host has, whatever its role. People come before openssh, which lets
# them in; names of hosts before whatever a role looks up.
include:
  - packages
  - chrony
  - resolver
  - hosts
  - tls
  - users
  - openssh
  - unattended-upgrades
  - journald
  - logrotate
  - salt-minion
