site:
  level: sandbox
  domain: webplatform.test
  size: small

site-pages:
  notice: This is a sandbox. What you write here may vanish.

nftables:
  operators: [gateway]
  fenced:
    # The package index of the machine that this runs on may have a private address.
    reach: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16]

php-fpm:
  # A host of the sandbox sees the memory of the whole machine.
  memory_mb: 1024

users:
  # Shows how a person is named. Nobody has the private half of this key: it is
  # a sentence in the shape of one.
  example-operator:
    full_name: Example Operator
    keys:
      - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEVYQU1QTEUgS0VZIE9OTFksIE5PQk9EWSBIQVMgSVQh example
    sudo: true

mariadb:
  buffer_pool_mb: 64
