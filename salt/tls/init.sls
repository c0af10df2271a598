{%- set given = "tls" in pillar %}
{%- set said = "The master gave this host a certificate" %}
{%- if not given %}
  {%- set said = "Pillar has no `tls`: the master made no certificate for " ~ opts["id"] ~
      ". Remedy: on the master, `salt-run state.orchestrate orch.up`, or `salt-call state.apply"
      " ca`; then this again" %}
{%- endif %}

# Every file below requires this, so a host without a certificate keeps its old one.
# The comment is lost under test=True, the name is not.
tls-given:
  test.{{ "succeed" if given else "fail" }}_without_changes:
    - name: {{ said | json }}
    - comment: {{ said | json }}

tls-group:
  group.present:
    - name: ssl-cert
    - system: True

tls-packages:
  pkg.installed:
    - pkgs: [ca-certificates, openssl]

tls-folder:
  file.directory:
    - name: /etc/ssl/site
    - user: root
    - group: root
    - mode: "0755"
    - makedirs: True

tls-key:
  file.managed:
    - name: /etc/ssl/site/host.key
    - contents_pillar: tls:host.key
    - user: root
    - group: ssl-cert
    - mode: "0640"
    - show_changes: False
    - require:
      - test: tls-given
      - group: tls-group
      - file: tls-folder

tls-certificate:
  file.managed:
    - name: /etc/ssl/site/host.crt
    - contents_pillar: tls:host.crt
    - user: root
    - group: root
    - mode: "0644"
    - require:
      - test: tls-given
      - file: tls-folder

tls-authority:
  file.managed:
    - name: /etc/ssl/site/ca.crt
    - contents_pillar: tls:ca.crt
    - user: root
    - group: root
    - mode: "0644"
    - require:
      - test: tls-given
      - file: tls-folder

tls-authority-for-the-system:
  file.managed:
    - name: /usr/local/share/ca-certificates/saltworks.crt
    - contents_pillar: tls:ca.crt
    - user: root
    - group: root
    - mode: "0644"
    - require:
      - test: tls-given
      - pkg: tls-packages

# Asks what is wanted rather than what has changed: a run that was cut short
# between the file and this is healed by the next.
tls-trust:
  cmd.run:
    - name: update-ca-certificates
    - unless: >-
        openssl verify -CAfile /etc/ssl/certs/ca-certificates.crt /etc/ssl/site/ca.crt
    - require:
      - file: tls-authority
      - file: tls-authority-for-the-system

# monit runs it (pillar/common.sls).
tls-check:
  file.managed:
    - name: /usr/local/lib/saltworks/certificates-check
    - source: salt://tls/files/certificates-check
    - makedirs: True
    - user: root
    - group: root
    - mode: "0755"
    - require:
      - pkg: tls-packages
