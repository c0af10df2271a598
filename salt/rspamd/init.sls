# rspamd: signs and looks at mail. README.md beside this file says what it sets up.
{%- import_yaml "rspamd/defaults.yaml" as defaults %}
{%- set rspamd = salt["slsutil.merge"](defaults, pillar.get("rspamd", {})) %}
{%- do rspamd.pop("secrets", none) %}
{%- set clients = ["127.0.0.0/8"] %}
{%- do clients.extend(salt["site_hosts.everyone"]() | map(attribute="address")) %}

# Both files before the package, which starts the daemon: Debian's configuration
# does not start where `localhost` has no address in the DNS.
rspamd-options:
  file.managed:
    - name: /etc/rspamd/override.d/options.inc
    - source: salt://rspamd/templates/options.inc.j2
    - template: jinja
    - context: {{ {"rspamd": rspamd, "clients": clients} | json }}
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True

rspamd-check:
  file.managed:
    - name: /usr/local/lib/saltworks/rspamd-check
    - source: salt://rspamd/files/rspamd-check
    - user: root
    - group: root
    - mode: "0755"
    - makedirs: True

rspamd-config:
  file.managed:
    - name: /etc/rspamd/rspamd.conf.override
    - source: salt://rspamd/templates/rspamd.conf.override.j2
    - template: jinja
    - context: {{ {
        "rspamd": rspamd, "domain": pillar["site"]["domain"],
        "off": salt["site_mail.modules_off"](rspamd.lookups),
      } | json }}
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True
    - check_cmd: /usr/local/lib/saltworks/rspamd-check
    - require:
      - file: rspamd-check
      - file: rspamd-options

rspamd-packages:
  pkg.installed:
    - pkgs: [rspamd]
    - install_recommends: False
    - require:
      - file: rspamd-config

rspamd-key-folder:
  file.directory:
    - name: /etc/rspamd/dkim
    - user: root
    - group: _rspamd
    - mode: "0750"
    - require:
      - pkg: rspamd-packages

rspamd-key:
  file.managed:
    - name: /etc/rspamd/dkim/{{ rspamd.selector }}.key
    - contents_pillar: rspamd:secrets:dkim
    - user: root
    - group: _rspamd
    - mode: "0640"
    - show_changes: False
    - require:
      - file: rspamd-key-folder

rspamd-service:
  service.running:
    - name: rspamd
    - enable: True
    - watch:
      - file: rspamd-options
      - file: rspamd-config
      - file: rspamd-key
