{%- import_yaml "builder/defaults.yaml" as defaults %}
{%- import_yaml "www/defaults.yaml" as www_defaults %}
{%- import_yaml "site-pages/defaults.yaml" as pages_defaults %}
{%- set builder = salt["slsutil.merge"](defaults, pillar.get("builder", {}), merge_lists=False) %}
{%- set www = salt["slsutil.merge"](www_defaults, pillar.get("www", {}), merge_lists=False) %}
{%- set pages = salt["slsutil.merge"](pages_defaults, pillar.get("site-pages", {})) %}
{%- set start = builder.pop("start_page") %}
{%- set folder, tools = "/var/lib/builder", "/usr/local/lib/saltworks/build" %}
{%- set titles = {} %}
{%- for name, site in pillar["static-sites"].items() %}
{%-   do titles.update({name: site.title}) %}
{%- endfor %}
{#- A site that no host of this level serves is no place to lead anybody to. #}
{%- set served = titles.keys() | list %}
{%- for name, site in pillar["sites"].items() if salt["site_hosts.peers"](site.role, minimum=0) %}
{%-   do served.append(name) %}
{%- endfor %}
{%- set programs = [
      ("static-build", "static-build.py"), ("page.html.j2", "page.html.j2"), ("php-lint", "php-lint"),
      ("mediawiki-build", "mediawiki-build"), ("wordpress-build", "wordpress-build"),
    ] %}
{#- A change of a program makes other releases of the commits that it builds. #}
{%- set made_by = {} %}
{%- for name, file in programs %}
{%-   set hash = salt["cp.hash_file"]("salt://builder/files/" ~ file).hsum %}
{%-   set name = "static-build" if name == "page.html.j2" else name %}
{%-   do made_by.update({name: made_by.get(name, []) + [hash]}) %}
{%- endfor %}
{%- set data = {
      "domain": pillar["site"]["domain"], "level": pillar["site"]["level"],
      "name": pages.name, "notice": pages.notice, "indexed": www.indexed,
      "www": {"title": start.title, "text": start.text, "security": start.security},
      "sites": titles, "cards": start.cards | selectattr("site", "in", served) | list,
      "search": "search" in served, "programs": made_by,
    } %}

include:
  - nftables
  - nginx
  - tls

# A new certificate is read, too.
extend:
  nginx-service:
    service:
      - watch:
        - file: tls-certificate
        - file: tls-key

{#- Where no app asks for packages, nothing is here that could fetch some. #}
{%- set fetchers = ["python3-pip"] if builder.apps.values() | map(attribute="packages") | select | list else [] %}

builder-packages:
  pkg.installed:
    - pkgs: {{ (["bubblewrap", "git", "openssl", "python3-jinja2", "python3-jsonschema", "util-linux"] + fetchers + builder.pop("packages")) | json }}
    - install_recommends: False

# One runs the commands of builds; the other fetches packages, and cannot touch what the
# first one makes. The packet filter has a rule for it, and must know its name.
{%- for thing, name in [("user", "builder"), ("fetch-user", "builder-fetch")] %}

builder-{{ thing }}:
  user.present:
    - name: {{ name }}
    - system: True
    - usergroup: True
    - home: /nonexistent
    - createhome: False
    - shell: /usr/sbin/nologin
    - require_in:
      - file: nftables-config
{%- endfor %}

# The builder's own are the folders of one app each, which its builds get.
{%- for path, group, mode in [
      (folder, "root", "0755"), (folder ~ "/work", "root", "0755"),
      (folder ~ "/cache", "root", "0755"), (folder ~ "/packages", "root", "0755"), (folder ~ "/releases", "www-data", "0750"),
      ("/etc/builder", "root", "0755"),
    ] %}

builder-folder-{{ loop.index }}:
  file.directory:
    - name: {{ path }}
    - user: root
    - group: {{ group }}
    - mode: "{{ mode }}"
    - require:
      - pkg: nginx-packages
    - require_in:
      - file: builder-config
{%- endfor %}

{%- for name, file in programs %}

builder-program-{{ loop.index }}:
  file.managed:
    - name: {{ tools }}/{{ name }}
    - source: salt://builder/files/{{ file }}
    - user: root
    - group: root
    - mode: "{{ "0644" if file.endswith(".j2") else "0755" }}"
    - makedirs: True
    - dir_mode: "0755"
    - require:
      - pkg: builder-packages
    - require_in:
      - file: builder-config
{%- endfor %}

builder-config:
  file.managed:
    - name: /etc/builder/builder.json
    - source: salt://builder/templates/builder.json.j2
    - template: jinja
    - context: {{ {"builder": builder, "data": data, "folder": folder, "tools": tools} | json }}
    - user: root
    - group: root
    - mode: "0644"
    - require:
      - user: builder-user
      - user: builder-fetch-user
      - service: nftables-service
      - sls: tls

builder-nginx-site:
  file.managed:
    - name: /etc/nginx/sites-enabled/builder.conf
    - source: salt://builder/templates/nginx-site.conf.j2
    - template: jinja
    - context: {{ {
        "address": salt["site_hosts.address"](), "port": builder.port, "folder": folder,
        "host": salt["site_hosts.parse"]().id,
      } | json }}
    - user: root
    - group: root
    - mode: "0644"
    - check_cmd: /usr/local/sbin/nginx-check-candidate /etc/nginx/sites-enabled/builder.conf
    - require:
      - file: nginx-default-site
      - file: builder-config
      - sls: tls
    - watch_in:
      - service: nginx-service
