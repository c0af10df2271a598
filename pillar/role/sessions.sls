# What every host with the role sessions has.
{%- set host = salt["site_hosts.parse"](opts["id"]) %}
{%- import_yaml "level/" ~ host.level ~ ".sls" as level %}
{%- set small = level.site.size == "small" %}
{%- if "memcache" in host.roles %}
memcached:
  memory: {{ 16 if small else 1024 }}
  connections: {{ 512 if small else 4096 }}
  flush: false
{%- endif %}
{%- if "redis" in host.roles %}
redis:
  memory: {{ 16 if small else 1024 }}
  # A restart (an upgrade, a reboot, a new password) must log nobody out.
  persistent: true
  # Each session has a time to live. When the memory is full, those nearest to
  # their end go: somebody logs in again a little early, where `noeviction` would
  # let nobody log in at all.
  eviction: volatile-ttl
{%- endif %}
