{%- import_yaml "haproxy/defaults.yaml" as defaults %}
{%- import_yaml "site-pages/causes.yaml" as causes %}
{%- set haproxy = salt["slsutil.merge"](defaults, pillar.get("haproxy", {})) %}
{%- set proxies = [] %}
{%- for name, options in haproxy.proxies | dictsort %}
{%-   set optional = options.get("optional", False) %}
{%-   set hosts = salt["site_hosts.peers"](options.peers, minimum=0 if optional else None) %}
{%-   if not hosts and not optional %}
{%-     do raise("haproxy: no hosts with the role " ~ options.peers ~ " for the proxy " ~ name) %}
{%-   endif %}
{%-   do proxies.append({
        "name": name,
        "port": options.port,
        "peer_port": options.peer_port,
        "health_port": options.health_port,
        "health_path": options.get("health_path", "/"),
        "health_tls": options.get("health_tls", False),
        "idle_timeout": options.get("idle_timeout", 900),
        "hosts": hosts,
      }) %}
{%- endfor %}
{%- set sites = [] %}
{%- for name, options in haproxy.sites | dictsort %}
{#-   A site whose hosts are all gone is no error: readers are told so. #}
{%-   do sites.append(dict({
        "name": name, "health": "/", "host_connections": 32, "read_timeout": 60,
        "hosts": salt["site_hosts.peers"](options.role),
      }, **options)) %}
{%-   do sites[-1].update({"host": options.host ~ "." ~ pillar["site"]["domain"]}) %}
{%- endfor %}
{%- if not proxies and not sites %}
{%-   do raise("haproxy: pillar haproxy:proxies and haproxy:sites are both empty") %}
{%- endif %}

{%- set health_tls = proxies | selectattr("health_tls") | selectattr("hosts") | list %}
{%- if health_tls %}

include:
  - tls
{%- endif %}

haproxy-packages:
  pkg.installed:
    - pkgs: [haproxy, socat]
    - install_recommends: False

haproxy-config:
  file.managed:
    - name: /etc/haproxy/haproxy.cfg
    - source: salt://haproxy/templates/haproxy.cfg.j2
    - template: jinja
    - context: {{ {"haproxy": haproxy, "proxies": proxies, "sites": sites, "causes": causes} | json }}
    - user: root
    - group: root
    - mode: "0644"
    - check_cmd: /usr/sbin/haproxy -c -f
    - require:
      - pkg: haproxy-packages
{%- if health_tls %}
      - sls: tls
{%- endif %}

haproxy-unit:
  file.managed:
    - name: /etc/systemd/system/haproxy.service.d/saltworks.conf
    - source: salt://haproxy/files/haproxy.service.conf
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True
    - require:
      - pkg: haproxy-packages

haproxy-service:
  service.running:
    - name: haproxy
    - enable: True
    - reload: True
    - watch:
      - file: haproxy-config
    - require:
      - file: haproxy-unit
