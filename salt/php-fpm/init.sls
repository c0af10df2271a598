{%- import_yaml "php-fpm/defaults.yaml" as defaults %}
{%- set php = salt["slsutil.merge"](defaults, pillar.get("php-fpm", {})) %}
{%- set memory_mb = php.memory_mb or grains["mem_total"] %}
{%- if not php.pools %}
{%-   do raise("php-fpm: no pool in pillar php-fpm:pools, and php-fpm does not start without one") %}
{%- endif %}

php-fpm-packages:
  pkg.installed:
    - pkgs: [php8.4-fpm, php8.4-cli]
    - install_recommends: False

php-fpm-checker:
  file.managed:
    - name: /usr/local/sbin/php-fpm-check-pool
    - source: salt://php-fpm/files/php-fpm-check-pool
    - user: root
    - group: root
    - mode: "0755"

php-fpm-settings:
  file.managed:
    - name: /etc/php/8.4/fpm/conf.d/90-saltworks.ini
    - source: salt://php-fpm/templates/saltworks.ini.j2
    - template: jinja
    - context: {{ {"opcache": php.opcache} | json }}
    - user: root
    - group: root
    - mode: "0644"
    - require:
      - pkg: php-fpm-packages

php-fpm-log-folder:
  file.directory:
    - name: /var/log/php-fpm
    - user: root
    - group: adm
    - mode: "0750"

php-fpm-logrotate:
  file.managed:
    - name: /etc/logrotate.d/php-fpm-pools
    - source: salt://php-fpm/files/logrotate
    - user: root
    - group: root
    - mode: "0644"

# A reload waits for the requests that are under way, for some seconds.
php-fpm-global:
  file.managed:
    - name: /etc/php/8.4/fpm/pool.d/00-global.conf
    - source: salt://php-fpm/files/global.conf
    - user: root
    - group: root
    - mode: "0644"
    - require:
      - pkg: php-fpm-packages
    - require_in:
      - file: php-fpm-pools
    - watch_in:
      - service: php-fpm-service

{%- for name, given in php.pools | dictsort %}
{%-   set pool = salt["slsutil.merge"](php.pool_defaults, given) %}
{%-   set sizes = salt["site_php_fpm.sizes"](memory_mb, pool.share, pool.worker_mb, pool.max_children) %}

php-fpm-user-{{ name }}:
  user.present:
    - name: {{ name }}
    - system: True
    - usergroup: True
    - home: /nonexistent
    - createhome: False
    - shell: /usr/sbin/nologin

php-fpm-pool-{{ name }}:
  file.managed:
    - name: /etc/php/8.4/fpm/pool.d/{{ name }}.conf
    - source: salt://php-fpm/templates/pool.conf.j2
    - template: jinja
    - context: {{ {"name": name, "pool": pool, "sizes": sizes} | json }}
    - user: root
    - group: root
    - mode: "0644"
    - check_cmd: /usr/local/sbin/php-fpm-check-pool
    - require:
      - pkg: php-fpm-packages
      - file: php-fpm-checker
      - file: php-fpm-log-folder
      - user: php-fpm-user-{{ name }}
    - require_in:
      - file: php-fpm-pools
    - watch_in:
      - service: php-fpm-service
{%- endfor %}

# Only the pools named here: the packager's pool `www` leaves.
php-fpm-pools:
  file.directory:
    - name: /etc/php/8.4/fpm/pool.d
    - user: root
    - group: root
    - mode: "0755"
    - clean: True
    - require:
      - pkg: php-fpm-packages

php-fpm-unit:
  file.managed:
    - name: /etc/systemd/system/php8.4-fpm.service.d/saltworks.conf
    - source: salt://php-fpm/files/php-fpm.service.conf
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True

php-fpm-unit-reload:
  cmd.run:
    - name: systemctl daemon-reload
    - onchanges:
      - file: php-fpm-unit

php-fpm-service:
  service.running:
    - name: php8.4-fpm
    - enable: True
    - reload: True
    - require:
      - cmd: php-fpm-unit-reload
    - watch:
      - file: php-fpm-settings
      - file: php-fpm-pools
