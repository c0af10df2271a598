# lemonldap-ng: where people sign in. README.md says what it sets up.
{%- import_yaml "lemonldap-ng/defaults.yaml" as defaults %}
{%- import_yaml "site-pages/defaults.yaml" as site_pages %}
{%- set pages = salt["slsutil.merge"](site_pages, pillar.get("site-pages", {})) %}
{%- set portal = salt["slsutil.merge"](defaults, pillar.get("lemonldap-ng", {}), merge_lists=False) %}
{#- Without the secrets: the template takes them from pillar itself, so that they
    are not in the compiled states. #}
{%- do portal.pop("secrets") %}
{%- set host = portal.host ~ "." ~ pillar["site"]["domain"] %}
{#- Who falls under the directory's stricter policy needs a second factor, too. #}
{%- set privileged = [] %}
{%- if portal.second_factor.privileged %}
{%-   for name, group in pillar.get("slapd", {}).get("groups", {}) | dictsort if (group or {}).get("privileged") %}
{%-     do privileged.append(name) %}
{%-   endfor %}
{%- endif %}

include:
  - nginx
  - tls

# After nginx: else the package would bring apache2 for its dependency on a web server.
lemonldap-ng-packages:
  pkg.installed:
    - pkgs:
      - lemonldap-ng-fastcgi-server
      - liblemonldap-ng-portal-perl
      # What the portal only recommends and what is switched on here needs.
      - libapache-session-browseable-perl
      - libauthen-webauthn-perl
      - libconvert-pem-perl
      - libcookie-baker-xs-perl
      - libcrypt-jwt-perl
      - libdbd-mariadb-perl
      - libemail-address-perl
      - libemail-sender-perl
      - libgd-securityimage-perl
      - libhttp-parser-xs-perl
      - libio-socket-timeout-perl
      - libio-string-perl
      - libipc-run-perl
      - liblwp-protocol-https-perl
      - libmime-tools-perl
      - libnet-ldap-perl
      - libstring-random-perl
    - install_recommends: False
    - require:
      - pkg: nginx-packages

{%- for name, mode, group in [("conf", "0750", "www-data"), ("secrets", "0700", "root")] %}

lemonldap-ng-folder-{{ name }}:
  file.directory:
    - name: /etc/lemonldap-ng/{{ name }}
    - user: root
    - group: {{ group }}
    - mode: "{{ mode }}"
    - require:
      - pkg: lemonldap-ng-packages
{%- endfor %}

# For the state below, so that no password stands in a command line.
lemonldap-ng-database-password:
  file.managed:
    - name: /etc/lemonldap-ng/secrets/database
    - contents_pillar: lemonldap-ng:secrets:database
    - contents_newline: False
    - user: root
    - group: root
    - mode: "0600"
    - show_changes: False
    - require:
      - file: lemonldap-ng-folder-secrets
{%- for kind in ["Captcha", "Plugins", "Register"] %}

lemonldap-ng-{{ kind | lower }}-module:
  file.managed:
    - name: /usr/local/lib/site_perl/Lemonldap/NG/Portal/{{ kind }}/Saltworks.pm
    - source: salt://lemonldap-ng/files/perl/{{ kind }}/Saltworks.pm
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True
    - check_cmd: perl -c
    - require:
      - pkg: lemonldap-ng-packages
    - require_in:
      - file: lemonldap-ng-config
    - watch_in:
      - service: lemonldap-ng-service
{%- endfor %}

lemonldap-ng-checker:
  file.managed:
    - name: /usr/local/sbin/lemonldap-ng-check-candidate
    - source: salt://lemonldap-ng/files/check-candidate
    - user: root
    - group: root
    - mode: "0755"

lemonldap-ng-local-settings:
  file.managed:
    - name: /etc/lemonldap-ng/lemonldap-ng.ini
    - source: salt://lemonldap-ng/templates/lemonldap-ng.ini.j2
    - template: jinja
    - context: {{ {"portal": portal} | json }}
    - user: root
    - group: root
    - mode: "0644"
    - require:
      - pkg: lemonldap-ng-packages

# Read again by each process within a few seconds: no restart, nobody waits.
lemonldap-ng-config:
  file.managed:
    - name: /etc/lemonldap-ng/conf/lmConf-1.json
    - source: salt://lemonldap-ng/templates/lmConf.json.j2
    - template: jinja
    - context: {{ {"privileged": privileged} | json }}
    - user: root
    - group: www-data
    - mode: "0640"
    - show_changes: False
    - check_cmd: /usr/local/sbin/lemonldap-ng-check-candidate
    - require:
      - file: lemonldap-ng-folder-conf
      - file: lemonldap-ng-checker

lemonldap-ng-tables:
  site_lemonldap.tables_present:
    - name: sessions
    - database: {{ portal.database | json }}
    - password_file: /etc/lemonldap-ng/secrets/database
    - require:
      - file: lemonldap-ng-database-password
      - sls: tls

lemonldap-ng-options:
  file.managed:
    - name: /etc/default/lemonldap-ng-fastcgi-server
    - source: salt://lemonldap-ng/templates/fastcgi-server.j2
    - template: jinja
    - context: {{ {"portal": portal} | json }}
    - user: root
    - group: root
    - mode: "0644"
    - require:
      - pkg: lemonldap-ng-packages

lemonldap-ng-unit:
  file.managed:
    - name: /etc/systemd/system/lemonldap-ng-fastcgi-server.service.d/saltworks.conf
    - source: salt://lemonldap-ng/files/lemonldap-ng.service.conf
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True

lemonldap-ng-purge-unit:
  file.managed:
    - name: /etc/systemd/system/liblemonldap-ng-portal-perl.service.d/saltworks.conf
    - source: salt://lemonldap-ng/files/purge.service.conf
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True

lemonldap-ng-unit-reload:
  cmd.run:
    - name: systemctl daemon-reload
    - onchanges:
      - file: lemonldap-ng-unit
      - file: lemonldap-ng-purge-unit

lemonldap-ng-service:
  service.running:
    - name: lemonldap-ng-fastcgi-server
    - enable: True
    - require:
      - cmd: lemonldap-ng-unit-reload
      - file: lemonldap-ng-config
      - site_lemonldap: lemonldap-ng-tables
    - watch:
      - pkg: lemonldap-ng-packages
      - file: lemonldap-ng-options
      - file: lemonldap-ng-unit
      - file: lemonldap-ng-local-settings

lemonldap-ng-site-files:
  file.recurse:
    - name: /usr/local/share/lemonldap-ng-site
    - source: salt://lemonldap-ng/files/site
    - template: jinja
    - context: {{ {"name": pages.name} | json }}
    - user: root
    - group: root
    - dir_mode: "0755"
    - file_mode: "0644"
    - clean: True

lemonldap-ng-nginx-site:
  file.managed:
    - name: /etc/nginx/sites-enabled/lemonldap-ng.conf
    - source: salt://lemonldap-ng/templates/nginx-site.conf.j2
    - template: jinja
    - context: {{ {"host": host, "ipv6": pillar.get("nginx", {}).get("ipv6", False)} | json }}
    - user: root
    - group: root
    - mode: "0644"
    - check_cmd: /usr/local/sbin/nginx-check-candidate /etc/nginx/sites-enabled/lemonldap-ng.conf
    - require:
      - pkg: lemonldap-ng-packages
      - file: lemonldap-ng-site-files
      - file: nginx-default-site
    - watch_in:
      - service: nginx-service
