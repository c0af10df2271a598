# A minion has started: give it the site's Python, then publish its address.
minion-started-sync:
  local.saltutil.sync_all:
    - tgt: {{ data["id"] }}
    - tgt_type: list
    - kwarg:
        refresh: True
