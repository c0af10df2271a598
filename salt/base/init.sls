# What every host has, whatever its role, in this order: names of hosts before
# whatever looks one up, people before the ssh that lets them in, and monit last,
# which watches what the others have started.
include:
  - packages
  - chrony
  - resolver
  - hosts
  - tls
  - users
  - openssh
  - nftables
  - unattended-upgrades
  - journald
  - logrotate
  - salt-minion
  - postfix
  - monit
