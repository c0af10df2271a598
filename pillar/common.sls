# What every host of every level has. No secrets here.
{%- import_yaml "sites.yaml" as sites %}
registry: {{ salt["site_hosts.registry"]() | json }}
sites: {{ sites | json }}

nftables:
  # Where people come from who may use what the registry opens to `operators`.
  # Networks in CIDR; `gateway` is the host's own default gateway.
  operators: []

monit:
  programs:
    # Mail that waits for a quarter of an hour, or comes back, on any host.
    mail-queue:
      command: /usr/local/lib/saltworks/mail-queue-check --age 900 --bounces 5 --minutes 30
      every: 30
