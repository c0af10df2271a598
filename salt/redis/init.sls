# redis: a keystore in memory. README.md beside this file says what it sets up.
{%- import_yaml "redis/defaults.yaml" as defaults %}
{%- set redis = salt["slsutil.merge"](defaults, pillar.get("redis", {})) %}
{%- set secrets = redis.pop("secrets", {}) %}

redis-packages:
  pkg.installed:
    - pkgs: [redis-server]

redis-users:
  file.managed:
    - name: /etc/redis/users.acl
    - source: salt://redis/templates/users.acl.j2
    - template: jinja
    # Hashes only: no password reaches the disk.
    - context: {{ {"users": [
        salt["site_redis.user"]("default", secrets.get("app"), redis.app_commands),
        salt["site_redis.user"]("operator", secrets.get("operator"), redis.operator_commands),
      ]} | json }}
    - user: redis
    - group: redis
    - mode: "0640"
    - show_changes: False
    - check_cmd: /bin/sh /usr/local/lib/saltworks/redis-check users
    - require:
      - pkg: redis-packages
      - file: redis-check

redis-config:
  file.managed:
    - name: /etc/redis/redis.conf
    - source: salt://redis/templates/redis.conf.j2
    - template: jinja
    - context: {{ {"redis": redis, "address": salt["site_hosts.address"]()} | json }}
    - user: redis
    - group: redis
    - mode: "0640"
    - check_cmd: /bin/sh /usr/local/lib/saltworks/redis-check config
    - require:
      - file: redis-users

redis-check:
  file.managed:
    - name: /usr/local/lib/saltworks/redis-check
    - source: salt://redis/files/redis-check
    - user: root
    - group: root
    - mode: "0755"
    - makedirs: True

redis-unit:
  file.managed:
    - name: /etc/systemd/system/redis-server.service.d/saltworks.conf
    - source: salt://redis/files/redis-server.service.conf
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True
    - require:
      - pkg: redis-packages

redis-service:
  service.running:
    - name: redis-server
    - enable: True
    - watch:
      - file: redis-config
      - file: redis-users
      - file: redis-unit
