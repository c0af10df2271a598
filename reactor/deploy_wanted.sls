# Managed by Saltworks: a deploy waits; carry it out.
deploy-wanted:
  runner.state.orchestrate:
    - args:
      - mods: orch.deploy
      - pillar: {app: {{ data["app"] | json }}}
