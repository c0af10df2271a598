{%- import_yaml "chrony/defaults.yaml" as defaults %}
{%- set chrony = salt["slsutil.merge"](defaults, pillar.get("chrony", {})) %}
{%- if salt["site_machine.owns_clock"]() %}

chrony-packages:
  pkg.installed:
    - pkgs: [chrony]

chrony-config:
  file.managed:
    - name: /etc/chrony/chrony.conf
    - source: salt://chrony/templates/chrony.conf.j2
    - template: jinja
    - context: {{ {"chrony": chrony} | json }}
    - user: root
    - group: root
    - mode: "0644"
    # AppArmor lets chronyd read nothing outside its own folder.
    - tmp_dir: /etc/chrony
    - tmp_ext: .tmp
    - check_cmd: /usr/sbin/chronyd -p -f
    - require:
      - pkg: chrony-packages

chrony-service:
  service.running:
    - name: chrony
    - enable: True
    - watch:
      - file: chrony-config
{%- else %}

chrony-clock-of-the-machine:
  test.succeed_without_changes:
    - name: chrony
    - comment: In a container the clock belongs to the machine; nothing to do here
{%- endif %}
