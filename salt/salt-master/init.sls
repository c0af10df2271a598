# The master converges itself: first masterless, from the tree beside it, when
# there is no master yet (tools/ does so), then like any other host.
{%- import_yaml "salt-master/defaults.yaml" as defaults %}
{%- set master = salt["slsutil.merge"](defaults, pillar.get("salt-master", {})) %}

salt-master-config:
  file.managed:
    - name: /etc/salt/master.d/site.conf
    - source: salt://salt-master/files/site.conf
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True

# Engines are read when the master starts, and what they call.
salt-master-engines:
  file.managed:
    - name: /etc/salt/engines.sum
    - contents:
      - "# Managed by Saltworks: salt-master. Local changes are overwritten."
{%- for file in ["_engines/site_hook.py", "_modules/site_deploy.py"] %}
      - {{ file }} {{ salt["cp.hash_file"]("salt://" ~ file).hsum }}
{%- endfor %}
    - user: root
    - group: root
    - mode: "0644"

# The keyring with which the master reads the encrypted secrets of its level.
salt-master-keyring:
  file.directory:
    - name: /etc/salt/gpgkeys
    - user: root
    - group: root
    - mode: "0700"

# One folder for each host, handed to that host alone as pillar.
salt-master-host-files:
  file.directory:
    - name: /var/lib/saltworks/pki/hosts
    - user: root
    - group: root
    - mode: "0700"
    - makedirs: True

# What hosts returned and what was compiled for them: it may hold what they alone
# may read, and Salt writes most of it readable by all.
salt-master-cache:
  file.directory:
    - name: /var/cache/salt/master
    - user: root
    - group: root
    - mode: "0700"
    - makedirs: True

# Nobody else on this host reads pillar.
salt-master-trees:
  file.directory:
    - name: {{ master.trees }}
    - user: root
    - group: root
    - mode: "0700"

salt-master-unit:
  file.managed:
    - name: /etc/systemd/system/salt-master.service
    - source: salt://salt-master/files/salt-master.service
    - user: root
    - group: root
    - mode: "0644"

salt-master-unit-known:
  cmd.run:
    - name: systemctl daemon-reload
    - onchanges:
      - file: salt-master-unit

salt-master-service:
  service.running:
    - name: salt-master
    - enable: True
    - require:
      - cmd: salt-master-unit-known
      - file: salt-master-host-files
      - file: salt-master-keyring
      - file: salt-master-cache
    - watch:
      - file: salt-master-config
      - file: salt-master-engines
      - file: salt-master-unit
