{%- import_yaml "ca/defaults.yaml" as defaults %}
{%- set ca = salt["slsutil.merge"](defaults, pillar.get("ca", {})) %}
{%- set hosts = salt["site_ca.certificates"](pillar["site"]["domain"]) %}
{%- set ids = hosts | map(attribute="id") | map("regex_escape") | join("|") %}

ca-folder:
  file.directory:
    - name: {{ ca.folder }}
    - user: root
    - group: root
    - mode: "0700"
    - makedirs: True

ca-key:
  x509.private_key_managed:
    - name: {{ ca.folder }}/ca.key
    - algo: ec
    - keysize: 384
    - require:
      - file: ca-folder

ca-certificate:
  x509.certificate_managed:
    - name: {{ ca.folder }}/ca.crt
    - private_key: {{ ca.folder }}/ca.key
    - signing_private_key: {{ ca.folder }}/ca.key
    - CN: Saltworks {{ pillar["site"]["level"] }} authority
    - O: Saltworks {{ pillar["site"]["level"] }}
    - basicConstraints: critical, CA:TRUE, pathlen:0
    - keyUsage: critical, cRLSign, keyCertSign
    - subjectKeyIdentifier: hash
    - days_valid: {{ ca.ca_days_valid }}
    - days_remaining: {{ ca.ca_days_remaining }}
    - require:
      - x509: ca-key

ca-tree:
  file.directory:
    - name: {{ ca.tree }}
    - user: root
    - group: root
    - mode: "0700"
    - makedirs: True

# A host whose key the master no longer accepts loses its folder.
ca-hosts:
  file.directory:
    - name: {{ ca.tree }}/hosts
    - user: root
    - group: root
    - mode: "0700"
    - clean: True
    - exclude_pat: {{ ("E@^(" ~ ids ~ ")(/|$)") | json }}
    - require:
      - file: ca-tree
{%- for host in hosts %}
{%-   set folder = ca.tree ~ "/hosts/" ~ host.id ~ "/tls" %}

ca-{{ host.name }}-folder:
  file.directory:
    - name: {{ folder }}
    - user: root
    - group: root
    - mode: "0700"
    - makedirs: True
    - require:
      - file: ca-hosts

ca-{{ host.name }}-key:
  x509.private_key_managed:
    - name: {{ folder }}/host.key
    - algo: ec
    - keysize: 256
    - require:
      - file: ca-{{ host.name }}-folder

ca-{{ host.name }}-certificate:
  x509.certificate_managed:
    - name: {{ folder }}/host.crt
    - private_key: {{ folder }}/host.key
    - signing_private_key: {{ ca.folder }}/ca.key
    - signing_cert: {{ ca.folder }}/ca.crt
    - CN: {{ host.name }}
    - O: Saltworks {{ pillar["site"]["level"] }}
    - subjectAltName: {{ host.subject_alt_name | json }}
    - basicConstraints: critical, CA:FALSE
    - keyUsage: critical, digitalSignature
    - extendedKeyUsage: serverAuth, clientAuth
    - subjectKeyIdentifier: hash
    - authorityKeyIdentifier: keyid
    - days_valid: {{ ca.host_days_valid }}
    - days_remaining: {{ ca.host_days_remaining }}
    - require:
      - x509: ca-certificate
      - x509: ca-{{ host.name }}-key

ca-{{ host.name }}-authority:
  file.symlink:
    - name: {{ folder }}/ca.crt
    - target: {{ ca.folder }}/ca.crt
    - makedirs: True
    - require:
      - x509: ca-certificate
      - file: ca-{{ host.name }}-folder
{%-   if "frontend" in salt["site_hosts.parse"](host.id).roles %}
{%-     set held = ca.tree ~ "/hosts/" ~ host.id ~ "/domains/secrets" %}

ca-{{ host.name }}-domains-folder:
  file.directory:
    - name: {{ held }}
    - user: root
    - group: root
    - mode: "0700"
    - makedirs: True
    - require:
      - file: ca-hosts

ca-{{ host.name }}-domains:
  site_domains.certificates_made:
    - name: {{ held }}
    - domains: {{ ca.domains | json }}
    - authority: {{ ca.folder }}
    - organisation: Saltworks {{ pillar["site"]["level"] }}
    - days_valid: {{ ca.host_days_valid }}
    - days_remaining: {{ ca.host_days_remaining }}
    - require:
      - x509: ca-certificate
      - file: ca-{{ host.name }}-domains-folder
{%-   endif %}
{%- endfor %}
