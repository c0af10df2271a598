# postfix: mail, on every host. README.md beside this file says what it sets up.
{%- import_yaml "postfix/defaults.yaml" as defaults %}
{%- set postfix = salt["slsutil.merge"](defaults, pillar.get("postfix", {})) %}
{%- set relay = postfix.shape == "relay" %}
{%- set domain = pillar["site"]["domain"] %}
{%- if relay %}
{%-   set context = salt["site_mail.relay"](
        domain, salt["site_hosts.parse"](), salt["site_hosts.everyone"](), postfix) %}
{%- else %}
{%-   set context = salt["site_mail.satellite"](
        domain, salt["site_hosts.parse"](), salt["site_hosts.peers"]("mail", minimum=0)) %}
{%- endif %}

include:
  - tls

postfix-check:
  file.managed:
    - name: /usr/local/lib/saltworks/postfix-check
    - source: salt://postfix/files/postfix-check
    - user: root
    - group: root
    - mode: "0755"
    - makedirs: True

# Before the package, which starts the daemon: it never runs with a configuration
# that is not ours, and starts once.
postfix-config:
  file.managed:
    - name: /etc/postfix/main.cf
    - source: salt://postfix/templates/{{ postfix.shape }}.cf.j2
    - template: jinja
    - context: {{ {
        "postfix": postfix, "host_id": opts["id"], "domain": domain,
        "address": salt["site_hosts.address"](), "mail": context,
      } | json }}
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True
    - check_cmd: /usr/local/lib/saltworks/postfix-check
    - require:
      - file: postfix-check
      - file: tls-authority

postfix-packages:
  pkg.installed:
    - pkgs: [postfix]
    - install_recommends: False
    - require:
      - file: postfix-config

postfix-queue-check:
  file.managed:
    - name: /usr/local/lib/saltworks/mail-queue-check
    - source: salt://postfix/files/mail-queue-check.py
    - user: root
    - group: root
    - mode: "0755"
    - makedirs: True
{%- if relay %}

postfix-aliases:
  file.managed:
    - name: /etc/postfix/site-aliases
    - source: salt://postfix/templates/site-aliases.j2
    - template: jinja
    - context: {{ {"aliases": context.aliases} | json }}
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True
    - require_in:
      - file: postfix-config
    - watch_in:
      - service: postfix-service

postfix-names:
  file.managed:
    - name: /etc/postfix/site-names
    - source: salt://postfix/templates/site-names.j2
    - template: jinja
    - context: {{ {"names": context.names} | json }}
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True
    - require_in:
      - file: postfix-config
    - watch_in:
      - service: postfix-service

postfix-mailbox-user:
  user.present:
    - name: {{ postfix.mailbox.user }}
    - uid: {{ postfix.mailbox.uid }}
    - usergroup: True
    - system: True
    - home: {{ postfix.mailbox.folder }}
    - createhome: False
    - shell: /usr/sbin/nologin

postfix-mailbox:
  file.directory:
    - names:
      - {{ postfix.mailbox.folder }}
      - {{ postfix.mailbox.folder }}/maildir
      - {{ postfix.mailbox.folder }}/maildir/cur
      - {{ postfix.mailbox.folder }}/maildir/new
      - {{ postfix.mailbox.folder }}/maildir/tmp
    - user: {{ postfix.mailbox.user }}
    - group: {{ postfix.mailbox.user }}
    - mode: "0700"
    - require:
      - user: postfix-mailbox-user
    - require_in:
      - file: postfix-config

# Once a day systemd-tmpfiles-clean.timer goes by it.
postfix-mailbox-age:
  file.managed:
    - name: /etc/tmpfiles.d/sink-mail.conf
    - source: salt://postfix/templates/sink-mail.conf.j2
    - template: jinja
    - context: {{ {"mailbox": postfix.mailbox} | json }}
    - user: root
    - group: root
    - mode: "0644"

postfix-mailbox-reader:
  file.managed:
    - name: /usr/local/bin/sink-mail
    - source: salt://postfix/files/sink-mail.py
    - user: root
    - group: root
    - mode: "0755"
{%- endif %}

postfix-service:
  service.running:
    - name: postfix
    - enable: True
    - reload: True
    - require:
      - pkg: postfix-packages
    - watch:
      - file: postfix-config
