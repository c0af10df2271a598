# Starts the databases again after all of them have stopped, from the host that
# holds the last write. Run it on the master:
#
#     salt-run state.orchestrate orch.db_recover
#
# Refuses when a database host does not answer. Where a cluster runs, only the
# missing hosts are started; where there never was one, nothing is done. What it
# would do:
#
#     salt-run state.orchestrate orch.db_recover test=True
{%- set hosts = salt["site_hosts.accepted"](roles="db") %}
{%- if not hosts %}
{%-   do raise("no host with the role db is accepted: there is nothing to recover") %}
{%- endif %}

the databases run from the last write that any of them holds:
  site_galera.cluster_running:
    - hosts: {{ hosts | json }}
    - failhard: True

every database is in one cluster:
  site_galera.cluster_healthy:
    - hosts: {{ hosts | json }}
    - failhard: True
