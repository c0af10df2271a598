#!jinja|yaml|gpg
# What every host with the role source has.
{%- set level = salt["site_hosts.parse"](opts["id"]).level %}
{%- import_yaml "secrets/" ~ level ~ "/secrets.yaml" as secrets %}
{%- import_yaml "apps.yaml" as table %}
{%- import_yaml "static-sites.yaml" as static %}
{%- set apps = salt["site_apps.of_level"](level, table, static) %}
nginx:
  trusted_proxies:
    roles: [frontend]

openssh:
  # Whoever pushes comes in as git, by gitolite's own list of keys.
  allow_users: [fleet, vagrant, git]

gitolite:
  repositories:
{%- for name, app in apps.items() %}
    {{ app.repository }}: {branch: {{ app.branch | json }}}
{%- endfor %}
  secrets:
{%- for name, app in apps.items() %}
    {{ app.repository }}: {{ secrets["hook-" ~ name] | json }}
{%- endfor %}

builder:
  apps: {{ salt["site_apps.part"](apps, "builds") | json }}
