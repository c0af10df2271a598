# Role app: the wikis, MediaWiki on php-fpm, and the search page.
# Owner: apps
# The brokers come first: the wikis' installation talks to the database.
include:
  - base
  - tls
  - haproxy
  - nutcracker
  - nginx
  - php-fpm
  - sso-gate
  - mediawiki
  - site-search
