"""
Deploys, as steps of an orchestration on the master. All decisions are those of the
execution module of the same name.
"""

from salt.exceptions import CommandExecutionError


def _sentence(deploy):
    """What became of a deploy, as one line."""
    stages = ", ".join(f"{name} {seconds} s" for name, seconds in deploy["stages"])
    what = deploy["release"] or deploy["ref"] or "the newest"
    why = deploy["why"]
    said = f": {why or deploy['state']}"
    if deploy["state"] == "live":
        said = f" is live; {why}" if why else " is live"
    return what + said + (f" ({stages})" if stages else "")


def done(name, kind=None, ref=None, who=""):
    """
    What was asked for an app is carried out, until nothing waits.

    Where another run is at it, its end is waited for. One that waits for the end of a
    freeze, or that gave way to a newer one, is no failure.

    name
        The app.

    kind, ref, who
        As in ``site_deploy.request``: ask for it first. Without `kind`, only what waits
        already is carried out.

    .. code-block:: yaml

        www is live as it was asked for:
          site_deploy.done:
            - name: www
    """
    ret = {"name": name, "result": True, "changes": {}}
    if __opts__["test"]:
        return dict(ret, result=None, comment="what waits would be carried out")
    try:
        number = __salt__["site_deploy.request"](name, kind, ref, who) if kind else None
        deploys = __salt__["site_deploy.work"](name)
        if number and number not in [deploy["number"] for deploy in deploys]:
            deploys = [__salt__["site_deploy.wait"](name, number)]
    except CommandExecutionError as error:
        return dict(ret, result=False, comment=str(error))
    if not deploys:
        return dict(ret, comment="nothing waits, or another run carries it out")
    newest = deploys[0]
    changes = {
        f"{deploy['number']}": {"state": deploy["state"], "release": deploy["release"]}
        for deploy in deploys
    }
    well = newest["state"] in ("live", "waiting", "superseded")
    return dict(ret, result=well, changes=changes, comment=_sentence(newest))


def all_have_releases(name):
    """
    Every app that hosts run has a release, made of what it is made of today.

    name
        Says what it is, for the log.

    .. code-block:: yaml

        every app has a release:
          site_deploy.all_have_releases
    """
    ret = {"name": name, "result": True, "changes": {}}
    if __opts__["test"]:
        return dict(ret, comment="only asked after what stands before it was done")
    try:
        apps = __salt__["site_deploy.missing"]()
        found = {app: __salt__["site_deploy.work"](app) for app in apps}
    except CommandExecutionError as error:
        return dict(ret, result=False, comment=str(error))
    made = {app: deploys[0] for app, deploys in found.items() if deploys}
    comment = ". ".join(f"{app}: {_sentence(deploy)}" for app, deploy in made.items())
    return dict(
        ret,
        result=all(deploy["state"] == "live" for deploy in made.values()),
        changes={app: deploy["release"] for app, deploy in made.items()},
        comment=comment or "every app has its release",
    )
