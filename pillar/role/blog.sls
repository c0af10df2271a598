#!jinja|yaml|gpg
# What every host with the role blog has.
{%- set level = salt["site_hosts.parse"](opts["id"]).level %}
{%- import_yaml "secrets/" ~ level ~ "/secrets.yaml" as secrets %}
{%- from "apps.jinja" import apps with context %}

include:
  - brokers

# --- the blog -----------------------------------------------------------------
nginx:
  trusted_proxies:
    roles: [frontend]

release:
  apps: {{ salt["site_apps.part"](apps, "runs", ["blog"]) | json }}
  live: {{ salt["site_deploy.live"]() | json }}

php-fpm:
  pools:
    blog: {}

wordpress:
  pool: blog
  sso:
    enabled: true
  search:
    peers: elastic
  secrets:
    database: {{ secrets["mariadb-blog"] | json }}
    database_admin: {{ secrets["mariadb-blog-admin"] | json }}
    keys: {{ secrets["wordpress-keys"] | json }}
    admin: {{ secrets["wordpress-admin"] | json }}
    search: {{ secrets["opensearch-blog"] | json }}

# --- one login ----------------------------------------------------------------
sso-gate:
  sites:
    blog: {client: blog}
  secrets:
    passphrase: {{ secrets["sso-gate-blog"] | json }}
    store: {{ secrets["redis-sessions"] | json }}
    clients:
      blog: {{ secrets["oidc-blog"] | json }}
