#!jinja|yaml|gpg
# What every host has whose apps ask the databases, the search engine and the keystores:
# brokers on its own 127.0.0.1.
{%- set level = salt["site_hosts.parse"](opts["id"]).level %}
{%- import_yaml "secrets/" ~ level ~ "/secrets.yaml" as secrets %}

# --- the database -----------------------------------------------------------
haproxy:
  proxies:
    mariadb:
      port: 3306
      peers: db
      peer_port: 3306
      health_port: 9200
    # Without a search engine pages and edits go on.
    opensearch:
      port: 9200
      peers: elastic
      peer_port: 9200
      health_port: 9200
      health_path: /_plugins/_security/health
      health_tls: true
      optional: true

# --- keystores -------------------------------------------------------------
nutcracker:
  pools:
    sessions-memcached:
      port: 11211
      protocol: memcached
      peers: memcache-sessions
      peer_port: 11211
      # A shard left out by mistake logs people out: one slow answer is not enough.
      server_failure_limit: 2
    sessions-redis:
      port: 6379
      protocol: redis
      peers: redis-sessions
      peer_port: 6379
      server_failure_limit: 2
    cache-memcached:
      port: 11255
      protocol: memcached
      peers: memcache-cache
      peer_port: 11211
    cache-redis:
      port: 6355
      protocol: redis
      peers: redis-cache
      peer_port: 6379
  secrets:
    redis-sessions: {{ secrets["redis-sessions"] | json }}
    redis-cache: {{ secrets["redis-cache"] | json }}
