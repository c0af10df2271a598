site:
  level: production
  domain: webplatform.org

nginx:
  hsts_max_age: 31536000

mediawiki:
  indexed: true
