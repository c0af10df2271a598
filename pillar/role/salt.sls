#!jinja|yaml|gpg
# What every host with the role salt has.
{%- set level = salt["site_hosts.parse"](opts["id"]).level %}
{%- import_yaml "domains.yaml" as domains %}
{%- from "apps.jinja" import apps with context %}
{%- import_yaml "secrets/" ~ level ~ "/secrets.yaml" as secrets %}
ca:
  # Each frontend gets a certificate for each of them.
  domains: {{ (domains.get(level) or {}).keys() | sort | json }}

{%- set repositories, signs = {}, {} %}
{%- for name, app in apps.items() if app.branch %}
{%-   do repositories.update({app.repository: {"app": name, "branches": [app.branch]}}) %}
{%-   do signs.update({name: secrets["hook-" ~ name]}) %}
{%- endfor %}
hook:
  # None in a level that no branch is for: then every push is refused.
  repositories: {{ repositories | json }}
  secrets: {{ signs | json }}

deploy:
  apps: {{ apps | json }}

monit:
  programs:
    # A newer version is there than one that runs, or nobody has compared for hours.
    versions:
      command: /usr/local/lib/saltworks/versions-check
      every: 30
      times: 2

# The tree that it serves. Which that is, a clone may say, too; so no highstate does.
release:
  apps: {{ salt["site_apps.part"](apps, "runs", ["salt"]) | json }}
