site:
  level: staging
  domain: webplatformstaging.org
