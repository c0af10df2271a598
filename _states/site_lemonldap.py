"""
What LemonLDAP::NG keeps in a database is there.
"""

from salt.exceptions import CommandExecutionError


def tables_present(name, database, password_file):
    """
    The tables for sessions exist.

    name
        For people.

    database, password_file
        As in ``site_lemonldap.tables``.

    .. code-block:: yaml

        lemonldap-ng-tables:
          site_lemonldap.tables_present:
            - name: sessions
            - database: {host: 127.0.0.1, port: 3306, name: a, user: a, ca: /a.crt}
            - password_file: /etc/lemonldap-ng/secrets/database
    """
    ret = {"name": name, "result": True, "changes": {}, "comment": "The tables are there"}
    try:
        missing = __salt__["site_lemonldap.tables"](
            database, password_file, create=not __opts__["test"]
        )
    except (CommandExecutionError, OSError) as error:
        if __opts__["test"]:
            return dict(ret, result=None, comment=f"Asks the database once it answers: {error}")
        return dict(ret, result=False, comment=str(error))
    if not missing:
        return ret
    changes = dict.fromkeys(missing, "made")
    if __opts__["test"]:
        return dict(ret, result=None, changes=changes, comment="Tables would be made")
    return dict(ret, changes=changes, comment="Tables were made")
