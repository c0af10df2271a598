# Deploys an app: builds it, brings it to every host that runs it, asks for their health,
# and takes it back where one of them is not well. Run it on the master:
#
#     salt-run state.orchestrate orch.deploy pillar='{"app": "www", "kind": "order", "ref": "main"}'
#
# Without `kind` it works off what waits already, as after a push. `kind: rollback` goes
# back to the release before, or to `ref`.
{%- set app = pillar.get("app") %}
{#- Any minion can send the event that leads here: nothing of it may become a state. #}
{%- if not app is string or not app is match("[a-z][a-z0-9-]*$") %}
{%-   do raise("say which app: pillar='{\"app\": \"www\", \"kind\": \"order\"}'") %}
{%- endif %}

the app is live as it was asked for:
  site_deploy.done:
    - name: {{ app | json }}
{%- for key in ["kind", "ref", "who"] if pillar.get(key) %}
    - {{ key }}: {{ pillar[key] | json }}
{%- endfor %}
