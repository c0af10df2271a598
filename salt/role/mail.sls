# Role mail: the way of all mail; keeps what stays in the level for people to read.
# Owner: platform
# The filter comes first: mail waits for it.
include:
  - rspamd
  - base
  - tls
  - mhonarc
