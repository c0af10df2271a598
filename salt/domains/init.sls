{%- import_yaml "domains/defaults.yaml" as defaults %}
{%- import_yaml "nginx/defaults.yaml" as nginx_defaults %}
{%- set domains = salt["slsutil.merge"](defaults, pillar.get("domains", {})) %}
{%- set nginx = salt["slsutil.merge"](nginx_defaults, pillar.get("nginx", {})) %}
{%- set folder = "/etc/ssl/site/domains" %}
{%- set rows = salt["site_domains.rows"](
      domains.table, pillar["site"]["domain"], pillar["static-sites"].keys() | list,
      pillar["sites"].keys() | list, nginx.redirects) %}

include:
  - nginx
  - tls
  - www

domains-folder:
  file.directory:
    - name: {{ folder }}
    - user: root
    - group: www-data
    - mode: "0750"
    - require:
      - file: tls-folder
      - pkg: nginx-packages

# A domain without a certificate fails this, and hurts no other: nothing requires it.
domains-certificates:
  site_domains.certificates_held:
    - name: {{ folder }}
    - domains: {{ rows | map(attribute="name") | list | json }}
    - group: www-data
    - require:
      - file: domains-folder

domains-nginx-site:
{%- if rows %}
  file.managed:
    - name: /etc/nginx/sites-enabled/domains.conf
    - source: salt://domains/templates/nginx-site.conf.j2
    - template: jinja
    - context: {{ {
        "rows": rows, "folder": folder, "ipv6": nginx.ipv6,
      } | json }}
    - user: root
    - group: root
    - mode: "0644"
    - check_cmd: /usr/local/sbin/nginx-check-candidate /etc/nginx/sites-enabled/domains.conf
    - require:
      - file: www-static-site
      - file: nginx-default-site
{%- else %}
  file.absent:
    - name: /etc/nginx/sites-enabled/domains.conf
{%- endif %}
    - watch_in:
      - service: nginx-service
