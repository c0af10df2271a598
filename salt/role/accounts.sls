# Role accounts: the directory of people, the portal where they sign in, the
# OpenID provider.
# Owner: platform
# The directory and the broker to the database come first: the portal asks both.
include:
  - base
  - tls
  - slapd
  - haproxy
  - nginx
  - lemonldap-ng
