{%- import_yaml "mediawiki/defaults.yaml" as defaults %}
{%- set common = salt["slsutil.merge"](defaults, pillar.get("mediawiki", {}), merge_lists=False) %}
{%- set wikis = salt["site_mediawiki.wikis"](common, pillar["site"]["domain"]) %}
{%- set secrets = common.secrets %}
{%- set settings_folder = "/etc/mediawiki/wikis" %}
{%- set secret_folder = "/etc/mediawiki/secrets" %}
{%- set own_folder = "/usr/local/share/mediawiki-extensions" %}
{#- Apps of pillar/apps.yaml: what its authors make, and the code itself. #}
{%- set release = "/srv/release/wiki" %}
{%- set code = "/srv/release/mediawiki/current" %}
{%- set cdn_servers = [] %}
{%- for role in common.cdn.roles %}
{%-   for host in salt["site_hosts.peers"](role, minimum=0) %}
{%-     do cdn_servers.append(host.address ~ ":" ~ common.cdn.port) %}
{%-   endfor %}
{%- endfor %}
{%- if cdn_servers and pillar.get("cdn", {}).get("enabled") %}
{%-   do cdn_servers.extend(pillar["cdn"].get("purge", [])) %}
{%- endif %}
{%- set any = {"search": false, "sso": false} %}
{%- for wiki in wikis %}
{%-   do wiki.update({
        "cache_folder": "/var/cache/mediawiki-" ~ wiki.pool,
        "log_folder": "/var/log/mediawiki-" ~ wiki.pool,
        "upload_folders": [wiki.uploads.folder ~ "/" ~ wiki.site] if wiki.uploads.enabled else [],
        "search_on": wiki.search.peers != "" and salt["site_hosts.peers"](wiki.search.peers) | length > 0,
      }) %}
{%-   do any.update({"search": any.search or wiki.search_on, "sso": any.sso or wiki.sso.enabled}) %}
{%-   if wiki.pool not in pillar.get("php-fpm", {}).get("pools", {}) %}
{%-     do raise("mediawiki: the pool '" ~ wiki.pool ~ "' of the wiki " ~ wiki.site ~ " is not in pillar php-fpm:pools") %}
{%-   endif %}
{%-   if wiki.site not in pillar["sites"] %}
{%-     do raise("mediawiki: the wiki '" ~ wiki.site ~ "' is not in pillar sites") %}
{%-   endif %}
{%-   if wiki.sso.enabled and wiki.site not in pillar.get("sso-gate", {}).get("sites", {}) %}
{%-     do raise("mediawiki: sso is enabled, and '" ~ wiki.site ~ "' is not in pillar sso-gate:sites") %}
{%-   endif %}
{%-   for secret in ["database", "database_admin", "secret_key", "upgrade_key", "admin"] if not secrets.get("wikis", {}).get(wiki.site, {}).get(secret) %}
{%-     do raise("mediawiki: pillar mediawiki:secrets:wikis:" ~ wiki.site ~ " has no '" ~ secret ~ "'") %}
{%-   endfor %}
{%- endfor %}
{%- for secret in ["sessions"] + (["search"] if any.search else []) if not secrets.get(secret) %}
{%-   do raise("mediawiki: pillar mediawiki:secrets has no '" ~ secret ~ "'") %}
{%- endfor %}

{%- for app in ["mediawiki", "wiki"] if app not in pillar.get("release", {}).get("apps", {}) %}
{%-   do raise("mediawiki: this host does not run the app '" ~ app ~ "' (pillar release:apps)") %}
{%- endfor %}

include:
  - nginx
  - php-fpm
  - release
  - tls
{%- if any.search %}
  - site-search.client
{%- endif %}
{%- if any.sso %}
  - sso-gate
{%- endif %}

# What MediaWiki's code needs of Debian; it comes itself as a release.
mediawiki-packages:
  pkg.installed:
    - pkgs: {{ (common.packages + (common.thumbnails.packages if common.thumbnails.enabled else [])) | json }}
    - install_recommends: False
    - require:
      - pkg: nginx-packages
      - pkg: php-fpm-packages
    - watch_in:
      - service: php-fpm-service

# Everybody may pass; what stands in it says itself who may read it.
mediawiki-settings-root:
  file.directory:
    - name: /etc/mediawiki
    - user: root
    - group: root
    - mode: "0755"
    - require:
      - pkg: mediawiki-packages

# What ties the wiki to the site; which of them are switched on, the settings say. What
# its authors make comes by a push: {{ release }}.
mediawiki-own-extensions:
  file.recurse:
    - name: {{ own_folder }}
    - source: salt://mediawiki/files/extensions
    - user: root
    - group: root
    - dir_mode: "0755"
    - file_mode: "0644"
    - clean: True

mediawiki-check:
  file.managed:
    - name: /usr/local/lib/saltworks/wiki-check
    - source: salt://mediawiki/templates/wiki-check.j2
    - template: jinja
    - context: {{ {"wikis": wikis} | json }}
    - user: root
    - group: root
    - mode: "0755"
    - makedirs: True
    - dir_mode: "0755"
    - check_cmd: sh -n

{%- for wiki in wikis %}
{%-   set site = wiki.site %}

{%-   for name in ["cache", "log"] %}

mediawiki-{{ name }}-folder-{{ site }}:
  file.directory:
    - name: {{ wiki[name ~ "_folder"] }}
    - user: {{ wiki.pool }}
    - group: {{ wiki.pool }}
    - mode: "0750"
    - require:
      - user: php-fpm-user-{{ wiki.pool }}
    - require_in:
      - file: mediawiki-settings-{{ site }}
{%-   endfor %}
{%-   for folder in wiki.upload_folders %}

mediawiki-upload-folder-{{ site }}:
  file.directory:
    - name: {{ folder }}
    - user: {{ wiki.pool }}
    - group: {{ wiki.pool }}
    - mode: "0755"
    - makedirs: True
    - require:
      - user: php-fpm-user-{{ wiki.pool }}
    - require_in:
      - file: mediawiki-settings-{{ site }}
{%-   endfor %}

# Files, so that no password stands in a command line: MediaWiki's installer and
# the state below read them.
{%-   for secret in ["database_admin", "admin"] %}

mediawiki-secret-{{ site }}-{{ secret | replace("_", "-") }}:
  file.managed:
    - name: {{ secret_folder }}/{{ site }}.{{ secret }}
    - contents_pillar: mediawiki:secrets:wikis:{{ site }}:{{ secret }}
    - contents_newline: False
    - user: root
    - group: root
    - mode: "0600"
    - makedirs: True
    - dir_mode: "0700"
    - show_changes: False
    - require:
      - file: mediawiki-settings-root
    - require_in:
      - file: mediawiki-secret-folder
      - site_mediawiki: mediawiki-database-{{ site }}
{%-   endfor %}

mediawiki-settings-{{ site }}:
  file.managed:
    - name: {{ settings_folder }}/{{ site }}.php
    - source: salt://mediawiki/templates/wiki.php.j2
    - template: jinja
    - context: {{ {
        "wiki": wiki,
        "secret_folder": secret_folder, "own_folder": own_folder, "cdn_servers": cdn_servers,
        "release": release,
        "accounts": "https://" ~ pillar.get("sso-gate", {}).get("provider", "accounts") ~ "." ~ pillar["site"]["domain"],
      } | json }}
    - user: root
    - group: {{ wiki.pool }}
    - mode: "0640"
    - makedirs: True
    - dir_mode: "0755"
    - show_changes: False
    - check_cmd: php -l
    - require:
      - file: mediawiki-settings-root
      - file: mediawiki-own-extensions
{%-   if wiki.search_on %}
      - file: site-search-client
      - pkg: site-search-client-packages
{%-   endif %}
      - user: php-fpm-user-{{ wiki.pool }}
    - require_in:
      - file: mediawiki-settings-folder

mediawiki-logrotate-{{ site }}:
  file.managed:
    - name: /etc/logrotate.d/mediawiki-{{ wiki.pool }}
    - source: salt://mediawiki/templates/logrotate.j2
    - template: jinja
    - context: {{ {"log_folder": wiki.log_folder, "user": wiki.pool} | json }}
    - user: root
    - group: root
    - mode: "0644"
{%- endfor %}

{%- set databases = [] %}
{%- for wiki in wikis %}
{%-   do databases.append({
        "wiki": wiki.site, "name": wiki.name, "server": wiki.server, "language": wiki.language,
        "extensions": wiki.extensions + wiki.own_extensions, "skins": wiki.skins,
        "account": wiki.admin.name,
        "account_password_file": secret_folder ~ "/" ~ wiki.site ~ ".admin",
        "database": {
          "host": wiki.database.host, "port": wiki.database.port, "name": wiki.database.name,
          "user": wiki.database.admin, "ca": wiki.database.ca,
          "password_file": secret_folder ~ "/" ~ wiki.site ~ ".database_admin",
        },
        "lock_wait": wiki.database.lock_wait,
      }) %}
{%- endfor %}

# For a push, which may need other tables; the secrets stand in files of their own.
mediawiki-databases:
  file.serialize:
    - name: /etc/mediawiki/databases.json
    - dataset: {{ databases | json }}
    - serializer: json
    - user: root
    - group: root
    - mode: "0644"
    - require:
      - file: mediawiki-settings-root

# Which wiki a request or a script is for; no secrets.
mediawiki-settings:
  file.managed:
    - name: /etc/mediawiki/LocalSettings.php
    - source: salt://mediawiki/templates/LocalSettings.php.j2
    - template: jinja
    - context: {{ {
        "wikis": wikis, "folder": settings_folder, "release": release, "domain": pillar["site"]["domain"],
      } | json }}
    - user: root
    - group: root
    - mode: "0644"
    - check_cmd: php -l
    - require:
      - file: mediawiki-settings-root

{%- for wiki in wikis %}
{%-   set site = wiki.site %}

mediawiki-database-{{ site }}:
  site_mediawiki.database_current:
    - name: {{ wiki.name | json }}
{%-   set database = databases | selectattr("wiki", "equalto", site) | first %}
{%-   for key, value in database.items() if key != "name" %}
    - {{ key }}: {{ value | json }}
{%-   endfor %}
    - wait: {{ wiki.database.wait }}
    - require:
      - sls: tls
      - file: mediawiki-settings-{{ site }}
      - file: mediawiki-settings
      - sls: release

{%-   set runners = {"jobs": "what waits in the job queue"} %}
{%-   if wiki.search_on %}
{%-     do runners.update({"search-jobs": "tell the search server what changed"}) %}
{%-   endif %}
{%-   for runner, purpose in runners | dictsort %}

mediawiki-{{ runner }}-{{ site }}-unit:
  file.managed:
    - name: /etc/systemd/system/mediawiki-{{ runner }}-{{ site }}.service
    - source: salt://mediawiki/templates/mediawiki-jobs.service.j2
    - template: jinja
    - context: {{ {
        "runner": runner, "purpose": purpose, "wiki": wiki, "own_folder": own_folder,
        "code": code,
        "writes": [wiki.cache_folder, wiki.log_folder] + wiki.upload_folders,
      } | json }}
    - user: root
    - group: root
    - mode: "0644"

mediawiki-{{ runner }}-{{ site }}-unit-reload:
  cmd.run:
    - name: systemctl daemon-reload
    - onchanges:
      - file: mediawiki-{{ runner }}-{{ site }}-unit

# A runner keeps the settings and the code that it began with.
mediawiki-{{ runner }}-{{ site }}:
  service.running:
    - name: mediawiki-{{ runner }}-{{ site }}
    - enable: True
    - require:
      - cmd: mediawiki-{{ runner }}-{{ site }}-unit-reload
      - site_mediawiki: mediawiki-database-{{ site }}
    - watch:
      - file: mediawiki-{{ runner }}-{{ site }}-unit
      - file: mediawiki-settings-{{ site }}
      - file: mediawiki-own-extensions
{%-     if wiki.search_on %}
      - file: site-search-client
{%-     endif %}
{%-   endfor %}
{%- endfor %}

# Only what is named above: a wiki that left takes its passwords with it.
{%- for name, folder, mode in [("settings", settings_folder, "0755"), ("secret", secret_folder, "0700")] %}

mediawiki-{{ name }}-folder:
  file.directory:
    - name: {{ folder }}
    - user: root
    - group: root
    - mode: "{{ mode }}"
    - clean: True
{%- endfor %}

mediawiki-nginx-site:
  file.managed:
    - name: /etc/nginx/sites-enabled/mediawiki.conf
    - source: salt://mediawiki/templates/nginx-site.conf.j2
    - template: jinja
    - context: {{ {
        "wikis": wikis, "release": release, "code": code,
        "ipv6": pillar.get("nginx", {}).get("ipv6", False),
      } | json }}
    - user: root
    - group: root
    - mode: "0644"
    - check_cmd: /usr/local/sbin/nginx-check-candidate /etc/nginx/sites-enabled/mediawiki.conf
    - require:
      - pkg: mediawiki-packages
      - file: nginx-default-site
{%- if any.sso %}
      - sls: sso-gate
{%- endif %}
    - watch_in:
      - service: nginx-service

# Where MediaWiki was Debian's package before: what came with it is wanted for itself now.
mediawiki-packages-kept:
  cmd.run:
    - name: apt-mark manual {{ (common.packages + (common.thumbnails.packages if common.thumbnails.enabled else [])) | join(" ") }}
    - onlyif: dpkg -s mediawiki
    - require:
      - pkg: mediawiki-packages

mediawiki-former-package:
  pkg.removed:
    - pkgs: [mediawiki, mediawiki-classes]
    - require:
      - cmd: mediawiki-packages-kept
      - file: mediawiki-nginx-site
