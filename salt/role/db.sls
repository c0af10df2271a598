# Role db: the databases of all apps, a Galera cluster of MariaDB.
# Owner: data
include:
  - base
  - tls
  - mariadb
