site:
  level: sandbox
  domain: webplatform.test

nftables:
  operators: [gateway]
