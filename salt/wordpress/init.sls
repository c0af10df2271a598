{%- import_yaml "wordpress/defaults.yaml" as defaults %}
{%- set blog = salt["slsutil.merge"](defaults, pillar.get("wordpress", {}), merge_lists=False) %}
{%- set host = blog.host ~ "." ~ pillar["site"]["domain"] %}
{%- set server = "https://" ~ host %}
{%- set secret_folder = "/etc/wordpress/secrets" %}
{%- set content = "/usr/local/share/wordpress-site" %}
{#- Apps of pillar/apps.yaml: what its authors make, and the code itself. #}
{%- set release = "/srv/release/blog" %}
{%- set code = "/srv/release/wordpress/current" %}
{%- set caches = [] %}
{%- for peer in salt["site_hosts.peers"](blog.edge.peers, minimum=0) %}
{%-   do caches.append(peer.address ~ ":" ~ blog.edge.purge_port) %}
{%- endfor %}
{%- if pillar.get("cdn", {}).get("enabled") %}
{%-   do caches.extend(pillar["cdn"].get("purge", [])) %}
{%- endif %}
{%- if not blog.email.sender %}
{%-   do blog.email.update({"sender": "blog@" ~ pillar["site"]["domain"]}) %}
{%- endif %}
{#- For the templates, without the secrets: those a template takes from pillar
    itself, so that they are not in the compiled states. #}
{%- set settings = dict(blog) %}
{%- do settings.pop("secrets") %}
{%- if blog.pool not in pillar.get("php-fpm", {}).get("pools", {}) %}
{%-   do raise("wordpress: its pool '" ~ blog.pool ~ "' is not in pillar php-fpm:pools") %}
{%- endif %}
{%- if blog.sso.enabled and blog.host not in pillar.get("sso-gate", {}).get("sites", {}) %}
{%-   do raise("wordpress: sso is enabled, and '" ~ blog.host ~ "' is not in pillar sso-gate:sites") %}
{%- endif %}
{%- set search_on = blog.search.peers != "" and salt["site_hosts.peers"](blog.search.peers) | length > 0 %}
{%- for secret in ["database", "database_admin", "keys", "admin"] + (["search"] if search_on else []) %}
{%-   if not blog.secrets.get(secret) %}
{%-     do raise("wordpress: pillar wordpress:secrets has no '" ~ secret ~ "'") %}
{%-   endif %}
{%- endfor %}

{%- for app in ["wordpress", "blog"] if app not in pillar.get("release", {}).get("apps", {}) %}
{%-   do raise("wordpress: this host does not run the app '" ~ app ~ "' (pillar release:apps)") %}
{%- endfor %}

include:
  - nginx
  - php-fpm
  - release
  - tls
{%- if blog.sso.enabled %}
  - sso-gate
{%- endif %}
{%- if search_on %}
  - site-search.client
{%- endif %}

# What WordPress's code needs of Debian; it comes itself as a release.
wordpress-packages:
  pkg.installed:
    - pkgs: {{ blog.packages | json }}
    - install_recommends: False
    - require:
      - pkg: nginx-packages
      - pkg: php-fpm-packages
    - watch_in:
      - service: php-fpm-service

wordpress-upload-folder:
  file.directory:
    - name: {{ blog.uploads.folder }}
    - user: {{ blog.pool }}
    - group: {{ blog.pool }}
    - mode: "0755"
    - makedirs: True
    - require:
      - user: php-fpm-user-{{ blog.pool }}

wordpress-secret-folder:
  file.directory:
    - name: {{ secret_folder }}
    - user: root
    - group: root
    - mode: "0700"
    - makedirs: True
    - dir_mode: "0755"
    - require:
      - pkg: wordpress-packages

# Files, so that no password stands in a command line.
{%- for secret in ["database_admin", "admin"] %}

wordpress-secret-{{ secret | replace("_", "-") }}:
  file.managed:
    - name: {{ secret_folder }}/{{ secret }}
    - contents_pillar: wordpress:secrets:{{ secret }}
    - contents_newline: False
    - user: root
    - group: root
    - mode: "0600"
    - show_changes: False
    - require:
      - file: wordpress-secret-folder
    - require_in:
      - site_wordpress: wordpress-database
{%- endfor %}

# What ties the blog to the site, and nothing else: what is not in this tree leaves the
# host. Themes and plugins come by a push: {{ release }}.
wordpress-content:
  file.recurse:
    - name: {{ content }}
    - source: salt://wordpress/files/content
    - user: root
    - group: root
    - dir_mode: "0755"
    - file_mode: "0644"
    - clean: True
    - require_in:
      - site_wordpress: wordpress-database

wordpress-tool:
  file.managed:
    - name: /usr/local/lib/saltworks/wordpress-database
    - source: salt://wordpress/files/bin/wordpress-database
    - user: root
    - group: root
    - mode: "0755"
    - makedirs: True
    - check_cmd: php -l
    - require:
      - pkg: wordpress-packages

wordpress-search-index:
  file.managed:
    - name: /usr/local/sbin/wordpress-search-index
    - source: salt://wordpress/files/bin/wordpress-search-index
    - user: root
    - group: root
    - mode: "0755"
    - check_cmd: php -l
    - require:
      - pkg: wordpress-packages

wordpress-settings:
  file.managed:
    - name: /etc/wordpress/config-default.php
    - source: salt://wordpress/templates/config.php.j2
    - template: jinja
    - context: {{ {
        "blog": settings, "host": host, "server": server, "content": content,
        "secret_folder": secret_folder, "caches": caches, "search_on": search_on,
        "release": release,
        "accounts": "https://" ~ pillar.get("sso-gate", {}).get("provider", "accounts") ~ "." ~ pillar["site"]["domain"],
      } | json }}
    - user: root
    - group: {{ blog.pool }}
    - mode: "0640"
    - show_changes: False
    - check_cmd: php -l
    - require:
      - pkg: wordpress-packages
{%- if search_on %}
      - file: site-search-client
      - pkg: site-search-client-packages
{%- endif %}
{%- if blog.sso.enabled %}
      - file: sso-gate-php
{%- endif %}
      - user: php-fpm-user-{{ blog.pool }}

wordpress-database:
  site_wordpress.database_current:
    - name: {{ blog.name | json }}
    - account: {{ blog.admin.name | json }}
    - account_password_file: {{ secret_folder }}/admin
    - email: {{ blog.email.sender | json }}
    - wait: {{ blog.database.wait }}
    - lock_wait: {{ blog.database.lock_wait }}
    - require:
      - sls: tls
      - file: wordpress-settings
      - file: wordpress-tool
      - sls: release

wordpress-nginx-site:
  file.managed:
    - name: /etc/nginx/sites-enabled/wordpress.conf
    - source: salt://wordpress/templates/nginx-site.conf.j2
    - template: jinja
    - context: {{ {
        "blog": settings, "host": host, "server": server, "content": content,
        "release": release, "code": code,
        "ipv6": pillar.get("nginx", {}).get("ipv6", False),
      } | json }}
    - user: root
    - group: root
    - mode: "0644"
    - check_cmd: /usr/local/sbin/nginx-check-candidate /etc/nginx/sites-enabled/wordpress.conf
    - require:
      - pkg: wordpress-packages
      - file: nginx-default-site
{%- if blog.sso.enabled %}
      - sls: sso-gate
{%- endif %}
    - watch_in:
      - service: nginx-service

{%- for kind in ["service", "timer"] %}

wordpress-cron-{{ kind }}-unit:
  file.managed:
    - name: /etc/systemd/system/wordpress-cron.{{ kind }}
    - source: salt://wordpress/templates/wordpress-cron.{{ kind }}.j2
    - template: jinja
    - context: {{ {
        "code": code, "cron": blog.cron, "user": blog.pool, "host": host, "writes": [blog.uploads.folder],
      } | json }}
    - user: root
    - group: root
    - mode: "0644"
{%- endfor %}

wordpress-unit-reload:
  cmd.run:
    - name: systemctl daemon-reload
    - onchanges:
      - file: wordpress-cron-service-unit
      - file: wordpress-cron-timer-unit

wordpress-cron:
  service.running:
    - name: wordpress-cron.timer
    - enable: True
    - require:
      - cmd: wordpress-unit-reload
      - site_wordpress: wordpress-database
    - watch:
      - file: wordpress-cron-timer-unit

# Where WordPress was Debian's package before: what came with it is wanted for itself now.
wordpress-packages-kept:
  cmd.run:
    - name: apt-mark manual {{ blog.packages | join(" ") }}
    - onlyif: dpkg -s wordpress
    - require:
      - pkg: wordpress-packages

wordpress-former-package:
  pkg.removed:
    - pkgs: [wordpress]
    - require:
      - cmd: wordpress-packages-kept
      - file: wordpress-nginx-site
