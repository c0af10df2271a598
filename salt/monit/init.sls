{%- import_yaml "monit/defaults.yaml" as defaults %}
{%- set monit = salt["slsutil.merge"](defaults, pillar.get("monit", {})) %}

# logrotate turns the log by the rule that Debian's package of monit brings.
monit-packages:
  pkg.installed:
    - pkgs: [monit, logrotate, python3]

monit-resolver-check:
  file.managed:
    - name: /usr/local/lib/saltworks/check-resolver
    - source: salt://monit/files/check-resolver.py
    - makedirs: True
    - user: root
    - group: root
    - mode: "0755"
    - require:
      - pkg: monit-packages

# Last on the host: monit would start a daemon that is not set up yet.
monit-config:
  file.managed:
    - name: /etc/monit/monitrc
    - order: last
    - source: salt://monit/templates/monitrc.j2
    - template: jinja
    - context: {{ {
        "monit": monit,
        "address": salt["site_hosts.address"](),
        "host_id": opts["id"],
        "domain": pillar["site"]["domain"],
        "services": salt["site_registry.services"](),
      } | json }}
    - user: root
    - group: root
    - mode: "0600"
    - check_cmd: /usr/bin/monit -t -c
    - require:
      - pkg: monit-packages
      - file: monit-resolver-check

# The group comes with postfix: as late as the rest.
monit-unit:
  file.managed:
    - name: /etc/systemd/system/monit.service.d/saltworks.conf
    - order: last
    - source: salt://monit/files/monit.service.conf
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True
    - require:
      - pkg: monit-packages

# A reload is not enough for what its unit says.
monit-restart:
  service.running:
    - name: monit
    - order: last
    - require:
      - file: monit-config
    - watch:
      - file: monit-unit

monit-service:
  service.running:
    - name: monit
    - enable: True
    - reload: True
    - order: last
    - watch:
      - file: monit-config
