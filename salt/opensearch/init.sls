{%- import_yaml "opensearch/defaults.yaml" as defaults %}
{%- import_yaml "opensearch/sizes.yaml" as sizes %}
{%- import_yaml "opensearch/artifacts.yaml" as artifacts %}
{%- import_yaml "opensearch/index.yaml" as index %}
{%- set sized = salt["slsutil.merge"](defaults, sizes[pillar["site"]["size"]]) %}
{%- set opensearch = salt["slsutil.merge"](sized, pillar.get("opensearch", {})) %}
{%- set secrets = opensearch.pop("secrets", {}) %}
{%- set host = salt["site_hosts.parse"]() %}
{%- if not opensearch.peers %}
{%-   do raise("opensearch: pillar opensearch:peers must name the role of the cluster's hosts") %}
{%- endif %}
{%- set peers = salt["site_hosts.peers"](opensearch.peers) %}
{%- set archive = opensearch.install == "archive" %}
{%- set home = "/opt/opensearch-" ~ opensearch.version if archive else "/usr/share/opensearch" %}
{%- set context = {
      "opensearch": opensearch,
      "home": home,
      "name": host.name,
      "cluster": "search-" ~ host.level,
      "organisation": "Saltworks " ~ host.level,
      "address": salt["site_hosts.address"](),
      "single": peers | length < 2,
      "heap_mb": salt["site_opensearch.heap_mb"](opensearch.heap_mb, grains["mem_total"]),
    } %}

include:
  - tls

opensearch-user:
  user.present:
    - name: opensearch
    - system: True
    - usergroup: True
    - home: /nonexistent
    - createhome: False
    - shell: /usr/sbin/nologin

opensearch-packages:
  pkg.installed:
    - pkgs: [openjdk-21-jre-headless]
    - install_recommends: False
{%- for folder, mode in {
      "/var/lib/opensearch": "0750",
      "/var/lib/opensearch/tmp": "0700",
      "/var/log/opensearch": "0750",
      opensearch.snapshots: "0750",
    }.items() %}

opensearch-folder{{ folder | replace("/", "-") }}:
  file.directory:
    - name: {{ folder }}
    - user: opensearch
    - group: opensearch
    - mode: "{{ mode }}"
    - makedirs: True
    - require:
      - user: opensearch-user
    - require_in:
      - service: opensearch-service
{%- endfor %}

opensearch-folder-configuration:
  file.directory:
    - names: [/etc/opensearch, /etc/opensearch/tls]
    - user: root
    - group: opensearch
    - mode: "0750"
    - require:
      - user: opensearch-user

# --- configuration: before the vendor's package, which finds it made and asks nothing

opensearch-config:
  file.managed:
    - name: /etc/opensearch/opensearch.yml
    - source: salt://opensearch/templates/opensearch.yml.j2
    - template: jinja
    - context: {{ context | json }}
    - user: root
    - group: opensearch
    - mode: "0640"
    - require:
      - file: opensearch-folder-configuration

opensearch-java:
  file.managed:
    - name: /etc/opensearch/jvm.options
    - source: salt://opensearch/templates/jvm.options.j2
    - template: jinja
    - context: {{ context | json }}
    - user: root
    - group: opensearch
    - mode: "0640"
    - require:
      - file: opensearch-folder-configuration

opensearch-log:
  file.managed:
    - name: /etc/opensearch/log4j2.properties
    - source: salt://opensearch/files/log4j2.properties
    - user: root
    - group: opensearch
    - mode: "0640"
    - require:
      - file: opensearch-folder-configuration

# Changes only where a single node becomes the first of several, which has to start
# again before the others can join.
opensearch-mode:
  file.managed:
    - name: /etc/opensearch/mode
    - contents: |
        # Managed by Saltworks: opensearch. Local changes are overwritten.
        {{ "single" if peers | length < 2 else "cluster" }}
    - user: root
    - group: opensearch
    - mode: "0640"
    - require:
      - file: opensearch-config

# Read again by the node without a restart.
opensearch-peers:
  file.managed:
    - name: /etc/opensearch/unicast_hosts.txt
    - contents: |
        # Managed by Saltworks: opensearch. Local changes are overwritten.
{%- for peer in peers %}
        {{ peer.address }}:{{ opensearch.transport_port }}
{%- endfor %}
    - user: root
    - group: opensearch
    - mode: "0640"
    - require:
      - file: opensearch-folder-configuration

opensearch-security:
  file.recurse:
    - name: /etc/opensearch/opensearch-security
    - source: salt://opensearch/files/security
    - user: root
    - group: opensearch
    - dir_mode: "0750"
    - file_mode: "0640"
    - clean: True
    - require:
      - file: opensearch-folder-configuration

# Copies of /etc/ssl/site: the node reads nothing beyond its own folders, and takes
# a renewed certificate without a restart.
{%- for name in ["ca.crt", "host.crt", "host.key"] %}

opensearch-tls-{{ name | replace(".", "-") }}:
  file.managed:
    - name: /etc/opensearch/tls/{{ name }}
    - contents_pillar: tls:{{ name }}
    - user: root
    - group: opensearch
    - mode: "0640"
    - show_changes: False
    - require:
      - file: opensearch-folder-configuration
      - sls: tls
    - require_in:
      - service: opensearch-service
{%- endfor %}

# --- the program
{%- if archive %}

opensearch-program:
  site_opensearch.assembled:
    - name: {{ home }}
    - parts: {{ salt["site_opensearch.parts"](opensearch.version) | json }}
    - artifacts: {{ artifacts | json }}
    - texts: {{ salt["site_opensearch.descriptors"](opensearch.version) | json }}
{%- else %}

opensearch-repository-key:
  file.managed:
    - name: /etc/apt/keyrings/opensearch.asc
    - contents: {{ opensearch.repository.key | json }}
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True

opensearch-repository:
  file.managed:
    - name: /etc/apt/sources.list.d/opensearch.list
    - contents: |
        # Managed by Saltworks: opensearch. Local changes are overwritten.
        deb [signed-by=/etc/apt/keyrings/opensearch.asc] {{ opensearch.repository.source }}
    - user: root
    - group: root
    - mode: "0644"
    - require:
      - file: opensearch-repository-key

opensearch-program:
  pkg.installed:
    - pkgs:
      - opensearch: {{ opensearch.version }}
    - refresh: True
    - require:
      - file: opensearch-repository
      - file: opensearch-config
{%- endif %}

opensearch-keystore:
  cmd.run:
    - name: {{ home }}/bin/opensearch-keystore create
    - creates: /etc/opensearch/opensearch.keystore
    - env:
      - OPENSEARCH_JAVA_HOME: /usr
      - OPENSEARCH_PATH_CONF: /etc/opensearch
    - require:
      - {{ "site_opensearch" if archive else "pkg" }}: opensearch-program
      - pkg: opensearch-packages
      - file: opensearch-config

opensearch-keystore-reader:
  file.managed:
    - name: /etc/opensearch/opensearch.keystore
    - replace: False
    - user: root
    - group: opensearch
    - mode: "0640"
    - require:
      - cmd: opensearch-keystore

opensearch-unit:
  file.managed:
    - name: /etc/systemd/system/opensearch.service
    - source: salt://opensearch/templates/opensearch.service.j2
    - template: jinja
    - context: {{ context | json }}
    - user: root
    - group: root
    - mode: "0644"

opensearch-unit-reload:
  cmd.run:
    - name: systemctl daemon-reload
    - onchanges:
      - file: opensearch-unit

opensearch-service:
  service.running:
    - name: opensearch
    - enable: True
    - require:
      - cmd: opensearch-unit-reload
      - file: opensearch-log
      - file: opensearch-peers
      - file: opensearch-security
      - file: opensearch-keystore-reader
    - watch:
      - file: opensearch-mode
{%- if peers | length < 2 %}
      - file: opensearch-config
      - file: opensearch-java
      - file: opensearch-unit
      - {{ "site_opensearch" if archive else "pkg" }}: opensearch-program
{%- endif %}

opensearch-ready:
  site_opensearch.ready:
    - name: {{ host.name }}
    - seconds: {{ opensearch.wait }}
    - require:
      - service: opensearch-service

# --- what is in it
{%- for name, role in opensearch.roles | dictsort %}

opensearch-role-{{ name }}:
  site_opensearch.role_present:
    - name: {{ name }}
    - cluster: {{ role.get("cluster", []) | json }}
    - indices: {{ role.get("indices", []) | json }}
    - require:
      - site_opensearch: opensearch-ready
{%- endfor %}
{%- for name, user in opensearch.users | dictsort %}

opensearch-user-{{ name }}:
  site_opensearch.user_present:
    - name: {{ name }}
    # Its hash only: no password is in the compiled states.
    - password_hash: {{ salt["site_opensearch.password_hash"](secrets.get(name), name) | json }}
    - roles: {{ user.roles | json }}
    - require:
      - site_opensearch: opensearch-ready
{%-   for role in user.roles if role in opensearch.roles %}
      - site_opensearch: opensearch-role-{{ role }}
{%-   endfor %}
{%- endfor %}
{%- for name in opensearch.former_users %}

opensearch-former-user-{{ name }}:
  site_opensearch.user_absent:
    - name: {{ name }}
    - require:
      - site_opensearch: opensearch-ready
{%- endfor %}
{%- for name in opensearch.indexes %}

opensearch-template-{{ name }}:
  site_opensearch.template_present:
    - name: {{ name }}
    - patterns: ["{{ name }}-v*"]
    - template: {{ index | json }}
    - require:
      - site_opensearch: opensearch-ready

opensearch-index-{{ name }}:
  site_opensearch.index_present:
    - name: {{ name }}
    - require:
      - site_opensearch: opensearch-template-{{ name }}
{%- endfor %}

opensearch-snapshots:
  site_opensearch.repository_present:
    - name: local
    - kind: fs
    - settings: {location: {{ opensearch.snapshots }}}
    - require:
      - site_opensearch: opensearch-ready
