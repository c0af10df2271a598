#!jinja|yaml|gpg
# What every host with the role source has.
{%- set level = salt["site_hosts.parse"](opts["id"]).level %}
{%- import_yaml "secrets/" ~ level ~ "/secrets.yaml" as secrets %}
{%- import_yaml "upstreams.yaml" as upstreams %}
{%- from "apps.jinja" import apps with context %}
nginx:
  trusted_proxies:
    roles: [frontend]

nftables:
  fenced:
    # Whoever fetches packages for builds reaches the world and nobody inside.
    users: [builder-fetch]

openssh:
  # Whoever pushes comes in as git, by gitolite's own list of keys.
  allow_users: [fleet, vagrant, git]

gitolite:
  repositories:
{%- for name, app in apps.items() if app.branch and app.repository not in upstreams %}
    {{ app.repository }}: {branch: {{ app.branch | json }}}
{%- endfor %}
  read_only:
{%- for name, entry in upstreams.items() %}
{%-   if "git" in entry %}
    {{ name }}: {{ ("A mirror of " ~ entry.git ~ ". Nobody pushes here") | json }}
{%-   else %}
    {{ name }}: {{ ("What upstream released, from Debian's source package " ~ entry.debian ~ ". Nobody pushes here") | json }}
{%-   endif %}
{%- endfor %}
  secrets:
{%- for name, app in apps.items() if app.branch %}
    {{ app.repository }}: {{ secrets["hook-" ~ name] | json }}
{%- endfor %}

builder:
  apps: {{ salt["site_apps.part"](apps, "builds") | json }}

upstreams:
  repositories: {{ upstreams | json }}

monit:
  programs:
    # Whether the last night's run brought what the archive and others have.
    upstreams:
      command: /usr/local/lib/saltworks/git-upstreams check
      every: 15
      times: 1
