#!jinja|yaml|gpg
# What every host with the role salt has.
{%- set level = salt["site_hosts.parse"](opts["id"]).level %}
{%- import_yaml "domains.yaml" as domains %}
{%- import_yaml "apps.yaml" as apps %}
{%- import_yaml "secrets/" ~ level ~ "/secrets.yaml" as secrets %}
ca:
  # Each frontend gets a certificate for each of them.
  domains: {{ (domains.get(level) or {}).keys() | sort | json }}

hook:
  repositories:
{%- for name, app in apps | dictsort if level in app.branches %}
    {{ app.repository }}: {app: {{ name }}, branches: [{{ app.branches[level] }}]}
{%- endfor %}
  secrets:
{%- for name, app in apps | dictsort if level in app.branches %}
    {{ name }}: {{ secrets["hook-" ~ name] | json }}
{%- endfor %}
