"""
The code of others is there. All questions and decisions are those of the execution module
of the same name.
"""

from salt.exceptions import CommandExecutionError


def imported(name):
    """
    A repository has what its table says; new versions of it are the timer's.

    name
        The repository, ``<owner>/<name>``.

    .. code-block:: yaml

        upstreams-import-upstream-mediawiki:
          site_upstreams.imported:
            - name: upstream/mediawiki
    """
    ret = {"name": name, "result": True, "changes": {}, "comment": "It is there"}
    try:
        if not __salt__["site_upstreams.lacking"](name):
            return ret
        if __opts__["test"]:
            changes = {name: "would be fetched"}
            return dict(ret, result=None, changes=changes, comment="It would be imported")
        found = __salt__["site_upstreams.bring"](name)
        changes = found["changed"].get(name, {})
        problem = found["failed"].get(name) or found["waiting"].get(name)
        if not changes or name in found["failed"]:
            return dict(ret, result=False, changes=changes, comment=problem or "Nothing came")
    except CommandExecutionError as error:
        return dict(ret, result=False, comment=str(error))
    comment = "It was imported" + (f"; {problem}" if problem else "")
    return dict(ret, changes=changes, comment=comment)
