{%- import_yaml "mediawiki/defaults.yaml" as defaults %}
{%- set wiki = salt["slsutil.merge"](defaults, pillar.get("mediawiki", {}), merge_lists=False) %}
{%- set host = wiki.host ~ "." ~ pillar["site"]["domain"] %}
{%- set server = "https://" ~ host %}
{%- set cache_folder = "/var/cache/mediawiki-" ~ wiki.pool %}
{%- set log_folder = "/var/log/mediawiki-" ~ wiki.pool %}
{%- set secret_folder = "/etc/mediawiki/secrets" %}
{%- set own_folder = "/usr/local/share/mediawiki-extensions" %}
{#- For the templates, without the secrets: those a template takes from pillar
    itself, so that they are not in the compiled states. #}
{%- set settings = dict(wiki) %}
{%- do settings.pop("secrets") %}
{%- set cdn_servers = [] %}
{%- for role in wiki.cdn.roles %}
{%-   for host in salt["site_hosts.peers"](role, minimum=0) %}
{%-     do cdn_servers.append(host.address ~ ":" ~ wiki.cdn.port) %}
{%-   endfor %}
{%- endfor %}
{%- if cdn_servers and pillar.get("cdn", {}).get("enabled") %}
{%-   do cdn_servers.extend(pillar["cdn"].get("purge", [])) %}
{%- endif %}
{%- if wiki.pool not in pillar.get("php-fpm", {}).get("pools", {}) %}
{%-   do raise("mediawiki: its pool '" ~ wiki.pool ~ "' is not in pillar php-fpm:pools") %}
{%- endif %}
{%- set search_on = wiki.search.peers != "" and salt["site_hosts.peers"](wiki.search.peers) | length > 0 %}
{%- if wiki.sso.enabled and wiki.host not in pillar.get("sso-gate", {}).get("sites", {}) %}
{%-   do raise("mediawiki: sso is enabled, and '" ~ wiki.host ~ "' is not in pillar sso-gate:sites") %}
{%- endif %}
{%- for secret in ["database", "database_admin", "sessions", "secret_key", "upgrade_key", "admin"]
      + (["search"] if search_on else []) %}
{%-   if not wiki.secrets.get(secret) %}
{%-     do raise("mediawiki: pillar mediawiki:secrets has no '" ~ secret ~ "'") %}
{%-   endif %}
{%- endfor %}

include:
  - nginx
  - php-fpm
  - tls
{%- if search_on %}
  - site-search.client
{%- endif %}
{%- if wiki.sso.enabled %}
  - sso-gate
{%- endif %}

# After nginx and php-fpm: else the package would bring apache2 for its
# dependency on a web server.
mediawiki-packages:
  pkg.installed:
    - pkgs: {{ (["mediawiki"] + wiki.packages + (wiki.thumbnails.packages if wiki.thumbnails.enabled else [])) | json }}
    - install_recommends: False
    - require:
      - pkg: nginx-packages
      - pkg: php-fpm-packages
    - watch_in:
      - service: php-fpm-service

{%- for name, folder in [("cache", cache_folder), ("log", log_folder)] %}

mediawiki-{{ name }}-folder:
  file.directory:
    - name: {{ folder }}
    - user: {{ wiki.pool }}
    - group: {{ wiki.pool }}
    - mode: "0750"
    - require:
      - user: php-fpm-user-{{ wiki.pool }}
    - require_in:
      - file: mediawiki-settings
{%- endfor %}
{%- if wiki.uploads.enabled %}

mediawiki-upload-folder:
  file.directory:
    - name: {{ wiki.uploads.folder }}
    - user: {{ wiki.pool }}
    - group: {{ wiki.pool }}
    - mode: "0755"
    - makedirs: True
    - require:
      - user: php-fpm-user-{{ wiki.pool }}
    - require_in:
      - file: mediawiki-settings
{%- endif %}

mediawiki-secret-folder:
  file.directory:
    - name: {{ secret_folder }}
    - user: root
    - group: root
    - mode: "0700"
    - require:
      - pkg: mediawiki-packages

# Files, so that no password stands in a command line: MediaWiki's installer and
# the state below read them.
{%- for secret in ["database_admin", "admin"] %}

mediawiki-secret-{{ secret | replace("_", "-") }}:
  file.managed:
    - name: {{ secret_folder }}/{{ secret }}
    - contents_pillar: mediawiki:secrets:{{ secret }}
    - contents_newline: False
    - user: root
    - group: root
    - mode: "0600"
    - show_changes: False
    - require:
      - file: mediawiki-secret-folder
    - require_in:
      - site_mediawiki: mediawiki-database
{%- endfor %}

mediawiki-site-files:
  file.recurse:
    - name: /usr/local/share/mediawiki-site
    - source: salt://mediawiki/files/site
    - user: root
    - group: root
    - dir_mode: "0755"
    - file_mode: "0644"
    - clean: True

# All of ours; which of them are switched on, the settings say.
mediawiki-own-extensions:
  file.recurse:
    - name: {{ own_folder }}
    - source: salt://mediawiki/files/extensions
    - user: root
    - group: root
    - dir_mode: "0755"
    - file_mode: "0644"
    - clean: True

mediawiki-settings:
  file.managed:
    - name: /etc/mediawiki/LocalSettings.php
    - source: salt://mediawiki/templates/LocalSettings.php.j2
    - template: jinja
    - context: {{ {
        "wiki": settings, "server": server, "cache_folder": cache_folder,
        "log_folder": log_folder, "secret_folder": secret_folder, "own_folder": own_folder,
        "search_on": search_on, "cdn_servers": cdn_servers,
        "accounts": "https://" ~ pillar.get("sso-gate", {}).get("provider", "accounts") ~ "." ~ pillar["site"]["domain"],
      } | json }}
    - user: root
    - group: {{ wiki.pool }}
    - mode: "0640"
    - show_changes: False
    - check_cmd: php -l
    - require:
      - pkg: mediawiki-packages
      - file: mediawiki-own-extensions
{%- if search_on %}
      - file: site-search-client
      - pkg: site-search-client-packages
{%- endif %}
      - user: php-fpm-user-{{ wiki.pool }}

mediawiki-logrotate:
  file.managed:
    - name: /etc/logrotate.d/mediawiki-{{ wiki.pool }}
    - source: salt://mediawiki/templates/logrotate.j2
    - template: jinja
    - context: {{ {"log_folder": log_folder, "user": wiki.pool} | json }}
    - user: root
    - group: root
    - mode: "0644"

mediawiki-database:
  site_mediawiki.database_current:
    - name: {{ wiki.name | json }}
    - server: {{ server | json }}
    - language: {{ wiki.language | json }}
    - extensions: {{ (wiki.extensions + wiki.own_extensions) | json }}
    - skins: {{ wiki.skins | json }}
    - account: {{ wiki.admin.name | json }}
    - account_password_file: {{ secret_folder }}/admin
    - database: {{ {
        "host": wiki.database.host, "port": wiki.database.port, "name": wiki.database.name,
        "user": wiki.database.admin, "password_file": secret_folder ~ "/database_admin",
        "ca": wiki.database.ca,
      } | json }}
    - wait: {{ wiki.database.wait }}
    - lock_wait: {{ wiki.database.lock_wait }}
    - require:
      - sls: tls
      - file: mediawiki-settings

mediawiki-nginx-site:
  file.managed:
    - name: /etc/nginx/sites-enabled/mediawiki.conf
    - source: salt://mediawiki/templates/nginx-site.conf.j2
    - template: jinja
    - context: {{ {
        "wiki": settings, "host": host, "server": server, "ipv6": pillar.get("nginx", {}).get("ipv6", False),
      } | json }}
    - user: root
    - group: root
    - mode: "0644"
    - check_cmd: /usr/local/sbin/nginx-check-candidate /etc/nginx/sites-enabled/mediawiki.conf
    - require:
      - pkg: mediawiki-packages
      - file: mediawiki-site-files
      - file: nginx-default-site
{%- if wiki.sso.enabled %}
      - sls: sso-gate
{%- endif %}
    - watch_in:
      - service: nginx-service

# The package's own runner works as nginx's user, who cannot read the settings.
mediawiki-packaged-runner:
  service.dead:
    - name: mediawiki-jobrunner
    - enable: False
    - require:
      - pkg: mediawiki-packages

{%- set runners = {"jobs": "what waits in the job queue"} %}
{%- if search_on %}
{%-   do runners.update({"search-jobs": "tell the search server what changed"}) %}
{%- endif %}
{%- for runner, purpose in runners | dictsort %}

mediawiki-{{ runner }}-unit:
  file.managed:
    - name: /etc/systemd/system/mediawiki-{{ runner }}.service
    - source: salt://mediawiki/templates/mediawiki-jobs.service.j2
    - template: jinja
    - context: {{ {
        "runner": runner, "purpose": purpose, "wiki": settings, "own_folder": own_folder,
        "writes": [cache_folder, log_folder] + ([wiki.uploads.folder] if wiki.uploads.enabled else []),
      } | json }}
    - user: root
    - group: root
    - mode: "0644"

mediawiki-{{ runner }}-unit-reload:
  cmd.run:
    - name: systemctl daemon-reload
    - onchanges:
      - file: mediawiki-{{ runner }}-unit

# A runner keeps the settings and the code that it began with.
mediawiki-{{ runner }}:
  service.running:
    - name: mediawiki-{{ runner }}
    - enable: True
    - require:
      - cmd: mediawiki-{{ runner }}-unit-reload
      - site_mediawiki: mediawiki-database
    - watch:
      - file: mediawiki-{{ runner }}-unit
      - file: mediawiki-settings
      - file: mediawiki-own-extensions
{%- if search_on %}
      - file: site-search-client
{%- endif %}
{%- endfor %}
