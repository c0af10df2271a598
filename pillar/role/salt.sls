# What every host with the role salt has.
{%- set level = salt["site_hosts.parse"](opts["id"]).level %}
{%- import_yaml "domains.yaml" as domains %}
ca:
  # Each frontend gets a certificate for each of them.
  domains: {{ (domains.get(level) or {}).keys() | sort | json }}
