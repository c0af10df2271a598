#!jinja|yaml|gpg
# What every host with the role elastic has.
{%- set level = salt["site_hosts.parse"](opts["id"]).level %}
{%- import_yaml "secrets/" ~ level ~ "/secrets.yaml" as secrets %}
opensearch:
  peers: elastic
  indexes: [wiki, blog]
  roles:
    # Each app writes its own documents; indexes are made by states and orchestrations.
    {%- for app in ["wiki", "blog"] %}
    {{ app }}:
      cluster: [cluster_composite_ops]
      indices:
        - patterns: [{{ app }}, {{ app }}-v*]
          actions: [crud, indices:admin/get, "indices:admin/refresh*"]
    {%- endfor %}
    # The search page.
    search:
      cluster: [cluster_composite_ops_ro]
      indices:
        - patterns: [wiki, wiki-v*, blog, blog-v*]
          actions: [read]
    # People: see how it is, and what is in it.
    operator:
      cluster: [cluster_monitor, cluster_composite_ops_ro]
      indices:
        - patterns: ["*"]
          actions: [indices_monitor]
        - patterns: [wiki, wiki-v*, blog, blog-v*]
          actions: [read]
  users:
    {%- for name in ["wiki", "blog", "search", "operator"] %}
    {{ name }}: {roles: [{{ name }}]}
    {%- endfor %}
  secrets:
    {%- for name in ["wiki", "blog", "search", "operator"] %}
    {{ name }}: {{ secrets["opensearch-" ~ name] | json }}
    {%- endfor %}
