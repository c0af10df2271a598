# memcached: a keystore in memory. README.md beside this file says what it sets up.
{%- import_yaml "memcached/defaults.yaml" as defaults %}
{%- set memcached = salt["slsutil.merge"](defaults, pillar.get("memcached", {})) %}

memcached-packages:
  pkg.installed:
    - pkgs: [memcached]

memcached-config:
  file.managed:
    - name: /etc/memcached.conf
    - source: salt://memcached/templates/memcached.conf.j2
    - template: jinja
    - context: {{ {"memcached": memcached, "address": salt["site_hosts.address"]()} | json }}
    - user: root
    - group: root
    - mode: "0644"
    - require:
      - pkg: memcached-packages

memcached-unit:
  file.managed:
    - name: /etc/systemd/system/memcached.service.d/saltworks.conf
    - source: salt://memcached/files/memcached.service.conf
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True
    - require:
      - pkg: memcached-packages

memcached-service:
  service.running:
    - name: memcached
    - enable: True
    - watch:
      - file: memcached-config
      - file: memcached-unit
