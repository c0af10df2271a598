{#- opts["id"], not grains["id"]: the first is what the master knows this minion by. -#}
{%- set host = salt["site_hosts.parse"](opts["id"]) -%}
{%- set registry = salt["site_hosts.registry"]() -%}
base:
  "{{ host.id }}":
{%- for role in host.roles if registry.roles[role].kind == "service" %}
    - role.{{ role }}
{%- endfor %}
