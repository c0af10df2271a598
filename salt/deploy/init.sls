{%- import_yaml "deploy/defaults.yaml" as defaults %}
{%- set deploy = salt["slsutil.merge"](defaults, pillar.get("deploy", {}), merge_lists=False) %}

{%- for path, mode in [("/etc/deploy", "0755"), ("/var/lib/deploy", "0700")] %}

deploy-folder-{{ loop.index }}:
  file.directory:
    - name: {{ path }}
    - user: root
    - group: root
    - mode: "{{ mode }}"
{%- endfor %}

deploy-config:
  file.managed:
    - name: /etc/deploy/deploy.json
    - source: salt://deploy/templates/deploy.json.j2
    - template: jinja
    - context: {{ {"apps": deploy.apps} | json }}
    - user: root
    - group: root
    - mode: "0644"
    - check_cmd: python3 -m json.tool
    - require:
      - file: deploy-folder-1

deploy-versions-check:
  file.managed:
    - name: /usr/local/lib/saltworks/versions-check
    - source: salt://deploy/files/versions-check.py
    - user: root
    - group: root
    - mode: "0755"
    - makedirs: True

{%- for unit in ["service", "timer"] %}

deploy-versions-{{ unit }}:
  file.managed:
    - name: /etc/systemd/system/deploy-versions.{{ unit }}
    - source: salt://deploy/files/deploy-versions.{{ unit }}
    - user: root
    - group: root
    - mode: "0644"
{%- endfor %}

deploy-versions-known:
  cmd.run:
    - name: systemctl daemon-reload
    - onchanges:
      - file: deploy-versions-service
      - file: deploy-versions-timer

# It compares at once, and then each hour.
deploy-versions-compared:
  service.running:
    - name: deploy-versions.timer
    - enable: True
    - require:
      - file: deploy-config
      - cmd: deploy-versions-known
    - watch:
      - file: deploy-versions-timer
