#!jinja|yaml|gpg
# What every host with the role redis has. Sizes are the duty's: sessions.sls,
# cache.sls, jobs.sls, which come after this file.
{%- set host = salt["site_hosts.parse"](opts["id"]) %}
{%- import_yaml "secrets/" ~ host.level ~ "/secrets.yaml" as secrets %}
{%- if host.roles | length != 2 %}
{{ raise("a redis host has exactly one duty, as in redis-sessions1: " ~ host.id) }}
{%- endif %}
redis:
  # The own duty's password only: a cache host cannot open the sessions.
  secrets:
    app: {{ secrets["redis-" ~ host.roles[1]] | json }}
    operator: {{ secrets["redis-operator"] | json }}
