# Brings a level to what its names say, in waves; each wave waits for the health
# of the one before. Run it on the master, after its tree changed or a host came:
#
#     salt-run state.orchestrate orch.up
#
# Only hosts whose keys are accepted take part. Where the tree and the hosts are
# those of the last run, pillar='{"sync": false}' saves giving everybody the
# site's Python and a certificate again, which takes longer than the rest.
{%- set ids = salt["site_hosts.accepted"]() %}
{%- set master = salt["site_hosts.accepted"](roles="salt") %}
{%- set waves = [
      ("the master itself, the sources and the databases", ["salt", "source", "db"]),
      (
        "the keystores, mail, the search engine and the accounts",
        ["memcache", "redis", "mail", "elastic", "accounts"],
      ),
      ("the apps", ["app", "blog"]),
      ("the frontends", ["frontend"]),
    ] %}

every accepted host answers:
  salt.function:
    - name: test.ping
    - tgt: {{ ids | json }}
    - tgt_type: list
    - timeout: 30
    - failhard: True
    - retry:
        attempts: 4
        interval: 3

{%- if pillar.get("sync", True) %}

every host has the site's Python:
  site_hosts.synchronized:
    - hosts: {{ ids | json }}
    - failhard: True

# Before the master's own highstate, which renews them: it has one, too.
the master has a certificate for every host:
  salt.state:
    - sls: [ca]
    - tgt: {{ master | json }}
    - tgt_type: list
    - failhard: True
{%- endif %}

every host has told its address:
  salt.function:
    - name: mine.update
    - tgt: {{ ids | json }}
    - tgt_type: list
    - failhard: True
{% for wave, roles in waves %}
{%-   set members = [] %}
{%-   for role in roles %}{% do members.extend(salt["site_hosts.accepted"](roles=role)) %}{% endfor %}
{%-   if members %}
{%-     set databases = [] %}
{%-     if "db" in roles %}{% set databases = salt["site_hosts.accepted"](roles="db") %}{% endif %}
{%-     if databases %}
# A highstate never starts a cluster that has stopped as a whole: that takes a
# look at all of its hosts. Nothing is done to one that runs, or that is new.
the databases run from the last write that any of them holds:
  site_galera.cluster_running:
    - hosts: {{ databases | json }}
    - failhard: True

{%     endif %}
{%-     set engines = [] %}
{%-     if "elastic" in roles %}{% set engines = salt["site_hosts.accepted"](roles="elastic") %}{% endif %}
{%-     if engines | length > 1 %}
# A node never founds a cluster of several by itself: each could found its own.
the first search node may found a cluster where there never was one:
  site_opensearch.cluster_founded:
    - hosts: {{ engines | json }}
    - failhard: True

{%     endif %}
{{ wave }} are as their names say:
  salt.state:
    - highstate: True
    - tgt: {{ members | json }}
    - tgt_type: list
    - failhard: True

every daemon of {{ wave }} runs and answers:
  salt.function:
    - name: site_health.wait
    - tgt: {{ members | json }}
    - tgt_type: list
    - timeout: 90
    - kwarg: {seconds: 60}
    - failhard: True
{%-     if "source" in roles and salt["site_hosts.accepted"](roles="source") %}

# Before the hosts that run them: their highstate takes what is live.
every app has a release:
  site_deploy.all_have_releases
{%     endif %}
{%     if databases %}
every database is in one cluster:
  site_galera.cluster_healthy:
    - hosts: {{ databases | json }}
    - failhard: True

# A changed configuration or certificate is taken by one node after the other.
every database runs with its configuration:
  site_galera.cluster_current:
    - hosts: {{ databases | json }}
    - files:
      - /etc/mysql/mariadb.conf.d/70-saltworks.cnf
      - /etc/ssl/site/host.crt
      - /etc/ssl/site/host.key
      - /etc/ssl/site/ca.crt
    - failhard: True
{%     endif %}
{%-     if engines | length > 1 %}
# One after the other, each only while the cluster is whole. A single node was
# started again by its highstate.
every search node runs with its configuration:
  site_opensearch.cluster_current:
    - hosts: {{ engines | json }}
    - files:
      - /etc/opensearch/opensearch.yml
      - /etc/opensearch/jvm.options
      - /etc/systemd/system/opensearch.service
    - failhard: True
{%     endif %}
{%-   endif %}
{%- endfor %}
