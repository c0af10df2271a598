site:
  level: production
  domain: webplatform.org
