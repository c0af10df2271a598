{%- import_yaml "www/defaults.yaml" as defaults %}
{%- import_yaml "nginx/defaults.yaml" as nginx_defaults %}
{%- import_yaml "release/defaults.yaml" as release_defaults %}
{%- set www = salt["slsutil.merge"](defaults, pillar.get("www", {}), merge_lists=False) %}
{%- set nginx = salt["slsutil.merge"](nginx_defaults, pillar.get("nginx", {})) %}
{%- set domain = pillar["site"]["domain"] %}
{%- set sites = pillar["static-sites"].keys() | sort %}
{%- set release = salt["slsutil.merge"](release_defaults, pillar.get("release", {}), merge_lists=False) %}

include:
  - nginx
  - release
  - site-pages

{%- for site in sites %}
{%-   if site not in release.apps %}
{%-     do raise("www: static site '" ~ site ~ "' has no branch for this level (pillar/static-sites.yaml)") %}
{%-   endif %}

www-redirects-{{ site }}:
  file.managed:
    - name: /etc/nginx/snippets/redirects-{{ site }}.conf
    - source: salt://nginx/templates/redirects.conf.j2
    - template: jinja
    - context: {{ {"redirects": salt["site_redirects.of_host"](nginx.redirects, site, domain)} | json }}
    - user: root
    - group: root
    - mode: "0644"
    - check_cmd: /usr/local/sbin/nginx-check-candidate /etc/nginx/snippets/redirects-{{ site }}.conf
    - require:
      - file: nginx-edge-headers
    - require_in:
      - file: www-nginx-sites
    - watch_in:
      - service: nginx-service
{%- endfor %}

www-robots:
  file.managed:
    - name: {{ www.folder }}/robots.txt
    - source: salt://www/templates/robots.txt.j2
    - template: jinja
    - context: {{ {"www": www} | json }}
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True
    - require_in:
      - file: www-folder

# What is no longer made here leaves the host.
www-folder:
  file.directory:
    - name: {{ www.folder }}
    - user: root
    - group: root
    - mode: "0755"
    - clean: True
    # Pages of before stay until there are others.
    - require:
      - sls: release

{%- for path, template, needed in [
      ("sites-enabled/static-release.conf", "static-release", "nginx-edge-headers"),
      ("snippets/static-site.conf", "static-site", "www-static-release"),
      ("sites-enabled/www.conf", "nginx-sites", "www-static-site"),
    ] %}

www-{{ template }}:
  file.managed:
    - name: /etc/nginx/{{ path }}
    - source: salt://www/templates/{{ template }}.conf.j2
    - template: jinja
    - context: {{ {
        "www": www, "nginx": {"tls": nginx.tls, "ipv6": nginx.ipv6}, "domain": domain,
        "sites": sites, "releases": "/srv/release",
      } | json }}
    - user: root
    - group: root
    - mode: "0644"
    - check_cmd: /usr/local/sbin/nginx-check-candidate /etc/nginx/{{ path }}
    - require:
      - file: {{ needed }}
      - file: nginx-redirects-domain
      - file: nginx-default-site
      - file: site-pages-folder
      - file: www-folder
      - sls: release
    - watch_in:
      - service: nginx-service
{%- endfor %}
