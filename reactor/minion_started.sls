# Managed by Saltworks: a minion has started; give it the site's Python.
# It renders pillar anew once, after the last kind: many may start at the same time.
{%- for kind in ["modules", "states", "returners", "grains"] %}
minion-started-sync-{{ kind }}:
  local.saltutil.sync_{{ kind }}:
    - tgt: [{{ data["id"] | json }}]
    - tgt_type: list
    - kwarg:
        saltenv: base
        refresh: {{ kind == "grains" }}
{%- endfor %}

# Where apps run on it: what was deployed while it was away.
minion-started-releases:
  local.site_release.catch_up:
    - tgt: [{{ data["id"] | json }}]
    - tgt_type: list
