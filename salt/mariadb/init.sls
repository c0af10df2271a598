{%- import_yaml "mariadb/defaults.yaml" as defaults %}
{%- set mariadb = salt["slsutil.merge"](defaults, pillar.get("mariadb", {}), merge_lists=False) %}
{%- set secrets = mariadb.pop("secrets", {}) %}
{%- set address = salt["site_hosts.address"]() %}
{%- set host = salt["site_hosts.parse"]() %}
{%- if not mariadb.galera.peers %}
{%-   do raise("mariadb: pillar mariadb:galera:peers must name the role of the cluster's hosts") %}
{%- endif %}
{%- set peers = salt["site_hosts.peers"](mariadb.galera.peers) %}

include:
  - tls

mariadb-packages:
  pkg.installed:
    - pkgs: [mariadb-server, mariadb-backup, galera-4, socat, python3, python3-pymysql]
    - install_recommends: False

# The private key belongs to root and to this group.
mariadb-key-reader:
  group.present:
    - name: ssl-cert
    - system: True
    - addusers: [mysql]
    - require:
      - pkg: mariadb-packages
      - sls: tls

mariadb-config:
  file.managed:
    - name: /etc/mysql/mariadb.conf.d/70-saltworks.cnf
    - source: salt://mariadb/templates/saltworks.cnf.j2
    - template: jinja
    - context: {{ {
        "mariadb": mariadb,
        "address": address,
        "name": host.name,
        "peers": peers,
        "donors": peers | map(attribute="name") | reject("equalto", host.name) | list | reverse | list,
        "cluster": mariadb.galera.name ~ "-" ~ host.level,
        "provider_options": salt["site_galera.provider_options"](mariadb.galera, mariadb.tls, address),
      } | json }}
    - user: root
    - group: root
    - mode: "0644"
    - require:
      - pkg: mariadb-packages

mariadb-unit:
  file.managed:
    - name: /etc/systemd/system/mariadb.service.d/saltworks.conf
    - source: salt://mariadb/files/mariadb.service.conf
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True
    - require:
      - pkg: mariadb-packages

# --- the health agent: before the cluster, which is founded only when every
# --- other node can be asked whether there is one already

mariadb-health-user:
  user.present:
    - name: galera-health
    - system: True
    - usergroup: True
    - home: /nonexistent
    - createhome: False
    - shell: /usr/sbin/nologin

mariadb-health-program:
  file.managed:
    - name: /usr/local/lib/saltworks/galera-health
    - source: salt://mariadb/files/galera-health.py
    - user: root
    - group: root
    - mode: "0755"
    - makedirs: True
    - require:
      - pkg: mariadb-packages

# monit asks it.
mariadb-left-program:
  file.managed:
    - name: /usr/local/lib/saltworks/galera-left
    - source: salt://mariadb/files/galera-left
    - user: root
    - group: root
    - mode: "0755"
    - makedirs: True

mariadb-health-unit:
  file.managed:
    - name: /etc/systemd/system/galera-health.service
    - source: salt://mariadb/templates/galera-health.service.j2
    - template: jinja
    - context: {{ {"address": address, "port": mariadb.health.port} | json }}
    - user: root
    - group: root
    - mode: "0644"

mariadb-unit-reload:
  cmd.run:
    - name: systemctl daemon-reload
    - onchanges:
      - file: mariadb-unit
      - file: mariadb-health-unit

mariadb-health-service:
  service.running:
    - name: galera-health
    - enable: True
    - require:
      - cmd: mariadb-unit-reload
      - user: mariadb-health-user
    - watch:
      - file: mariadb-health-program
      - file: mariadb-health-unit

# --- the cluster

mariadb-enabled:
  service.enabled:
    - name: mariadb
    - require:
      - pkg: mariadb-packages

mariadb-member:
  site_galera.member:
    - name: {{ host.name }}
    - address: {{ address }}
    - peers: {{ peers | json }}
    - health_port: {{ mariadb.health.port }}
    - wait: {{ mariadb.galera.wait }}
    - require:
      - cmd: mariadb-unit-reload
      - file: mariadb-config
      - group: mariadb-key-reader
      - service: mariadb-enabled
      - service: mariadb-health-service

# --- what is in it

mariadb-user-galera-health:
  site_mariadb.user_present:
    - name: galera-health
    - host: localhost
    - unix_socket: True
    - require:
      - site_galera: mariadb-member
{%- for name, options in mariadb.databases | dictsort %}

mariadb-database-{{ name | replace("_", "-") }}:
  site_mariadb.database_present:
    - name: {{ name | json }}
    - character_set: {{ (options or {}).get("character_set", "utf8mb4") }}
    - collation: {{ (options or {}).get("collation", "utf8mb4_bin") }}
    - require:
      - site_galera: mariadb-member
{%- endfor %}
{%- for name, options in mariadb.users | dictsort %}

mariadb-user-{{ name | replace("_", "-") }}:
{%-   if options.get("state", "present") == "absent" %}
  site_mariadb.user_absent:
    - name: {{ name | json }}
    - host: "%"
    - require:
      - site_galera: mariadb-member
{%-   else %}
{%-     set privileges = {} %}
{%-     for database, granted in options.privileges | dictsort %}
{%-       do privileges.update({database ~ ".*": granted}) %}
{%-     endfor %}
  site_mariadb.user_present:
    - name: {{ name | json }}
    - host: "%"
    # Its hash only: no password is in the compiled states.
    - password_hash: {{ salt["site_mariadb.password_hash"](secrets.get(options.get("secret", name)), name) | json }}
    - tls: True
    - privileges: {{ privileges | json }}
    - require:
      - site_galera: mariadb-member
{%-     for database in options.privileges %}
{%-       if database in mariadb.databases %}
      - site_mariadb: mariadb-database-{{ database | replace("_", "-") }}
{%-       endif %}
{%-     endfor %}
{%-   endif %}
{%- endfor %}
