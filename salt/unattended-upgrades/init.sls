{%- import_yaml "unattended-upgrades/defaults.yaml" as defaults %}
{%- set upgrades = salt["slsutil.merge"](defaults, pillar.get("unattended-upgrades", {})) %}

unattended-upgrades-packages:
  pkg.installed:
    - pkgs: [unattended-upgrades]
    - install_recommends: False

unattended-upgrades-config:
  file.managed:
    - name: /etc/apt/apt.conf.d/90saltworks-upgrades
    - source: salt://unattended-upgrades/templates/upgrades.j2
    - template: jinja
    - context: {{ {"upgrades": upgrades} | json }}
    - user: root
    - group: root
    - mode: "0644"
    - check_cmd: /usr/bin/apt-config dump --config-file
    - require:
      - pkg: unattended-upgrades-packages

unattended-upgrades-lists:
  service.running:
    - name: apt-daily.timer
    - enable: True
    - require:
      - file: unattended-upgrades-config

unattended-upgrades-timer:
  service.running:
    - name: apt-daily-upgrade.timer
    - enable: True
    - require:
      - file: unattended-upgrades-config
