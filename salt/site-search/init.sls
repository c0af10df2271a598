{%- import_yaml "site-search/defaults.yaml" as defaults %}
{%- set search = salt["slsutil.merge"](defaults, pillar.get("site-search", {}), merge_lists=False) %}
{%- set domain = pillar["site"]["domain"] %}
{#- Without the password: the template takes that from pillar itself, so that it is
    not in the compiled states. #}
{%- set settings = dict(search) %}
{%- do settings.pop("secrets") %}
{%- if search.pool not in pillar.get("php-fpm", {}).get("pools", {}) %}
{%-   do raise("site-search: its pool '" ~ search.pool ~ "' is not in pillar php-fpm:pools") %}
{%- endif %}
{%- if not search.secrets.get("password") %}
{%-   do raise("site-search: pillar site-search:secrets has no 'password'") %}
{%- endif %}
{%- if not search.sites %}
{%-   do raise("site-search: pillar site-search:sites names no site to search") %}
{%- endif %}

include:
  - nginx
  - php-fpm
  - tls
  - site-search.client

site-search-page:
  file.managed:
    - name: /usr/local/share/site-search/page.php
    - source: salt://site-search/files/page.php
    - user: root
    - group: root
    - mode: "0644"
    - check_cmd: php -l
    - require:
      - pkg: php-fpm-packages
      - pkg: site-search-client-packages
      - file: site-search-client

site-search-config:
  file.managed:
    - name: /etc/site-search/config.php
    - source: salt://site-search/templates/config.php.j2
    - template: jinja
    - context: {{ {"search": settings, "domain": domain} | json }}
    - user: root
    - group: {{ search.pool }}
    - mode: "0640"
    - makedirs: True
    - dir_mode: "0755"
    - show_changes: False
    - check_cmd: php -l
    - require:
      - pkg: php-fpm-packages
      - user: php-fpm-user-{{ search.pool }}

site-search-nginx-site:
  file.managed:
    - name: /etc/nginx/sites-enabled/site-search.conf
    - source: salt://site-search/templates/nginx-site.conf.j2
    - template: jinja
    - context: {{ {
        "search": settings, "host": search.host ~ "." ~ domain,
        "ipv6": pillar.get("nginx", {}).get("ipv6", False),
      } | json }}
    - user: root
    - group: root
    - mode: "0644"
    - check_cmd: /usr/local/sbin/nginx-check-candidate /etc/nginx/sites-enabled/site-search.conf
    - require:
      - file: nginx-default-site
      - file: site-search-config
      - file: site-search-page
    - watch_in:
      - service: nginx-service
