{%- import_yaml "site-pages/defaults.yaml" as defaults %}
{%- import_yaml "site-pages/causes.yaml" as causes %}
{%- set pages = salt["slsutil.merge"](defaults, pillar.get("site-pages", {})) %}
{%- set folder = "/usr/local/share/site-pages" %}

site-pages-folder:
  file.directory:
    - name: {{ folder }}
    - user: root
    - group: root
    - mode: "0755"
    # A cause that left the table leaves the host.
    - clean: True

{%- for name, source in [("site.css", "templates/site.css.j2"), ("logo.svg", "files/logo.svg")] %}

site-pages-{{ name | replace(".", "-") }}:
  file.managed:
    - name: {{ folder }}/{{ name }}
    - source: salt://site-pages/{{ source }}
{%-   if source.endswith(".j2") %}
    - template: jinja
{%-   endif %}
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True
    - dir_mode: "0755"
    - require_in:
      - file: site-pages-folder
{%- endfor %}
{%- for cause, page in causes | dictsort %}

site-pages-{{ cause }}:
  file.managed:
    - name: {{ folder }}/{{ cause }}.html
    - source: salt://site-pages/templates/failure.html.j2
    - template: jinja
    - context: {{ {
        "cause": cause, "page": page, "name": pages.name, "notice": pages.notice,
        "domain": pillar["site"]["domain"],
      } | json }}
    - user: root
    - group: root
    - mode: "0644"
    - makedirs: True
    - dir_mode: "0755"
    - require_in:
      - file: site-pages-folder
{%- endfor %}
