# nutcracker: the keystores of the level, on localhost. README.md says what it sets up.
{%- import_yaml "nutcracker/defaults.yaml" as defaults %}
{%- set nutcracker = salt["slsutil.merge"](defaults, pillar.get("nutcracker", {})) %}
{%- set peers = {} %}
{%- for pool in nutcracker.pools.values() %}
{%-   do peers.update({pool.peers: salt["site_hosts.peers"](pool.peers)}) %}
{%- endfor %}

nutcracker-packages:
  pkg.installed:
    - pkgs: [nutcracker]

nutcracker-config:
  file.managed:
    - name: /etc/nutcracker/nutcracker.yml
    - source: salt://nutcracker/templates/nutcracker.yml.j2
    - template: jinja
    - context: {{ {"pools": salt["site_nutcracker.pools"](
        nutcracker.pools, nutcracker.pool, peers, nutcracker.get("secrets", {})
      )} | json }}
    # It holds the passwords of the redis pools.
    - user: nutcracker
    - group: nutcracker
    - mode: "0640"
    - show_changes: False
    - check_cmd: /usr/sbin/nutcracker --test-conf --conf-file
    - require:
      - pkg: nutcracker-packages

nutcracker-unit:
  file.managed:
    - name: /etc/systemd/system/nutcracker.service.d/saltworks.conf
    - source: salt://nutcracker/templates/nutcracker.service.conf.j2
    - template: jinja
    - context: {{ {"stats_port": nutcracker.stats_port, "stats_interval": nutcracker.stats_interval} | json }}
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True
    - require:
      - pkg: nutcracker-packages

nutcracker-service:
  service.running:
    - name: nutcracker
    - enable: True
    - watch:
      - file: nutcracker-config
      - file: nutcracker-unit
