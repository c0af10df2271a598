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
    - check_cmd: /usr/sbin/logrotate --debug
    - require:
      - pkg: logrotate-packages

logrotate-timer:
  service.running:
    - name: logrotate.timer
    - enable: True
    - require:
      - file: logrotate-config
