{%- import_yaml "gitolite/defaults.yaml" as defaults %}
{%- set gitolite = salt["slsutil.merge"](defaults, pillar.get("gitolite", {}), merge_lists=False) %}
{%- set home, readers = "/var/lib/git", "git-readers" %}
{%- set seeds, spool = "/usr/local/share/git-seeds", "/var/spool/git-webhook" %}
{%- set local_code = "/usr/local/lib/saltworks/gitolite" %}
{%- set served = ((gitolite.repositories.keys() | list) + (gitolite.read_only.keys() | list)) | unique | sort %}
{%- set pushers = ((gitolite.users.keys() | list) + gitolite.accounts) | unique | sort %}

include:
  - tls

# Who is in this group may read every repository, and nothing else of the account's.
gitolite-readers:
  group.present:
    - name: {{ readers }}
    - system: True

# Before the package: left to itself it asks for a user of its own.
gitolite-user:
  user.present:
    - name: git
    - system: True
    - usergroup: True
    - home: {{ home }}
    - createhome: False
    # gitolite's command for each key is run by it; no key gets the shell itself.
    - shell: /bin/bash

gitolite-packages:
  pkg.installed:
    - pkgs: [git, gitolite3, python3]
    - install_recommends: False
    - require:
      - user: gitolite-user

# Readers pass through the home; what is not theirs there they cannot even list.
{%- for name, path, owner, group, mode in [
      ("home", "", "git", readers, "0710"),
      ("ssh", "/.ssh", "git", "git", "0700"),
      ("base", "/.gitolite", "git", "git", "0750"),
      ("conf", "/.gitolite/conf", "git", "git", "0750"),
      ("keydir", "/.gitolite/keydir", "root", "git", "0750"),
      ("repositories", "/repositories", "git", readers, "2750"),
    ] %}

gitolite-folder-{{ name }}:
  file.directory:
    - name: {{ home }}{{ path }}
    - user: {{ owner }}
    - group: {{ group }}
    - mode: "{{ mode }}"
    - require:
      - user: gitolite-user
      - group: gitolite-readers
{%-   if path %}
      - file: gitolite-folder-home
{%-   endif %}
    - require_in:
      - file: gitolite-rc
      - site_git: gitolite-keys
{%- endfor %}

gitolite-rc:
  file.managed:
    - name: {{ home }}/.gitolite.rc
    - source: salt://gitolite/templates/gitolite.rc.j2
    - template: jinja
    - context: {{ {"local_code": local_code} | json }}
    - user: root
    - group: git
    - mode: "0640"
    - check_cmd: perl -c

gitolite-conf:
  file.managed:
    - name: {{ home }}/.gitolite/conf/gitolite.conf
    - source: salt://gitolite/templates/gitolite.conf.j2
    - template: jinja
    - context: {{ {
        "pushers": pushers, "repositories": gitolite.repositories, "read_only": gitolite.read_only,
      } | json }}
    - user: root
    - group: git
    - mode: "0640"
    - require:
      - file: gitolite-rc

gitolite-keys:
  site_git.keys:
    - name: {{ home }}/.gitolite/keydir
    - users: {{ gitolite.users | json }}
    - accounts: {{ gitolite.accounts | json }}

# Every repository gets a link to it.
gitolite-hook:
  file.managed:
    - name: {{ local_code }}/hooks/common/post-receive
    - source: salt://gitolite/files/post-receive.py
    - user: root
    - group: root
    - mode: "0755"
    - makedirs: True
    - dir_mode: "0755"

gitolite-webhook-program:
  file.managed:
    - name: /usr/local/lib/saltworks/git-webhook
    - source: salt://gitolite/files/git-webhook.py
    - user: root
    - group: root
    - mode: "0755"
    - makedirs: True

{%- for name, path, owner, mode in [
      ("config", "/etc/git-webhook", "root", "0750"), ("spool", spool, "git", "0700"),
    ] %}

gitolite-webhook-folder-{{ name }}:
  file.directory:
    - name: {{ path }}
    - user: {{ owner }}
    - group: git
    - mode: "{{ mode }}"
    - require:
      - user: gitolite-user
    - require_in:
      - file: gitolite-webhook-config
{%- endfor %}

gitolite-webhook-config:
  file.managed:
    - name: /etc/git-webhook/config.json
    - source: salt://gitolite/templates/git-webhook.json.j2
    - template: jinja
    - context: {{ {
        "url": "https://" ~ gitolite.webhook.host ~ "." ~ pillar["site"]["domain"], "spool": spool,
      } | json }}
    - user: root
    - group: git
    - mode: "0640"
    - show_changes: False
    - check_cmd: /usr/local/lib/saltworks/git-webhook --check
    - require:
      - file: gitolite-webhook-program
      - pkg: gitolite-packages

{%- for unit in ["git-webhook.service", "git-webhook.timer"] %}

gitolite-unit-{{ unit | replace(".", "-") }}:
  file.managed:
    - name: /etc/systemd/system/{{ unit }}
    - source: salt://gitolite/files/{{ unit }}
    - user: root
    - group: root
    - mode: "0644"
{%- endfor %}

gitolite-units-known:
  cmd.run:
    - name: systemctl daemon-reload
    - onchanges:
      - file: gitolite-unit-git-webhook-service
      - file: gitolite-unit-git-webhook-timer

gitolite-webhook-timer:
  service.running:
    - name: git-webhook.timer
    - enable: True
    - require:
      - file: gitolite-webhook-config
      - cmd: gitolite-units-known
    - watch:
      - file: gitolite-unit-git-webhook-timer

gitolite-current:
  site_git.gitolite_current:
    - name: {{ home }}
    - user: git
    - repositories: {{ served | json }}
    - require:
      - pkg: gitolite-packages
      - file: gitolite-hook
    - watch:
      - file: gitolite-rc
      - file: gitolite-conf
      - site_git: gitolite-keys
{%- for name, why in gitolite.read_only | dictsort %}

# Who pushes reads it. Without it the rules refuse as well, and say no more than that.
gitolite-closed-{{ name | replace("/", "-") | replace(".", "-") | replace("_", "-") | lower }}:
  file.managed:
    - name: {{ home }}/repositories/{{ name }}.git/.gitolite.down
    - source: salt://gitolite/templates/gitolite.down.j2
    - template: jinja
    - context: {{ {"why": why} | json }}
    - user: root
    - group: git
    - mode: "0640"
    - require:
      - site_git: gitolite-current
{%- endfor %}
{%- set seeded = salt["cp.list_master"](prefix="gitolite/seeds/") %}
{%- if seeded %}

# World readable: git reads them as its own account.
gitolite-seeds:
  file.recurse:
    - name: {{ seeds }}
    - source: salt://gitolite/seeds
    - clean: True
    - user: root
    - group: root
    - dir_mode: "0755"
    - file_mode: "0644"
{%- endif %}
{%- for name, repository in gitolite.repositories | dictsort if name not in gitolite.read_only %}

gitolite-first-{{ name | replace("/", "-") | replace(".", "-") | replace("_", "-") | lower }}:
  site_git.seeded:
    - name: {{ home }}/repositories/{{ name }}.git
    - branch: {{ repository.branch }}
    - seed: {{ seeds }}/{{ name }}
    - user: git
    - require:
      - site_git: gitolite-current
{%-   if seeded %}
      - file: gitolite-seeds
{%-   endif %}
{%- endfor %}
