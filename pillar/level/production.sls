site:
  level: production
  domain: webplatform.org
  size: full

nginx:
  hsts_max_age: 31536000

mediawiki:
  indexed: true

www:
  indexed: true

wordpress:
  indexed: true

nftables:
  # An example: the operators' own networks go here before the first apply, or
  # only who is logged in already stays in.
  operators: [192.0.2.0/24]

postfix:
  deliver: outside
  mailbox:
    days: 90
  aliases:
    # An example: the address at which the operators read their mail elsewhere.
    operators: [operators, hostmaster@example.org]

rspamd:
  lookups: true

lemonldap-ng:
  second_factor:
    # Operators and administrators cannot sign in by a password alone.
    privileged: true
