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
