# Forgets a host that is gone for good: its key, and what the master keeps of it
# (grains, pillar, mine). Run it on the master, then orch.up, which takes the
# host out of every file:
#
#     salt-run state.orchestrate orch.forget pillar='{"id": "app3.staging.wpd.internal"}'
#
# The host itself is not touched.
{%- set id = pillar.get("id") %}
{%- if not id %}
{%-   do raise("say which host: pillar='{\"id\": \"<host id>\"}'") %}
{%- endif %}

the key of {{ id }} is deleted:
  salt.wheel:
    - name: key.delete
    - match: {{ id | json }}
    - failhard: True
{%- for bank in ["grains", "pillar", "mine"] %}

the {{ bank }} of {{ id }} are forgotten:
  salt.runner:
    - name: cache.flush
    - bank: {{ bank }}
    - key: {{ id | json }}
    - failhard: True
{%- endfor %}
