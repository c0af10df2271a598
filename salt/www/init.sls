{%- import_yaml "www/defaults.yaml" as defaults %}
{%- import_yaml "nginx/defaults.yaml" as nginx_defaults %}
{%- import_yaml "site-pages/defaults.yaml" as pages_defaults %}
{%- set www = salt["slsutil.merge"](defaults, pillar.get("www", {}), merge_lists=False) %}
{%- set nginx = salt["slsutil.merge"](nginx_defaults, pillar.get("nginx", {})) %}
{%- set pages = salt["slsutil.merge"](pages_defaults, pillar.get("site-pages", {})) %}
{%- set domain = pillar["site"]["domain"] %}
{#- A site that no host of this level serves is no place to lead anybody to. #}
{%- set served = [] %}
{%- for name, site in pillar["sites"].items() if salt["site_hosts.peers"](site.role, minimum=0) %}
{%-   do served.append(name) %}
{%- endfor %}
{%- set cards = www.cards | selectattr("site", "in", served) | list %}

include:
  - nginx
  - site-pages

{%- for name in ["index.html", "robots.txt", ".well-known/security.txt"] %}
{%-   set file = name.split("/") | last %}

www-{{ file | replace(".", "-") }}:
  file.managed:
    - name: {{ www.folder }}/{{ name }}
    - source: salt://www/templates/{{ file }}.j2
    - template: jinja
    - context: {{ {
        "www": www, "pages": pages, "domain": domain, "cards": cards,
        "search": "search" in served,
      } | json }}
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True
    - dir_mode: "0755"
    - require_in:
      - file: www-nginx-site
{%- endfor %}

www-nginx-site:
  file.managed:
    - name: /etc/nginx/sites-enabled/www.conf
    - source: salt://www/templates/nginx-site.conf.j2
    - template: jinja
    - context: {{ {"www": www, "nginx": {"tls": nginx.tls, "ipv6": nginx.ipv6}, "domain": domain} | json }}
    - user: root
    - group: root
    - mode: "0644"
    - check_cmd: /usr/local/sbin/nginx-check-candidate /etc/nginx/sites-enabled/www.conf
    - require:
      - file: nginx-edge-headers
      - file: nginx-redirects-www
      - file: nginx-redirects-domain
      - file: nginx-default-site
      - file: site-pages-folder
    - watch_in:
      - service: nginx-service
