{%- import_yaml "salt-minion/defaults.yaml" as defaults %}
{%- set minion = salt["slsutil.merge"](defaults, pillar.get("salt-minion", {})) %}
{%- set registry = salt["site_hosts.registry"]() %}
{%- set roles = {} %}
{%- for name, role in registry.roles.items() %}
{%-   do roles.update({ name: {"kind": role.kind} }) %}
{%- endfor %}

salt-minion-names:
  file.serialize:
    - name: /etc/salt/site_names.yaml
    - serializer: yaml
    - dataset: {{ {"domain": registry.domain, "levels": registry.levels, "roles": roles} | json }}
    - user: root
    - group: root
    - mode: "0644"

salt-minion-config:
  file.managed:
    - name: /etc/salt/minion.d/site.conf
    - source: salt://salt-minion/files/site.conf
    - user: root
    - group: root
    - mode: "0644"

salt-minion-unit:
  file.managed:
    - name: /etc/systemd/system/salt-minion.service
    - source: salt://salt-minion/files/salt-minion.service
    - user: root
    - group: root
    - mode: "0644"

salt-minion-key:
  file.managed:
    - name: /etc/salt/pki/minion/minion.pem
    - replace: False
    - user: root
    - group: root
    - mode: "0400"

salt-minion-enabled:
  service.enabled:
    - name: salt-minion

# Not service.running with watch: the restart would end the very run that asks
# for it. systemd does it when this run is over.
salt-minion-restart:
  cmd.run:
    - name: systemctl daemon-reload && systemd-run --collect --on-active={{ minion.restart_delay }} systemctl restart salt-minion.service
    - onchanges:
      - file: salt-minion-config
      - file: salt-minion-unit
