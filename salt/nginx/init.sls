{%- import_yaml "nginx/defaults.yaml" as defaults %}
{%- import_yaml "site-pages/causes.yaml" as causes %}
{%- set nginx = salt["slsutil.merge"](defaults, pillar.get("nginx", {})) %}
{%- set own_address = salt["site_hosts.address"]() %}
{%- set cdn = pillar.get("cdn", {}) if nginx.tls and pillar.get("cdn", {}).get("enabled") else {} %}
{%- set client_header = cdn.get("client_header", nginx.trusted_proxies.header) %}
{%- set proxies = cdn.get("networks", []) | list %}
{%- set uncounted = [] %}
{%- for role in nginx.rate_limit.exempt_roles %}
{%-   do uncounted.extend(salt["site_hosts.peers"](role, minimum=0) | map(attribute="address")) %}
{%- endfor %}
{%- for role in nginx.trusted_proxies.roles %}
{%-   do proxies.extend(salt["site_hosts.peers"](role, minimum=0) | map(attribute="address")) %}
{%- endfor %}

include:
  - site-pages
{%- if nginx.tls %}
  - tls
{%- endif %}

nginx-packages:
  pkg.installed:
    - pkgs: [nginx]
    - install_recommends: False

nginx-checker:
  file.managed:
    - name: /usr/local/sbin/nginx-check-candidate
    - source: salt://nginx/files/nginx-check-candidate
    - user: root
    - group: root
    - mode: "0755"

nginx-config:
  file.managed:
    - name: /etc/nginx/nginx.conf
    - source: salt://nginx/templates/nginx.conf.j2
    - template: jinja
    - context: {{ {
        "nginx": nginx, "proxies": proxies, "own_address": own_address,
        "client_header": client_header, "uncounted": uncounted,
      } | json }}
    - user: root
    - group: root
    - mode: "0644"
    - check_cmd: /usr/local/sbin/nginx-check-candidate /etc/nginx/nginx.conf
    - require:
      - pkg: nginx-packages
      - file: nginx-checker
{%- if nginx.tls %}
      - sls: tls
{%- endif %}

nginx-edge-headers:
  file.managed:
    - name: /etc/nginx/snippets/edge-headers.conf
    - source: salt://nginx/templates/edge-headers.conf.j2
    - template: jinja
    - context: {{ {"nginx": nginx} | json }}
    - user: root
    - group: root
    - mode: "0644"
    - check_cmd: /usr/local/sbin/nginx-check-candidate /etc/nginx/snippets/edge-headers.conf
    - require:
      - file: nginx-config

# What every site of this host includes: pages for what nginx itself has to say.
{%- for path, template in [
      ("conf.d/failure-maps.conf", "failure-maps"), ("snippets/site-pages.conf", "site-pages"),
    ] %}

nginx-{{ template }}:
  file.managed:
    - name: /etc/nginx/{{ path }}
    - source: salt://nginx/templates/{{ template }}.conf.j2
    - template: jinja
    - context: {{ {"causes": causes} | json }}
    - user: root
    - group: root
    - mode: "0644"
    - check_cmd: /usr/local/sbin/nginx-check-candidate /etc/nginx/{{ path }}
    - require:
      - file: site-pages-folder
      - file: {{ "nginx-config" if template == "failure-maps" else "nginx-failure-maps" }}
    - watch_in:
      - service: nginx-service
{%- endfor %}

# The packager's welcome page claims the names that no other site has.
nginx-packaged-site:
  file.absent:
    - name: /etc/nginx/sites-enabled/default
    - require:
      - pkg: nginx-packages

nginx-default-site:
  file.managed:
    - name: /etc/nginx/sites-enabled/00-default.conf
    - source: salt://nginx/templates/default-site.conf.j2
    - template: jinja
    - context: {{ {"nginx": nginx} | json }}
    - user: root
    - group: root
    - mode: "0644"
    - check_cmd: /usr/local/sbin/nginx-check-candidate /etc/nginx/sites-enabled/00-default.conf
    - require:
      - file: nginx-config
      - file: nginx-packaged-site
      - file: nginx-site-pages

# Old addresses: each host has a file, be it empty, which its site includes.
{%- for host in ([""] + nginx.sites.values() | map(attribute="host") | list) if nginx.sites %}

nginx-redirects-{{ host or "domain" }}:
  file.managed:
    - name: /etc/nginx/snippets/redirects-{{ host or "domain" }}.conf
    - source: salt://nginx/templates/redirects.conf.j2
    - template: jinja
    - context: {{ {"redirects": salt["site_redirects.of_host"](
        nginx.redirects, host, pillar["site"]["domain"])} | json }}
    - user: root
    - group: root
    - mode: "0644"
    - check_cmd: /usr/local/sbin/nginx-check-candidate /etc/nginx/snippets/redirects-{{ host or "domain" }}.conf
    - require:
      - file: nginx-edge-headers
    - require_in:
      - file: nginx-proxy-sites
    - watch_in:
      - service: nginx-service
{%- endfor %}

{%- for name, site in nginx.sites | dictsort %}
{%-   set upstream = dict({"read_timeout": 60}, **site.upstream) %}

nginx-site-{{ name }}:
  file.managed:
    - name: /etc/nginx/proxy-sites/{{ name }}.conf
    - source: salt://nginx/templates/proxy-site.conf.j2
    - template: jinja
    - context: {{ {
        "nginx": nginx, "name": name, "upstream": upstream, "causes": causes,
        "host": site.host ~ "." ~ pillar["site"]["domain"], "short": site.host,
        "max_body_size": site.get("max_body_size", nginx.max_body_size),
        "hidden": site.get("hidden", []),
        "closed": nginx.maintenance == "all" or name in nginx.maintenance,
        "cdn": cdn,
      } | json }}
    - user: root
    - group: root
    - mode: "0644"
    - check_cmd: /usr/local/sbin/nginx-check-candidate /etc/nginx/proxy-sites/{{ name }}.conf
    - makedirs: True
    - require:
      - file: nginx-edge-headers
      - file: nginx-default-site
      - file: nginx-redirects-{{ site.host }}
    - require_in:
      - file: nginx-proxy-sites
    - watch_in:
      - service: nginx-service
{%- endfor %}

# A site that left the pillar leaves the host. Sites that other components bring
# are not in this folder: this SLS alone must never take one away.
nginx-proxy-sites:
  file.directory:
    - name: /etc/nginx/proxy-sites
    - user: root
    - group: root
    - mode: "0755"
    - clean: True
    - require:
      - pkg: nginx-packages

nginx-unit:
  file.managed:
    - name: /etc/systemd/system/nginx.service.d/saltworks.conf
    - source: salt://nginx/files/nginx.service.conf
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True

nginx-unit-reload:
  cmd.run:
    - name: systemctl daemon-reload
    - onchanges:
      - file: nginx-unit

nginx-service:
  service.running:
    - name: nginx
    - enable: True
    - reload: True
    - require:
      - cmd: nginx-unit-reload
    - watch:
      - file: nginx-config
      - file: nginx-edge-headers
      - file: nginx-packaged-site
      - file: nginx-default-site
      - file: nginx-proxy-sites
{%- if nginx.tls %}
      - sls: tls
{%- endif %}
