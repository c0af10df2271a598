{%- import_yaml "release/defaults.yaml" as defaults %}
{%- set release = salt["slsutil.merge"](defaults, pillar.get("release", {}), merge_lists=False) %}
{%- set builders = salt["site_hosts.peers"]("source") %}

include:
  - tls

release-packages:
  pkg.installed:
    - pkgs: [openssl]
    - install_recommends: False

{%- for path, mode in [("/etc/site-release", "0755"), ("/srv/release", "0755")] %}

release-folder-{{ loop.index }}:
  file.directory:
    - name: {{ path }}
    - user: root
    - group: root
    - mode: "{{ mode }}"
{%- endfor %}

{%- if builders %}

release-config:
  file.managed:
    - name: /etc/site-release/release.json
    - source: salt://release/templates/release.json.j2
    - template: jinja
    - context: {{ {
        "release": release, "source": builders[0].id, "domain": pillar["site"]["domain"],
      } | json }}
    - user: root
    - group: root
    - mode: "0644"
    - check_cmd: python3 -m json.tool
    - require:
      - pkg: release-packages
      - file: release-folder-1
      - file: release-folder-2
      - sls: tls
{%- endif %}

# What the level runs now; a host that comes, or comes back, has it before it serves. The
# master's own tree is no such app: what brings it is a deploy, or a clone.
{%- for app, settings in release.apps | dictsort if not settings.tree %}

release-app-{{ app }}:
  site_release.deployed:
    - name: {{ app }}
    - release: {{ release.live.get(app) | json }}
    - require:
      - file: release-config
{%- endfor %}
