{%- import_yaml "logrotate/defaults.yaml" as defaults %}
{%- set logrotate = salt["slsutil.merge"](defaults, pillar.get("logrotate", {})) %}

logrotate-packages:
  pkg.installed:
    - pkgs: [logrotate]

logrotate-config:
  file.managed:
    - name: /etc/logrotate.conf
    - source: salt://logrotate/templates/logrotate.conf.j2
    - template: jinja
    - context: {{ {"logrotate": logrotate} | json }}
    - user: root
    - group: root
    - mode: "0644"
    # Its exit says nothing of a word that it does not know: it warns and goes on.
    - check_cmd: sh -c '! /usr/sbin/logrotate --debug "$0" 2>&1 | grep -E "^(error|warning). $0:"'
    - require:
      - pkg: logrotate-packages

logrotate-timer:
  service.running:
    - name: logrotate.timer
    - enable: True
    - require:
      - file: logrotate-config
