# Starts the databases again after all of them have stopped, from the host that
# holds the last write. Run it on the master:
#
#     salt-run state.orchestrate orch.db_recover
#
# Refuses when a database host does not answer. Where a cluster runs, only the
# missing hosts are started; where there never was one, nothing is done. What it
# would do: salt-run site_galera.look '[db1.<level>…, db2.<level>…]'
{%- set hosts = salt["site_hosts.accepted"](roles="db") %}
{%- if not hosts %}
{%-   do raise("no host with the role db is accepted: there is nothing to recover") %}
{%- endif %}

the databases run from the last write that any of them holds:
  salt.runner:
    - name: site_galera.recover
    - kwarg: {{ {"hosts": hosts} | json }}
    - failhard: True

every database is in one cluster:
  salt.runner:
    - name: site_galera.healthy
    - kwarg: {{ {"hosts": hosts} | json }}
    - failhard: True
