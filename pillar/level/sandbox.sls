site:
  level: sandbox
  domain: webplatform.test

nftables:
  operators: [gateway]

php-fpm:
  # A host of the sandbox sees the memory of the whole machine.
  memory_mb: 1024
