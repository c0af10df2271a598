{%- import_yaml "resolver/defaults.yaml" as defaults %}
{%- set resolver = salt["slsutil.merge"](defaults, pillar.get("resolver", {})) %}
{%- if resolver.nameservers %}

resolver-config:
  file.managed:
    - name: /etc/resolv.conf
    - source: salt://resolver/templates/resolv.conf.j2
    - template: jinja
    - context: {{ {"resolver": resolver} | json }}
    - user: root
    - group: root
    - mode: "0644"
    # A link would lead into a file that some other program writes.
    - follow_symlinks: False
{%- else %}

resolver-of-the-machine:
  test.succeed_without_changes:
    - name: /etc/resolv.conf
    - comment: Pillar resolver:nameservers is empty; the file stays as the machine gave it
{%- endif %}
