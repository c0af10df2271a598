{%- import_yaml "sso-gate/defaults.yaml" as defaults %}
{%- set gate = salt["slsutil.merge"](defaults, pillar.get("sso-gate", {})) %}
{%- set domain = pillar["site"]["domain"] %}
{%- set secrets = gate.pop("secrets") %}
{%- set groups = [] %}
{%- if not gate.sites %}
{%-   do raise("sso-gate: no site in pillar sso-gate:sites") %}
{%- endif %}
{%- if not secrets.get("passphrase") %}
{%-   do raise("sso-gate: pillar sso-gate:secrets has no 'passphrase'") %}
{%- endif %}
{%- if gate.store == "redis" and not secrets.get("store") %}
{%-   do raise("sso-gate: store is redis, and pillar sso-gate:secrets has no 'store'") %}
{%- endif %}
{%- for name, site in gate.sites | dictsort %}
{%-   if not secrets.get("clients", {}).get(site.client) %}
{%-     do raise("sso-gate: pillar sso-gate:secrets:clients has no '" ~ site.client ~ "', which " ~ name ~ " needs") %}
{%-   endif %}
{%-   do groups.extend(site.get("groups", [])) %}
{%- endfor %}

include:
  - nginx
  - tls

# Not the package apache2: that would bring a second web server on port 80. These
# are its program and modules, run with a configuration and a unit of our own.
sso-gate-packages:
  pkg.installed:
    - pkgs: [apache2-bin, libapache2-mod-auth-openidc]
    - install_recommends: False

sso-gate-user:
  user.present:
    - name: sso-gate
    - system: True
    - usergroup: True
    - home: /nonexistent
    - createhome: False
    - shell: /usr/sbin/nologin

sso-gate-folder:
  file.directory:
    - name: /etc/sso-gate
    - user: root
    - group: sso-gate
    - mode: "0750"
    - require:
      - user: sso-gate-user

# Locks. Here and not in /run: the check below must find it before the first start.
sso-gate-state-folder:
  file.directory:
    - name: /var/lib/sso-gate
    - user: sso-gate
    - group: sso-gate
    - mode: "0750"
    - require:
      - user: sso-gate-user

sso-gate-secrets:
  file.managed:
    - name: /etc/sso-gate/secrets.conf
    - source: salt://sso-gate/templates/secrets.conf.j2
    - template: jinja
    - context: {{ {"clients": gate.sites.values() | map(attribute="client") | unique | sort | list} | json }}
    - user: root
    - group: sso-gate
    - mode: "0640"
    - show_changes: False
    - require:
      - file: sso-gate-folder

# What is behind the question who it is: only the headers of the answer count.
sso-gate-pages:
  file.managed:
    - name: /usr/local/share/sso-gate/sso/check
    - source: salt://sso-gate/files/check
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True
    - dir_mode: "0755"

{%- import_yaml "sso-gate/pages.yaml" as pages %}
{%- import_yaml "site-pages/defaults.yaml" as look %}
{%- for name, page in pages | dictsort %}

sso-gate-page-{{ name }}:
  file.managed:
    - name: /usr/local/share/sso-gate/sso/pages/{{ name }}.html
    - source: salt://sso-gate/templates/page.html.j2
    - template: jinja
    - context: {{ {
        "page": page, "domain": domain, "provider": gate.provider,
        "name": pillar.get("site-pages", {}).get("name", look.name),
      } | json }}
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True
    - dir_mode: "0755"
    - require_in:
      - service: sso-gate-service
{%- endfor %}

sso-gate-config:
  file.managed:
    - name: /etc/sso-gate/apache2.conf
    - source: salt://sso-gate/templates/apache2.conf.j2
    - template: jinja
    - context: {{ {"gate": gate, "domain": domain} | json }}
    - user: root
    - group: sso-gate
    - mode: "0640"
    - check_cmd: /usr/sbin/apache2 -t -f
    - require:
      - pkg: sso-gate-packages
      - file: sso-gate-secrets
      - file: sso-gate-state-folder
      - sls: tls
      - file: sso-gate-pages

# For apps in PHP: reads what nginx hands over.
sso-gate-php:
  file.managed:
    - name: /usr/local/lib/saltworks/sso/Identity.php
    - source: salt://sso-gate/files/Identity.php
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True
    - dir_mode: "0755"

sso-gate-unit:
  file.managed:
    - name: /etc/systemd/system/sso-gate.service
    - source: salt://sso-gate/files/sso-gate.service
    - user: root
    - group: root
    - mode: "0644"

sso-gate-unit-reload:
  cmd.run:
    - name: systemctl daemon-reload
    - onchanges:
      - file: sso-gate-unit

sso-gate-service:
  service.running:
    - name: sso-gate
    - enable: True
    - require:
      - cmd: sso-gate-unit-reload
      - user: sso-gate-user
      - sls: tls
    - watch:
      - file: sso-gate-secrets
      - file: sso-gate-config
      - file: sso-gate-unit

# What the sites of this host include; README.md says where.
{%- set snippets = {"sso-proxy": {}, "sso-gate": {}, "sso-identity": {}} %}
{%- for group in groups | unique | sort %}
{%-   do snippets.update({"sso-require-" ~ group: {"group": group} }) %}
{%- endfor %}
{%- for name, more in snippets | dictsort %}

sso-gate-snippet-{{ name }}:
  file.managed:
    - name: /etc/nginx/snippets/{{ name }}.conf
    - source: salt://sso-gate/templates/{{ "sso-require" if more else name }}.conf.j2
    - template: jinja
    - context: {{ dict({"port": gate.port, "groups": groups | unique | sort | list}, **more) | json }}
    - user: root
    - group: root
    - mode: "0644"
    - check_cmd: /usr/local/sbin/nginx-check-candidate /etc/nginx/snippets/{{ name }}.conf
    - require:
      - file: nginx-config
    - watch_in:
      - service: nginx-service
{%- endfor %}
