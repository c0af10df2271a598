# What every host with the role frontend has.
{%- import_yaml "sites.yaml" as sites %}
nginx:
  tls: true
  sites:
{%- for name, site in sites.items() %}
    {{ name }}:
      host: {{ name }}
{%-   if site.max_body_size is defined %}
      max_body_size: {{ site.max_body_size }}
{%-   endif %}
      upstream:
        role: {{ site.role }}
        port: {{ site.port }}
{%- endfor %}
