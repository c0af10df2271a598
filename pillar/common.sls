# What every host of every level has. No secrets here.
{%- import_yaml "static-sites.yaml" as static_sites %}
{%- set level = salt["site_hosts.parse"](opts["id"] | regex_replace("_master$", "")).level %}
registry: {{ salt["site_hosts.registry"]() | json }}
sites: {{ salt["site_hosts.sites"](level) | json }}
static-sites:
{%- for name, site in static_sites.items() %}
  {{ name }}: {title: {{ site.title | json }}}
{%- endfor %}

nftables:
  # Where people come from who may use what the registry opens to `operators`.
  # Networks in CIDR; `gateway` is the host's own default gateway.
  operators: []

monit:
  programs:
    # Mail that waits for a quarter of an hour, or comes back, on any host. Twice in a
    # row: while postfix starts, its queue cannot be read.
    mail-queue:
      command: /usr/local/lib/saltworks/mail-queue-check --age 900 --bounces 5 --minutes 30
      every: 15
      times: 2
    # A certificate of this host's that ends within a month; asked once an hour.
    certificates:
      command: /usr/local/lib/saltworks/certificates-check 30 /etc/ssl/site
      every: 360
      times: 1

# A network of caches of somebody else in front of the frontends. A level that has
# one says so in pillar/level/<level>.sls:
#   enabled: true
#   networks: [...]                  from where it asks the frontends, in CIDR
#   client_header: ...               in which it tells the client's address
#   key_header: ...                  in which it sends the secret cdn-key; whoever
#                                    does not is refused
#   purge: [host:port]               where apps send their PURGE, beside the frontends
cdn:
  enabled: false
