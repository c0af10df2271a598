# What every host with the role cache has.
{%- set host = salt["site_hosts.parse"](opts["id"]) %}
{%- import_yaml "level/" ~ host.level ~ ".sls" as level %}
{%- set small = level.site.size == "small" %}
{%- if "memcache" in host.roles %}
memcached:
  memory: {{ 32 if small else 4096 }}
  connections: {{ 512 if small else 4096 }}
  flush: true
{%- endif %}
{%- if "redis" in host.roles %}
redis:
  memory: {{ 16 if small else 2048 }}
  # Whatever is lost can be computed again.
  persistent: false
  eviction: allkeys-lru
{%- endif %}
