{%- import_yaml "hook/defaults.yaml" as defaults %}
{%- set hook = salt["slsutil.merge"](defaults, pillar.get("hook", {}), merge_lists=False) %}
{%- set secrets = hook.pop("secrets") %}
{%- for name, repository in hook.repositories | dictsort %}
{%-   if not secrets.get(repository.app) %}
{%-     do raise("hook: pillar hook:secrets has no '" ~ repository.app ~ "', which " ~ name ~ " needs") %}
{%-   endif %}
{%- endfor %}

hook-packages:
  pkg.installed:
    - pkgs: [python3-aiohttp]
    - install_recommends: False

hook-user:
  user.present:
    - name: hook
    - system: True
    - usergroup: True
    - home: /nonexistent
    - createhome: False
    - shell: /usr/sbin/nologin

{%- for folder, owner in [("/etc/hook", "root"), ("/var/lib/hook", "hook")] %}

hook-folder-{{ loop.index }}:
  file.directory:
    - name: {{ folder }}
    - user: {{ owner }}
    - group: hook
    - mode: "0750"
    - require:
      - user: hook-user
    - require_in:
      - file: hook-config
{%- endfor %}

hook-program:
  file.managed:
    - name: /usr/local/lib/saltworks/hook
    - source: salt://hook/files/hook.py
    - user: root
    - group: root
    - mode: "0755"
    - makedirs: True

hook-config:
  file.managed:
    - name: /etc/hook/hook.json
    - source: salt://hook/templates/hook.json.j2
    - template: jinja
    - context: {{ {"hook": hook, "address": salt["site_hosts.address"]()} | json }}
    - user: root
    - group: hook
    - mode: "0640"
    - show_changes: False
    - check_cmd: /usr/local/lib/saltworks/hook --check
    - require:
      - file: hook-program
      - pkg: hook-packages

hook-unit:
  file.managed:
    - name: /etc/systemd/system/hook.service
    - source: salt://hook/files/hook.service
    - user: root
    - group: root
    - mode: "0644"

hook-unit-known:
  cmd.run:
    - name: systemctl daemon-reload
    - onchanges:
      - file: hook-unit

hook-service:
  service.running:
    - name: hook
    - enable: True
    - require:
      - cmd: hook-unit-known
    - watch:
      - file: hook-program
      - file: hook-config
      - file: hook-unit
