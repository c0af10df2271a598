{#- Chosen by the authenticated id alone. An id that does not parse raises here,
    and the minion gets no pillar at all. An orchestration renders under the
    master's own name and the suffix _master: it gets what is common, no secrets. -#}
{%- set runner = opts["id"].endswith("_master") -%}
{%- set host = salt["site_hosts.parse"](opts["id"] | regex_replace("_master$", "")) -%}
base:
  "*":
    - common
    - level.{{ host.level }}
{%- if not runner %}
{%-   for role in host.roles %}
    - role.{{ role }}
{%-   endfor %}
  # A block of its own: ignore_missing makes every file of its block optional.
  "L@{{ host.id }}":
    - match: compound
    - ignore_missing: true
    - host.{{ host.id | replace(".", "_") }}
{%- endif %}
