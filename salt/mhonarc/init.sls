{%- import_yaml "mhonarc/defaults.yaml" as defaults %}
{%- import_yaml "postfix/defaults.yaml" as postfix_defaults %}
{%- import_yaml "site-pages/defaults.yaml" as pages_defaults %}
{%- set mhonarc = salt["slsutil.merge"](defaults, pillar.get("mhonarc", {})) %}
{%- set postfix = salt["slsutil.merge"](postfix_defaults, pillar.get("postfix", {})) %}
{%- set pages = salt["slsutil.merge"](pages_defaults, pillar.get("site-pages", {})) %}
{%- set context = {
      "folder": mhonarc.folder, "group": mhonarc.group, "mailbox": postfix.mailbox,
      "host": mhonarc.host ~ "." ~ pillar["site"]["domain"], "level": pillar["site"]["level"],
      "name": pages.name, "ipv6": pillar.get("nginx", {}).get("ipv6", False),
    } %}
{#- A level without that site has nothing to show: its mail goes to people. #}
{%- if mhonarc.host in pillar["sites"] %}
{%-   if postfix.deliver != "sink" %}
{%-     do raise("mhonarc: postfix:deliver is '" ~ postfix.deliver ~ "', and only a sink is shown on a page") %}
{%-   endif %}
{%-   if mhonarc.group not in pillar["sso-gate"]["sites"][mhonarc.host].get("groups", []) %}
{%-     do raise("mhonarc: the group '" ~ mhonarc.group ~ "' is not in pillar sso-gate:sites:" ~ mhonarc.host ~ ":groups") %}
{%-   endif %}

include:
  - nginx
  - postfix
  - site-pages
  - sso-gate

mhonarc-packages:
  pkg.installed:
    - pkgs: [mhonarc]
    - install_recommends: False

mhonarc-program:
  file.managed:
    - name: /usr/local/lib/saltworks/mail-pages
    - source: salt://mhonarc/files/mail-pages
    - user: root
    - group: root
    - mode: "0755"
    - makedirs: True

mhonarc-look:
  file.managed:
    - name: /etc/mhonarc/pages.mrc
    - source: salt://mhonarc/templates/pages.mrc.j2
    - template: jinja
    - context: {{ context | json }}
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True

# Who may come in here may read all of it: nginx.
mhonarc-folder:
  file.directory:
    - name: {{ mhonarc.folder }}
    - user: {{ postfix.mailbox.user }}
    - group: www-data
    - mode: "0750"
    - require:
      - user: postfix-mailbox-user

{%- set units = ["mhonarc.service", "mhonarc.path", "mhonarc-all.service", "mhonarc-all.timer"] %}
{%- for unit in units %}

mhonarc-unit-{{ unit | replace(".", "-") }}:
  file.managed:
    - name: /etc/systemd/system/{{ unit }}
    - source: salt://mhonarc/templates/{{ unit }}.j2
    - template: jinja
    - context: {{ context | json }}
    - user: root
    - group: root
    - mode: "0644"
{%- endfor %}

mhonarc-units-reload:
  cmd.run:
    - name: systemctl daemon-reload
    - onchanges:
{%- for unit in units %}
      - file: mhonarc-unit-{{ unit | replace(".", "-") }}
{%- endfor %}

# At first, and in another look.
mhonarc-pages:
  cmd.run:
    - name: systemctl start mhonarc-all.service
    - unless: test {{ mhonarc.folder }}/pages/index.html -nt /etc/mhonarc/pages.mrc
    - require:
      - pkg: mhonarc-packages
      - file: mhonarc-program
      - file: mhonarc-look
      - file: mhonarc-folder
      - file: postfix-mailbox
      - file: postfix-mailbox-age
      - cmd: mhonarc-units-reload
{%- for unit in ["mhonarc.path", "mhonarc-all.timer"] %}

mhonarc-{{ "arrival" if unit == "mhonarc.path" else "daily" }}:
  service.running:
    - name: {{ unit }}
    - enable: True
    - require:
      - cmd: mhonarc-pages
    - watch:
      - file: mhonarc-unit-{{ unit | replace(".", "-") }}
{%- endfor %}

mhonarc-filter:
  file.managed:
    - name: /usr/local/share/mhonarc-site/filter.js
    - source: salt://mhonarc/files/filter.js
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True
    - dir_mode: "0755"

mhonarc-nginx-site:
  file.managed:
    - name: /etc/nginx/sites-enabled/mhonarc.conf
    - source: salt://mhonarc/templates/nginx-site.conf.j2
    - template: jinja
    - context: {{ context | json }}
    - user: root
    - group: root
    - mode: "0644"
    - check_cmd: /usr/local/sbin/nginx-check-candidate /etc/nginx/sites-enabled/mhonarc.conf
    - require:
      - file: nginx-default-site
      - sls: sso-gate
    - watch_in:
      - service: nginx-service
{%- endif %}
