{#- Chosen by the authenticated id alone. An id that does not parse raises here,
    and the minion gets no pillar at all. -#}
{%- set host = salt["site_hosts.parse"](opts["id"]) -%}
base:
  "*":
    - common
    - level.{{ host.level }}
{%- for role in host.roles %}
    - role.{{ role }}
{%- endfor %}
  # A block of its own: ignore_missing makes every file of its block optional.
  "L@{{ host.id }}":
    - match: compound
    - ignore_missing: true
    - host.{{ host.id | replace(".", "_") }}
