# Managed by Saltworks: a minion has started; give it the site's Python.
{%- for kind in ["modules", "states", "grains", "returners"] %}
minion-started-sync-{{ kind }}:
  local.saltutil.sync_{{ kind }}:
    - tgt: [{{ data["id"] | json }}]
    - tgt_type: list
{%- endfor %}
