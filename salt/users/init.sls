{%- import_yaml "users/account.yaml" as defaults %}
{%- set users = salt["site_users.plan"](pillar.get("users", {}), defaults) %}

users-packages:
  pkg.installed:
    - pkgs: [procps, sudo]

users-keys-folder:
  file.directory:
    - name: /etc/ssh/authorized_keys.d
    - user: root
    - group: root
    - mode: "0755"
    - makedirs: True
{%- for user in users.present %}

users-{{ user.name }}-account:
  user.present:
    - name: {{ user.name }}
    - fullname: {{ user.full_name | json }}
    - home: {{ user.home | json }}
    - createhome: True
    - shell: {{ user.shell }}
    - groups: {{ user.groups | json }}

# Root's file in root's folder: nobody adds a key of their own to it.
users-{{ user.name }}-keys:
  file.managed:
    - name: /etc/ssh/authorized_keys.d/{{ user.name }}
    - source: salt://users/templates/authorized_keys.j2
    - template: jinja
    - context: {{ {"keys": user["keys"]} | json }}
    - user: root
    - group: root
    - mode: "0644"
    - check_cmd: /usr/bin/ssh-keygen -l -f
    - require:
      - user: users-{{ user.name }}-account
      - file: users-keys-folder
{%-   if user.sudo %}

users-{{ user.name }}-sudo:
  file.managed:
    - name: /etc/sudoers.d/saltworks-{{ user.name }}
    - source: salt://users/templates/sudoers.j2
    - template: jinja
    - context: {{ {"name": user.name} | json }}
    - user: root
    - group: root
    - mode: "0440"
    - check_cmd: /usr/sbin/visudo -cf
    - require:
      - pkg: users-packages
      - user: users-{{ user.name }}-account
{%-   else %}

users-{{ user.name }}-no-sudo:
  file.absent:
    - name: /etc/sudoers.d/saltworks-{{ user.name }}
{%-   endif %}
{%- endfor %}
{%- for user in users.absent %}

# The ways back in go first, then what runs, then the account: nothing can be
# started in between.
users-{{ user.name }}-ways-in:
  file.absent:
    - names:
      - /etc/ssh/authorized_keys.d/{{ user.name }}
      - {{ user.home }}/.ssh/authorized_keys
      - /etc/sudoers.d/saltworks-{{ user.name }}
      - /var/spool/cron/crontabs/{{ user.name }}
      - /var/lib/systemd/linger/{{ user.name }}

users-{{ user.name }}-sessions-ended:
  cmd.run:
    - name: pkill -KILL -u {{ user.name }}
    - onlyif: pgrep -u {{ user.name }}
    - require:
      - file: users-{{ user.name }}-ways-in
      - pkg: users-packages

users-{{ user.name }}-account-removed:
  user.absent:
    - name: {{ user.name }}
    - purge: {{ user.remove_home }}
    - require:
      - cmd: users-{{ user.name }}-sessions-ended
{%-   if not user.remove_home %}

# The number of the account is free now: who gets it next must not own this.
users-{{ user.name }}-home-kept:
  file.directory:
    - name: {{ user.home }}
    - user: root
    - group: root
    - mode: "0700"
    - onlyif: test -d {{ user.home }}
    - require:
      - user: users-{{ user.name }}-account-removed
{%-   endif %}
{%- endfor %}
