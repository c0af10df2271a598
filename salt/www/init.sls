{%- import_yaml "www/defaults.yaml" as defaults %}
{%- import_yaml "nginx/defaults.yaml" as nginx_defaults %}
{%- import_yaml "site-pages/defaults.yaml" as pages_defaults %}
{%- set www = salt["slsutil.merge"](defaults, pillar.get("www", {}), merge_lists=False) %}
{%- set nginx = salt["slsutil.merge"](nginx_defaults, pillar.get("nginx", {})) %}
{%- set pages = salt["slsutil.merge"](pages_defaults, pillar.get("site-pages", {})) %}
{%- set domain = pillar["site"]["domain"] %}
{%- set sites = pillar["static-sites"] %}
{#- A site that no host of this level serves is no place to lead anybody to. #}
{%- set served = sites.keys() | list %}
{%- for name, site in pillar["sites"].items() if salt["site_hosts.peers"](site.role, minimum=0) %}
{%-   do served.append(name) %}
{%- endfor %}
{%- set cards = www.cards | selectattr("site", "in", served) | list %}
{%- set context = {
      "www": www, "pages": pages, "domain": domain, "cards": cards, "search": "search" in served,
    } %}

include:
  - nginx
  - site-pages

# Each file of a site's folder; what ends in .j2 is a template.
{%- for site, options in sites | dictsort %}
{%-   set source = "www/sites/" ~ site ~ "/" %}
{%-   set files = salt["cp.list_master"](prefix=source) | sort %}
{%-   if source ~ "index.html.j2" not in files and source ~ "index.html" not in files %}
{%-     do raise("www: static site '" ~ site ~ "' has no salt/" ~ source ~ "index.html.j2") %}
{%-   endif %}
{%-   for file in files %}
{%-     set name = (file | replace(source, "", 1)) | regex_replace("\\.j2$", "") %}

www-file-{{ site }}-{{ name | replace("/", "-") | replace(".", "-") | replace("_", "-") | lower }}:
  file.managed:
    - name: {{ www.folder }}/{{ site }}/{{ name }}
    - source: salt://{{ file }}
{%-     if file.endswith(".j2") %}
    - template: jinja
    - context: {{ dict(
        context, site=site, title=options.title,
        address="/" ~ (name | regex_replace("(^|/)index\\.html$", "")),
      ) | json }}
{%-     endif %}
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True
    - dir_mode: "0755"
    - require_in:
      - file: www-folder
{%-   endfor %}

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

# A site, or a file of one, that left the tree leaves the host.
www-folder:
  file.directory:
    - name: {{ www.folder }}
    - user: root
    - group: root
    - mode: "0755"
    - clean: True

{%- for path, template, needed in [
      ("snippets/static-site.conf", "static-site", "nginx-edge-headers"),
      ("sites-enabled/www.conf", "nginx-sites", "www-static-site"),
    ] %}

www-{{ template }}:
  file.managed:
    - name: /etc/nginx/{{ path }}
    - source: salt://www/templates/{{ template }}.conf.j2
    - template: jinja
    - context: {{ {
        "www": www, "nginx": {"tls": nginx.tls, "ipv6": nginx.ipv6}, "domain": domain,
        "sites": sites.keys() | sort,
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
    - watch_in:
      - service: nginx-service
{%- endfor %}
