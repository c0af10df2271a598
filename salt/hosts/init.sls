hosts-file:
  file.managed:
    - name: /etc/hosts
    - source: salt://hosts/templates/hosts.j2
    - template: jinja
    - context: {{ {
        "hosts": salt["site_hosts.everyone"](),
        "frontends": salt["site_hosts.peers"]("frontend", minimum=0),
        "domain": pillar["site"]["domain"],
        "sites": pillar["static-sites"].keys() | list + (pillar["sites"].keys() | list),
      } | json }}
    - user: root
    - group: root
    - mode: "0644"
