#!jinja|yaml|gpg
# What every host with the role app has.
{%- set level = salt["site_hosts.parse"](opts["id"]).level %}
{%- import_yaml "secrets/" ~ level ~ "/secrets.yaml" as secrets %}

# --- the wiki -----------------------------------------------------------------
nginx:
  trusted_proxies:
    roles: [frontend]

php-fpm:
  pools:
    wiki: {}
    # The search page: small answers, most of the time waiting for the search server.
    search:
      share: 10
      worker_mb: 20
      max_children: 12
      memory_limit: 64M
      request_timeout: 15
      slow_after: 5

mediawiki:
  pool: wiki
  sso:
    enabled: true
  search:
    peers: elastic
  cdn:
    roles: [frontend]
  secrets:
    database: {{ secrets["mariadb-wiki"] | json }}
    database_admin: {{ secrets["mariadb-wiki-admin"] | json }}
    sessions: {{ secrets["redis-sessions"] | json }}
    secret_key: {{ secrets["mediawiki-secret-key"] | json }}
    upgrade_key: {{ secrets["mediawiki-upgrade-key"] | json }}
    admin: {{ secrets["mediawiki-admin"] | json }}
    search: {{ secrets["opensearch-wiki"] | json }}

# --- the search of the whole site ----------------------------------------------
site-search:
  sites:
    wiki:
      label: wiki
      host: docs
      search: /w/index.php?title=Special:Search&fulltext=1&search=
    blog:
      label: blog
      host: blog
      search: /?s=
  secrets:
    password: {{ secrets["opensearch-search"] | json }}

# --- one login ----------------------------------------------------------------
sso-gate:
  sites:
    docs: {client: wiki}
  secrets:
    passphrase: {{ secrets["sso-gate-wiki"] | json }}
    store: {{ secrets["redis-sessions"] | json }}
    clients:
      wiki: {{ secrets["oidc-wiki"] | json }}

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
