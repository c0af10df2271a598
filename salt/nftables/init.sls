{%- import_yaml "nftables/defaults.yaml" as defaults %}
{%- set nftables = salt["slsutil.merge"](defaults, pillar.get("nftables", {})) %}

nftables-packages:
  pkg.installed:
    - pkgs: [nftables]

nftables-config:
  file.managed:
    - name: /etc/nftables.conf
    - source: salt://nftables/templates/nftables.conf.j2
    - template: jinja
    - context: {{ {
        "nftables": nftables,
        "rules": salt["site_registry.firewall"](),
        "mail": salt["site_mail.outbound"](),
        "fence": salt["site_registry.fence"](nftables.fenced) if nftables.fenced.users else none,
      } | json }}
    - user: root
    - group: root
    - mode: "0644"
    - check_cmd: /usr/sbin/nft -c -f
    - require:
      - pkg: nftables-packages

# Debian's unit flushes every table when it stops, those of other programs too.
nftables-unit:
  file.managed:
    - name: /etc/systemd/system/nftables.service.d/site.conf
    - source: salt://nftables/files/unit.conf
    - makedirs: True
    - user: root
    - group: root
    - mode: "0644"
    - require:
      - pkg: nftables-packages

nftables-unit-read:
  cmd.run:
    - name: systemctl daemon-reload
    - onchanges:
      - file: nftables-unit

nftables-service:
  service.running:
    - name: nftables
    - enable: True
    - reload: True
    - require:
      - cmd: nftables-unit-read
    - watch:
      - file: nftables-config

# The unit stays active when somebody deletes the table.
nftables-loaded:
  cmd.run:
    - name: /usr/sbin/nft -f /etc/nftables.conf
    - unless: /usr/sbin/nft list chain inet site input
    - require:
      - service: nftables-service
