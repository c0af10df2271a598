{%- import_yaml "journald/defaults.yaml" as defaults %}
{%- set journald = salt["slsutil.merge"](defaults, pillar.get("journald", {})) %}

journald-config:
  file.managed:
    - name: /etc/systemd/journald.conf.d/saltworks.conf
    - source: salt://journald/templates/journald.conf.j2
    - template: jinja
    - context: {{ {"journald": journald} | json }}
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True

journald-service:
  service.running:
    - name: systemd-journald
    - watch:
      - file: journald-config
