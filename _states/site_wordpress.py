"""
The database of a WordPress.
"""

from salt.exceptions import CommandExecutionError


def database_current(name, account, account_password_file, email, wait=60, lock_wait=300):
    """
    The database holds the tables that the installed WordPress expects.

    An empty one is installed into, with a first account; an older one is upgraded;
    any other is left alone. Hosts may do this at the same time.

    name
        Name of the blog.

    account, account_password_file, email
        The first account: name, file with its password, address.

    wait
        Seconds to go on trying while the database does not answer.

    lock_wait
        Seconds to wait for another host that is at it.

    Returns the usual dictionary.

    CLI Example:

    .. code-block:: bash

        salt-call state.apply wordpress test=True
    """
    ret = {"name": name, "changes": {}, "result": True, "comment": ""}
    present = __salt__["site_wordpress.present"]()
    if __opts__["test"] and not present:
        return dict(ret, result=None, comment="Asks the database once WordPress is installed")
    try:
        if not present:
            raise CommandExecutionError("WordPress is not installed on this host")
        found = __salt__["site_wordpress.holds"](0 if __opts__["test"] else wait)
        task = __salt__["site_wordpress.needed"](found)
        if task is None:
            return dict(ret, comment=f"The database is current: version {found['version']}")
        changes = {"database": {"old": found["version"], "new": found["code"]}}
        if __opts__["test"]:
            return dict(ret, result=None, changes=changes, comment=f"The database needs: {task}")
        done = __salt__["site_wordpress.bring"](
            name, account, account_password_file, email, lock_wait
        )
    except CommandExecutionError as error:
        return dict(ret, result=False, comment=str(error))
    if done is None:
        return dict(ret, comment="Another host has just brought the database up to date")
    return dict(ret, changes=changes, comment=f"WordPress's database: {done} done")
