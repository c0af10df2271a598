"""
Databases and accounts of MariaDB are as wanted. All questions and decisions are
those of the execution module of the same name.
"""

from salt.exceptions import CommandExecutionError


def _carried_out(name, what, planner, *arguments):
    """
    The result of a state.

    planner, arguments
        The function of the execution module that says what would change.
    """
    ret = {"name": name, "result": True, "changes": {}, "comment": f"{what} is as wanted"}
    try:
        plan = __salt__[planner](*arguments)
        if not plan:
            return ret
        changes = {name: [said for said, _ in plan]}
        if __opts__["test"]:
            return dict(ret, result=None, changes=changes, comment=f"{what} would be changed")
        __salt__["site_mariadb.run"](plan)
    except CommandExecutionError as error:
        return dict(ret, result=False, comment=str(error))
    return dict(ret, changes=changes, comment=f"{what} was changed")


def user_present(name, host, password_hash=None, unix_socket=False, tls=False, privileges=None):
    """
    An account exists, with this way to log in and with these privileges alone.

    name, host, password_hash, unix_socket, tls, privileges
        As in ``site_mariadb.user_plan``.

    .. code-block:: yaml

        mariadb-user-wiki:
          site_mariadb.user_present:
            - name: wiki
            - host: "%"
            - password_hash: "*…"
            - tls: True
            - privileges: {"wiki.*": [SELECT, INSERT]}
    """
    arguments = (name, host, password_hash, unix_socket, tls, privileges)
    return _carried_out(name, f"the account {name}@{host}", "site_mariadb.user_plan", *arguments)


def user_absent(name, host):
    """
    No such account exists.

    name, host
        The account.

    .. code-block:: yaml

        mariadb-user-former:
          site_mariadb.user_absent:
            - name: former
            - host: "%"
    """
    what = f"the account {name}@{host}"
    return _carried_out(name, what, "site_mariadb.removal_plan", name, host)


def database_present(name, character_set, collation):
    """
    A database exists, with this text for new tables.

    name, character_set, collation
        As in ``site_mariadb.database_plan``.

    .. code-block:: yaml

        mariadb-database-wiki:
          site_mariadb.database_present:
            - name: wiki
            - character_set: utf8mb4
            - collation: utf8mb4_bin
    """
    arguments = (name, character_set, collation)
    return _carried_out(name, f"the database {name}", "site_mariadb.database_plan", *arguments)
