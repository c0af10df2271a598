hosts-file:
  file.managed:
    - name: /etc/hosts
    - source: salt://hosts/templates/hosts.j2
    - template: jinja
    - context: {{ {"hosts": salt["site_hosts.everyone"]()} | json }}
    - user: root
    - group: root
    - mode: "0644"
