# Role app: the wiki, MediaWiki on php-fpm, and the search page.
# Owner: apps
# The brokers come first: the wiki's installation talks to the database.
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
