#!jinja|yaml|gpg
# What every host with the role mail has.
{%- set level = salt["site_hosts.parse"](opts["id"]).level %}
{%- import_yaml "secrets/" ~ level ~ "/secrets.yaml" as secrets %}
postfix:
  shape: relay
  filters: ["inet:127.0.0.1:11332"]

rspamd:
  secrets:
    dkim: {{ secrets["mail-dkim-rsa-key"] | json }}
{%- if "mail" in salt["site_hosts.sites"](level) %}

# --- the level's mailbox, for operators to read ----------------------------------
nginx:
  trusted_proxies:
    roles: [frontend]

sso-gate:
  store: host
  sites:
    mail: {client: operators, groups: [operators]}
  secrets:
    passphrase: {{ secrets["sso-gate-operators"] | json }}
    clients:
      operators: {{ secrets["oidc-operators"] | json }}
{%- endif %}
