site:
  level: staging
  domain: webplatformstaging.org

nginx:
  hsts_max_age: 86400
