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
