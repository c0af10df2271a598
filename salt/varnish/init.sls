{%- import_yaml "varnish/defaults.yaml" as defaults %}
{%- import_yaml "site-pages/causes.yaml" as causes %}
{%- set varnish = salt["slsutil.merge"](defaults, pillar.get("varnish", {}), merge_lists=False) %}
{%- set cdn = pillar.get("cdn", {}) if pillar.get("cdn", {}).get("enabled") else {} %}
{%- set sites = [] %}
{%- for name, options in varnish.sites | dictsort %}
{%-   do sites.append(dict({
        "name": name, "cache": True, "ttl": 0, "pass": [], "rules": [], "read_timeout": 60,
      }, **options)) %}
{%-   do sites[-1].update({"host": options.host ~ "." ~ pillar["site"]["domain"]}) %}
{%- endfor %}
{%- if not sites %}
{%-   do raise("varnish: pillar varnish:sites is empty") %}
{%- endif %}
{%- set purgers = [] %}
{%- for role in varnish.purge_roles %}
{%-   do purgers.extend(salt["site_hosts.peers"](role, minimum=0)) %}
{%- endfor %}
{#- For the templates, without the secrets: those a template takes from pillar itself. #}
{%- set settings = dict(varnish) %}
{%- do settings.pop("secrets") %}

varnish-packages:
  pkg.installed:
    - pkgs: [varnish]
    - install_recommends: False

varnish-checker:
  file.managed:
    - name: /usr/local/sbin/varnish-check-candidate
    - source: salt://varnish/files/varnish-check-candidate
    - user: root
    - group: root
    - mode: "0755"

varnish-private:
  file.managed:
    - name: /etc/varnish/private.vcl
    - source: salt://varnish/templates/private.vcl.j2
    - template: jinja
    - context: {{ {"cdn": cdn} | json }}
    - user: root
    - group: varnish
    - mode: "0640"
    - show_changes: False
    - check_cmd: /usr/local/sbin/varnish-check-candidate /etc/varnish/private.vcl
    - require:
      - pkg: varnish-packages
      - file: varnish-checker

varnish-config:
  file.managed:
    - name: /etc/varnish/site.vcl
    - source: salt://varnish/templates/site.vcl.j2
    - template: jinja
    - context: {{ {
        "varnish": settings, "sites": sites, "purgers": purgers, "cdn": cdn | length > 0,
        "failed": causes["connection-refused"].edge,
      } | json }}
    - user: root
    - group: root
    - mode: "0644"
    - check_cmd: /usr/local/sbin/varnish-check-candidate /etc/varnish/site.vcl
    - require:
      - file: varnish-private

# The rules and their tests, to be run where the real Varnish is.
varnish-tests:
  file.recurse:
    - name: /usr/local/share/varnish-tests
    - source: salt://varnish/files/tests
    - user: root
    - group: root
    - dir_mode: "0755"
    - file_mode: "0644"
    - clean: True
    - exclude_pat: E@^(rules|own-cache)\.vcl$
{%- for rules in ["rules", "own-cache"] %}

varnish-tested-{{ rules }}:
  file.managed:
    - name: /usr/local/share/varnish-tests/{{ rules }}.vcl
    - source: salt://varnish/files/{{ rules }}.vcl
    - user: root
    - group: root
    - mode: "0644"
    - check_cmd: test -s
    - require:
      - file: varnish-tests
{%- endfor %}

varnish-unit:
  file.managed:
    - name: /etc/systemd/system/varnish.service.d/saltworks.conf
    - source: salt://varnish/templates/varnish.service.conf.j2
    - template: jinja
    - context: {{ {
        "varnish": settings, "address": salt["site_hosts.address"](),
        "memory_mb": varnish.memory_mb or {"small": 64, "full": 1024}[pillar["site"]["size"]],
      } | json }}
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True
    - require:
      - file: varnish-config

# Other addresses or other memory need a new process, and the cache is empty then.
# Everything else is loaded beside the old rules, and no page is lost.
varnish-unit-restart:
  cmd.run:
    - name: systemctl daemon-reload && systemctl restart varnish
    - onchanges:
      - file: varnish-unit

varnish-service:
  service.running:
    - name: varnish
    - enable: True
    - reload: True
    - require:
      - cmd: varnish-unit-restart
    - watch:
      - file: varnish-config
      - file: varnish-private
