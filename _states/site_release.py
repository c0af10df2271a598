"""
A host serves the release of an app that its level runs. All questions and decisions
are those of the execution module of the same name.
"""

from salt.exceptions import CommandExecutionError


def deployed(name, release):
    """
    The release is here and is the one that is served.

    What everybody serves is switched by orch.deploy, which asks for health; this is for
    a host that is new, or was away.

    name
        The app.

    release
        Its release; None where the level runs none yet, and then this fails: what is
        served now stays.

    .. code-block:: yaml

        release-www:
          site_release.deployed:
            - name: www
            - release: {{ live.get("www") }}
    """
    ret = {"name": name, "result": True, "changes": {}, "comment": f"{release} is served"}
    if release is None:
        why = f"no release of {name} runs in this level. Remedy: ./fleet deploy {name}"
        return dict(ret, result=False, comment=why)
    try:
        before = __salt__["site_release.state"](name)["current"]
        if before == release:
            return ret
        changes = {name: {"old": before, "new": release}}
        if __opts__["test"]:
            return dict(ret, result=None, changes=changes, comment=f"{release} would be served")
        __salt__["site_release.fetch"](name, release)
        __salt__["site_release.switch"](name, release)
    except CommandExecutionError as error:
        return dict(ret, result=False, comment=str(error))
    return dict(ret, changes=changes)
