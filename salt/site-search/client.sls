# The one file that speaks to the search server, for the page here and for apps.
site-search-client:
  file.managed:
    - name: /usr/local/share/site-search/OpenSearch.php
    - source: salt://site-search/files/OpenSearch.php
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True
    - dir_mode: "0755"

site-search-client-packages:
  pkg.installed:
    - pkgs: [php8.4-curl, php8.4-mbstring]
    - install_recommends: False
