{%- import_yaml "cgit/defaults.yaml" as defaults %}
{%- import_yaml "gitolite/defaults.yaml" as gitolite_defaults %}
{%- import_yaml "site-pages/defaults.yaml" as pages_defaults %}
{%- import_yaml "www/defaults.yaml" as www_defaults %}
{%- set cgit = salt["slsutil.merge"](defaults, pillar.get("cgit", {}), merge_lists=False) %}
{%- set gitolite = salt["slsutil.merge"](gitolite_defaults, pillar.get("gitolite", {}), merge_lists=False) %}
{%- set pages = salt["slsutil.merge"](pages_defaults, pillar.get("site-pages", {})) %}
{%- set www = salt["slsutil.merge"](www_defaults, pillar.get("www", {})) %}
{%- set domain = pillar["site"]["domain"] %}
{%- set context = {
      "cgit": cgit, "pages": {"name": pages.name, "notice": pages.notice}, "domain": domain,
      "repositories": gitolite.repositories, "read_only": gitolite.read_only, "folder": "/var/lib/git/repositories",
      "host": cgit.host ~ "." ~ domain, "server": opts["id"], "indexed": www.indexed,
      "ipv6": pillar.get("nginx", {}).get("ipv6", False),
    } %}

include:
  - gitolite
  - nginx
  - site-pages

cgit-packages:
  pkg.installed:
    - pkgs: [cgit, fcgiwrap, python3-pygments]
    - install_recommends: False

cgit-user:
  user.present:
    - name: cgit
    - system: True
    - usergroup: True
    - home: /nonexistent
    - createhome: False
    - shell: /usr/sbin/nologin
    - groups: [git-readers]
    - require:
      - group: gitolite-readers

cgit-config:
  file.managed:
    - name: /etc/cgitrc
    - source: salt://cgit/templates/cgitrc.j2
    - template: jinja
    - context: {{ context | json }}
    - user: root
    - group: root
    - mode: "0644"
    - require:
      - pkg: cgit-packages

cgit-look:
  file.managed:
    - name: /usr/local/share/cgit-site/source.css
    - source: salt://cgit/files/source.css
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True
    - dir_mode: "0755"

{%- for part in ["header", "footer"] %}

cgit-{{ part }}:
  file.managed:
    - name: /usr/local/share/cgit-site/{{ part }}.html
    - source: salt://cgit/templates/{{ part }}.html.j2
    - template: jinja
    - context: {{ context | json }}
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True
    - dir_mode: "0755"
{%- endfor %}

cgit-unit:
  file.managed:
    - name: /etc/systemd/system/fcgiwrap.service.d/saltworks.conf
    - source: salt://cgit/templates/fcgiwrap.conf.j2
    - template: jinja
    - context: {{ {"cgit": cgit} | json }}
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True

cgit-unit-known:
  cmd.run:
    - name: systemctl daemon-reload
    - onchanges:
      - file: cgit-unit
    - require:
      - pkg: cgit-packages

# Not by service.running: systemd calls it enabled as soon as its socket is.
cgit-unit-enabled:
  cmd.run:
    - name: systemctl enable fcgiwrap.service
    - creates: /etc/systemd/system/multi-user.target.wants/fcgiwrap.service
    - require:
      - cmd: cgit-unit-known

cgit-service:
  service.running:
    - name: fcgiwrap
    - require:
      - cmd: cgit-unit-enabled
    - watch:
      - file: cgit-unit
      - user: cgit-user

cgit-nginx-site:
  file.managed:
    - name: /etc/nginx/sites-enabled/cgit.conf
    - source: salt://cgit/templates/nginx-site.conf.j2
    - template: jinja
    - context: {{ context | json }}
    - user: root
    - group: root
    - mode: "0644"
    - check_cmd: /usr/local/sbin/nginx-check-candidate /etc/nginx/sites-enabled/cgit.conf
    - require:
      - file: nginx-default-site
      - service: cgit-service
    - watch_in:
      - service: nginx-service
