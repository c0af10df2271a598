"""
The directory holds what it must. All questions and decisions are those of the
execution module of the same name.
"""

from salt.exceptions import CommandExecutionError


def filled(name, slapd, passwords, wait=0, founds=True):
    """
    Its tree, policies, groups, accounts of programs and first people are there.

    name
        The site's public domain.

    slapd, passwords, wait, founds
        As in ``site_directory.plan``.

    .. code-block:: yaml

        slapd-entries:
          site_directory.filled:
            - name: example.org
            - slapd: {policies: {}, groups: {}, people: {}, services: []}
            - passwords: /etc/ldap/secrets
    """
    ret = {"name": name, "result": True, "changes": {}, "comment": "The directory is as it must be"}
    try:
        steps = __salt__["site_directory.plan"](
            name, slapd, passwords, 0 if __opts__["test"] else wait, founds
        )
        if not steps:
            return ret
        changes = {name: [said for said, _ in steps]}
        if __opts__["test"]:
            return dict(ret, result=None, changes=changes, comment="The directory would be changed")
        __salt__["site_directory.run"](steps)
    except (CommandExecutionError, OSError) as error:
        if __opts__["test"]:
            comment = f"Asks the directory once it answers: {error}"
            return dict(ret, result=None, comment=comment)
        return dict(ret, result=False, comment=str(error))
    return dict(ret, changes=changes, comment="The directory was changed")
