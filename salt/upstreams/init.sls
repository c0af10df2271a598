{%- import_yaml "upstreams/defaults.yaml" as defaults %}
{%- set upstreams = salt["slsutil.merge"](defaults, pillar.get("upstreams", {}), merge_lists=False) %}
{%- set folder, state = "/var/lib/git/repositories", "/var/lib/git-upstreams" %}
{%- set context = {"upstreams": upstreams, "folder": folder, "state": state} %}

include:
  - gitolite

upstreams-packages:
  pkg.installed:
    - pkgs: [git, python3]
    - install_recommends: False

{%- for name, path, owner, mode in [
      ("config", "/etc/git-upstreams", "root", "0755"), ("state", state, "git", "0755"),
    ] %}

upstreams-folder-{{ name }}:
  file.directory:
    - name: {{ path }}
    - user: {{ owner }}
    - group: {{ owner }}
    - mode: "{{ mode }}"
    - require:
      - user: gitolite-user
    - require_in:
      - file: upstreams-config
{%- endfor %}

upstreams-program:
  file.managed:
    - name: /usr/local/lib/saltworks/git-upstreams
    - source: salt://upstreams/files/git-upstreams.py
    - user: root
    - group: root
    - mode: "0755"
    - makedirs: True
    - require:
      - pkg: upstreams-packages

upstreams-config:
  file.managed:
    - name: /etc/git-upstreams/config.json
    - source: salt://upstreams/templates/config.json.j2
    - template: jinja
    - context: {{ context | json }}
    - user: root
    - group: root
    - mode: "0644"
    - require:
      - file: upstreams-program

{%- for unit in ["git-upstreams.service", "git-upstreams.timer"] %}

upstreams-unit-{{ unit | replace(".", "-") }}:
  file.managed:
    - name: /etc/systemd/system/{{ unit }}
    - source: salt://upstreams/templates/{{ unit }}.j2
    - template: jinja
    - context: {{ context | json }}
    - user: root
    - group: root
    - mode: "0644"
{%- endfor %}

upstreams-units-known:
  cmd.run:
    - name: systemctl daemon-reload
    - onchanges:
      - file: upstreams-unit-git-upstreams-service
      - file: upstreams-unit-git-upstreams-timer

upstreams-timer:
  service.running:
    - name: git-upstreams.timer
    - enable: True
    - require:
      - file: upstreams-config
      - cmd: upstreams-units-known
    - watch:
      - file: upstreams-unit-git-upstreams-timer
{%- for name in upstreams.repositories | sort %}

# What has nothing yet; new versions are the timer's. One state each: whoever waits sees
# which of them takes so long.
upstreams-import-{{ name | replace("/", "-") | replace(".", "-") | replace("_", "-") | lower }}:
  site_upstreams.imported:
    - name: {{ name }}
    - require:
      - file: upstreams-config
      - site_git: gitolite-current
{%- endfor %}
