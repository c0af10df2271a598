# slapd: the directory of people. README.md says what it sets up.
{%- import_yaml "slapd/defaults.yaml" as defaults %}
{%- set slapd = salt["slsutil.merge"](defaults, pillar.get("slapd", {}), merge_lists=False) %}
{#- Without the secrets: those are read from pillar by the files that hold them. #}
{%- set secrets = slapd.pop("secrets") %}
{%- set own = salt["site_hosts.parse"]() %}
{%- set peers = salt["site_hosts.peers"](slapd.peers, minimum=0) %}
{%- set others = [] %}
{%- for peer in peers if peer.id != own.id %}
{%-   do others.append({"id": peer.id, "index": salt["site_hosts.parse"](peer.id).index}) %}
{%- endfor %}
{%- set base = salt["site_directory.base_dn"](pillar["site"]["domain"]) %}
{%- set named = slapd.services + (slapd.people | list | sort | map("regex_replace", "^", "person-") | list) %}
{%- for secret in named %}
{%-   if not secrets.get(secret) %}
{%-     do raise("slapd: pillar slapd:secrets has no '" ~ secret ~ "'") %}
{%-   endif %}
{%- endfor %}

include:
  - tls

# The package would make a directory of its own, with a password that nobody knows.
slapd-no-packaged-directory:
  cmd.run:
    - name: echo slapd slapd/no_configuration boolean true | debconf-set-selections
    - unless: test -x /usr/sbin/slapd

slapd-packages:
  pkg.installed:
    - pkgs: [slapd, ldap-utils]
    - install_recommends: False
    - require:
      - cmd: slapd-no-packaged-directory

# The private key belongs to root and to this group.
slapd-key-reader:
  group.present:
    - name: ssl-cert
    - system: True
    - addusers: [openldap]
    - require:
      - pkg: slapd-packages
      - sls: tls

# The package makes it only together with a directory of its own.
slapd-data:
  file.directory:
    - name: /var/lib/ldap
    - user: openldap
    - group: openldap
    - mode: "0700"
    - require:
      - pkg: slapd-packages

slapd-secret-folder:
  file.directory:
    - name: /etc/ldap/secrets
    - user: root
    - group: root
    - mode: "0700"
    - require:
      - pkg: slapd-packages

# Files, so that no password stands in a command line: the state below reads them.
{%- for secret in named %}

slapd-secret-{{ secret }}:
  file.managed:
    - name: /etc/ldap/secrets/{{ secret }}
    - contents_pillar: slapd:secrets:{{ secret }}
    - contents_newline: False
    - user: root
    - group: root
    - mode: "0600"
    - show_changes: False
    - require:
      - file: slapd-secret-folder
    - require_in:
      - site_directory: slapd-entries
{%- endfor %}

slapd-config:
  file.managed:
    - name: /etc/ldap/slapd.conf
    - source: salt://slapd/templates/slapd.conf.j2
    - template: jinja
    - context: {{ {"slapd": slapd, "base": base, "own": own, "others": others} | json }}
    - user: root
    - group: openldap
    - mode: "0640"
    - show_changes: False
    - check_cmd: /usr/sbin/slaptest -u -f
    - require:
      - file: slapd-data
      - group: slapd-key-reader

slapd-options:
  file.managed:
    - name: /etc/default/slapd
    - source: salt://slapd/templates/default.j2
    - template: jinja
    - context: {{ {"address": salt["site_hosts.address"]()} | json }}
    - user: root
    - group: root
    - mode: "0644"
    - require:
      - pkg: slapd-packages

slapd-unit:
  file.managed:
    - name: /etc/systemd/system/slapd.service.d/saltworks.conf
    - source: salt://slapd/files/slapd.service.conf
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True

slapd-unit-reload:
  cmd.run:
    - name: systemctl daemon-reload
    - onchanges:
      - file: slapd-unit

slapd-service:
  service.running:
    - name: slapd
    - enable: True
    - require:
      - cmd: slapd-unit-reload
    - watch:
      - file: slapd-config
      - file: slapd-options
      - file: slapd-unit
      - sls: tls

slapd-entries:
  site_directory.filled:
    - name: {{ pillar["site"]["domain"] }}
    - slapd: {{ slapd | json }}
    - passwords: /etc/ldap/secrets
    - wait: {{ 30 if others else 0 }}
    - founds: {{ peers | length == 0 or peers[0].id == own.id }}
    - require:
      - service: slapd-service
