#!jinja|yaml|gpg
# What every host with the role accounts has.
{%- set level = salt["site_hosts.parse"](opts["id"]).level %}
{%- import_yaml "secrets/" ~ level ~ "/secrets.yaml" as secrets %}
{%- set sites = salt["site_hosts.sites"](level) %}

# --- the directory ------------------------------------------------------------
slapd:
  # Also who may be where: the pages and apps ask for these names.
  groups:
    operators:
      description: Pages for operators
      privileged: true
    wiki-admins:
      description: Administrators of the wiki
      privileged: true
    blog-admins:
      description: Administrators of the blog
      privileged: true
    blog-editors:
      description: Editors of the blog
  people:
    # The first one; further people sign up, or are made by an operator.
    operator:
      given_name: First
      surname: Operator
      groups: [operators]
  secrets:
    portal: {{ secrets["slapd-portal"] | json }}
    replicator: {{ secrets["slapd-replicator"] | json }}
    person-operator: {{ secrets["accounts-operator"] | json }}

# --- the portal ---------------------------------------------------------------
nginx:
  trusted_proxies:
    roles: [frontend]

lemonldap-ng:
  clients:
    wiki:
      title: Wiki
      site: docs
    testwiki:
      title: Test wiki
      site: test
    blog:
      title: Blog
      site: blog
{%- if "mail" in sites %}
    operators:
      title: Pages for operators
      site: mail
      extra_sites: []
      groups: [operators]
{%- endif %}
  secrets:
    directory: {{ secrets["slapd-portal"] | json }}
    database: {{ secrets["mariadb-accounts"] | json }}
    key: {{ secrets["lemonldap-key"] | json }}
    oidc_key: {{ secrets["lemonldap-oidc-rsa-key"] | json }}
    client-wiki: {{ secrets["oidc-wiki"] | json }}
    client-testwiki: {{ secrets["oidc-testwiki"] | json }}
    client-blog: {{ secrets["oidc-blog"] | json }}
{%- if "mail" in sites %}
    client-operators: {{ secrets["oidc-operators"] | json }}
{%- endif %}

# --- the database -----------------------------------------------------------
haproxy:
  proxies:
    mariadb:
      port: 3306
      peers: db
      peer_port: 3306
      health_port: 9200
