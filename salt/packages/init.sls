{%- import_yaml "packages/defaults.yaml" as defaults %}
{%- set packages = salt["slsutil.merge"](defaults, pillar.get("packages", {})) %}

packages-installed:
  pkg.installed:
    - pkgs: {{ packages.install | json }}
    - install_recommends: False
{%- if packages.purge %}

packages-purged:
  pkg.purged:
    - pkgs: {{ packages.purge | json }}
{%- endif %}
