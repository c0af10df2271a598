site:
  level: staging
  domain: webplatformstaging.org
  size: full

nginx:
  hsts_max_age: 86400

site-pages:
  notice: This is a copy of the site for trials. What you write here may vanish.

nftables:
  # An example: the operators' own networks go here before the first apply, or
  # only who is logged in already stays in.
  operators: [192.0.2.0/24]

lemonldap-ng:
  second_factor:
    # Operators and administrators cannot sign in by a password alone.
    privileged: true
