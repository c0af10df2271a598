#!jinja|yaml|gpg
# What every host with the role salt has.
{%- set level = salt["site_hosts.parse"](opts["id"]).level %}
{%- import_yaml "domains.yaml" as domains %}
{%- import_yaml "apps.yaml" as apps %}
{%- import_yaml "secrets/" ~ level ~ "/secrets.yaml" as secrets %}
ca:
  # Each frontend gets a certificate for each of them.
  domains: {{ (domains.get(level) or {}).keys() | sort | json }}

{%- set repositories, signs = {}, {} %}
{%- for name, app in apps.items() if level in app.branches %}
{%-   do repositories.update({app.repository: {"app": name, "branches": [app.branches[level]]}}) %}
{%-   do signs.update({name: secrets["hook-" ~ name]}) %}
{%- endfor %}
hook:
  # None in a level that no branch is for: then every push is refused.
  repositories: {{ repositories | json }}
  secrets: {{ signs | json }}
