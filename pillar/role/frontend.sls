#!jinja|yaml|gpg
# What every host with the role frontend has: nginx ends TLS, varnish caches, haproxy
# shares the requests among the hosts of each site.
{%- set level = salt["site_hosts.parse"](opts["id"]).level %}
{%- import_yaml "secrets/" ~ level ~ "/secrets.yaml" as secrets %}
{%- set sites = salt["site_hosts.sites"](level) %}
{%- import_yaml "redirects.yaml" as redirects %}
{%- import_yaml "domains.yaml" as domains %}
{%- from "apps.jinja" import apps with context %}
nginx:
  tls: true
  # A page of the wiki is ten requests; a building full of people shares an address.
  rate_limit:
    per_second: 30
    burst: 300
    exempt_roles: [salt]
  redirects: {{ redirects | json }}
  sites:
{%- for name, site in sites.items() %}
    {{ name }}:
      host: {{ name }}
{%-   if site.max_body_size is defined %}
      max_body_size: {{ site.max_body_size }}
{%-   endif %}
{%-   if site.get("health") == "/saltworks-health" %}
      hidden: [/saltworks-health]
{%-   endif %}
      upstream:
        port: 6081
        read_timeout: {{ site.get("read_timeout", 60) }}
{%- endfor %}

release:
  apps: {{ salt["site_apps.part"](apps, "runs", ["frontend"]) | json }}
  live: {{ salt["site_deploy.live"]() | json }}

domains:
  table: {{ (domains.get(level) or {}) | json }}

varnish:
  purge_roles: [app, blog, salt]
  secrets:
    cdn-key: {{ secrets["cdn-key"] | json }}
  sites:
{%- for name, site in sites.items() %}
    {{ name }}:
      host: {{ name }}
      socket: /run/haproxy/{{ name }}.sock
      read_timeout: {{ site.get("read_timeout", 60) }}
{%-   for key in ["cache", "ttl", "pass", "rules"] if key in site %}
      {{ key }}: {{ site[key] | json }}
{%-   endfor %}
{%- endfor %}

haproxy:
  connections: 4000
  site_socket_group: varnish
  check:
    interval_ms: 2000
  sites:
{%- for name, site in sites.items() %}
    {{ name }}:
      host: {{ name }}
{%-   for key in ["role", "port", "health", "host_connections", "read_timeout"] if key in site %}
      {{ key }}: {{ site[key] | json }}
{%-   endfor %}
{%- endfor %}
