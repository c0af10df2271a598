{%- import_yaml "openssh/defaults.yaml" as defaults %}
{%- set openssh = salt["slsutil.merge"](defaults, pillar.get("openssh", {})) %}
{%- set logins = openssh.allow_users + salt["site_users.names"](pillar.get("users", {})) %}
{%- if not logins %}
  {#- Without a name, sshd would let every account in. #}
  {{- raise("openssh:allow_users and users are both empty: nobody could log in. Name somebody") }}
{%- endif %}

openssh-packages:
  pkg.installed:
    - pkgs: [openssh-server]

# The drop-in counts only where the main file reads the folder, first of all.
openssh-include:
  file.prepend:
    - name: /etc/ssh/sshd_config
    - text: Include /etc/ssh/sshd_config.d/*.conf
    - require:
      - pkg: openssh-packages

# sshd takes the first value it meets, hence a name that sorts before others.
openssh-config:
  file.managed:
    - name: /etc/ssh/sshd_config.d/00-saltworks.conf
    - source: salt://openssh/templates/sshd.conf.j2
    - template: jinja
    - context: {{ {"openssh": openssh, "logins": logins | unique | sort} | json }}
    - user: root
    - group: root
    - mode: "0644"
    - check_cmd: /usr/sbin/sshd -t -f
    - require:
      - pkg: openssh-packages

openssh-unit:
  file.managed:
    - name: /etc/systemd/system/ssh.service.d/saltworks.conf
    - source: salt://openssh/files/ssh.service.conf
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True

openssh-unit-known:
  cmd.run:
    - name: systemctl daemon-reload
    - onchanges:
      - file: openssh-unit

openssh-service:
  service.running:
    - name: ssh
    - enable: True
    # Sessions live on, and a file that sshd refuses leaves the old one in use.
    - reload: True
    - require:
      - cmd: openssh-unit-known
    - watch:
      - file: openssh-include
      - file: openssh-config
