#!jinja|yaml|gpg
# What every host with the role app has.
{%- set level = salt["site_hosts.parse"](opts["id"]).level %}
{%- import_yaml "secrets/" ~ level ~ "/secrets.yaml" as secrets %}
{%- from "apps.jinja" import apps with context %}

include:
  - brokers

# --- the wikis ----------------------------------------------------------------
nginx:
  trusted_proxies:
    roles: [frontend]

release:
  apps: {{ salt["site_apps.part"](apps, "runs", ["app"]) | json }}
  live: {{ salt["site_deploy.live"]() | json }}

php-fpm:
  pools:
    wiki: {}
    testwiki:
      share: 20
      max_children: 8
    # The search page: small answers, most of the time waiting for the search server.
    search:
      share: 10
      worker_mb: 20
      max_children: 12
      memory_limit: 64M
      request_timeout: 15
      slow_after: 5

mediawiki:
  wikis:
    docs:
      name: Web Platform Docs
      pool: wiki
      database: {name: wiki, user: wiki, admin: wiki_admin}
    # For trials: not in the site's search, and never for search engines.
    test:
      name: Web Platform Test Wiki
      pool: testwiki
      database: {name: testwiki, user: testwiki, admin: testwiki_admin}
      indexed: false
      search: {peers: ""}
  sso:
    enabled: true
  search:
    peers: elastic
  cdn:
    roles: [frontend]
  secrets:
    sessions: {{ secrets["redis-sessions"] | json }}
    search: {{ secrets["opensearch-wiki"] | json }}
    wikis:
      docs:
        database: {{ secrets["mariadb-wiki"] | json }}
        database_admin: {{ secrets["mariadb-wiki-admin"] | json }}
        secret_key: {{ secrets["mediawiki-secret-key"] | json }}
        upgrade_key: {{ secrets["mediawiki-upgrade-key"] | json }}
        admin: {{ secrets["mediawiki-admin"] | json }}
      test:
        database: {{ secrets["mariadb-testwiki"] | json }}
        database_admin: {{ secrets["mariadb-testwiki-admin"] | json }}
        secret_key: {{ secrets["mediawiki-testwiki-secret-key"] | json }}
        upgrade_key: {{ secrets["mediawiki-testwiki-upgrade-key"] | json }}
        admin: {{ secrets["mediawiki-testwiki-admin"] | json }}

# Each by its own name, pool and database: a page for operators, not for readers.
monit:
  programs:
    wiki-docs:
      command: /usr/local/lib/saltworks/wiki-check docs
      every: 6
      times: 1
    wiki-test:
      command: /usr/local/lib/saltworks/wiki-check test
      every: 6
      times: 1

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
    test: {client: testwiki}
  secrets:
    passphrase: {{ secrets["sso-gate-wiki"] | json }}
    store: {{ secrets["redis-sessions"] | json }}
    clients:
      wiki: {{ secrets["oidc-wiki"] | json }}
      testwiki: {{ secrets["oidc-testwiki"] | json }}
