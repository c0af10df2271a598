"""
The database of a MediaWiki.
"""

from pathlib import Path

from salt.exceptions import CommandExecutionError


def database_current(
    name,
    wiki,
    server,
    language,
    extensions,
    skins,
    account,
    account_password_file,
    database,
    wait=60,
    lock_wait=900,
):
    """
    The database holds the tables that the installed MediaWiki expects.

    An empty one is installed into, with a first account; an older one is brought
    up to date; any other is left alone. Hosts may do this at the same time.

    name
        Title of the wiki.

    wiki
        Which wiki of pillar ``mediawiki:wikis`` it is.

    server
        ``https://…``, without a path.

    language
        Code of the wiki's language.

    extensions, skins
        Names of what is switched on. A further extension is a reason to update.

    account, account_password_file
        Name of the first account, and the file with its password.

    database
        ``{"host", "port", "name", "user", "password_file", "ca"}``, with a user
        who may change tables.

    wait
        Seconds to go on trying while the database does not answer.

    lock_wait
        Seconds to wait for another host that is at it.

    Returns the usual dictionary.

    CLI Example:

    .. code-block:: bash

        salt-call state.apply mediawiki test=True
    """
    ret = {"name": name, "changes": {}, "result": True, "comment": ""}
    if __opts__["test"]:
        wait = 0
    code_version = __salt__["site_mediawiki.version"]()
    if __opts__["test"] and not (code_version and Path(database["password_file"]).exists()):
        return dict(ret, result=None, comment="Asks the database once MediaWiki is installed")
    try:
        if code_version is None:
            raise CommandExecutionError("MediaWiki is not installed on this host")
        found = __salt__["site_mediawiki.holds"](database, wait)
        wanted = [*extensions, *__salt__["site_mediawiki.released"]()]
        task = __salt__["site_mediawiki.needed"](found, code_version, wanted)
        if task is None:
            recorded = found["record"]["version"]
            return dict(ret, comment=f"The database is current: version {recorded}")
        changes = {"database": {"old": (found["record"] or {}).get("version"), "new": code_version}}
        if __opts__["test"]:
            comment = f"MediaWiki {code_version}: the database needs: {task}"
            return dict(ret, result=None, changes=changes, comment=comment)
        done = __salt__["site_mediawiki.bring"](
            wiki=wiki,
            name=name,
            server=server,
            language=language,
            extensions=extensions,
            skins=skins,
            account=account,
            account_password_file=account_password_file,
            database=database,
            lock_wait=lock_wait,
        )
    except CommandExecutionError as error:
        return dict(ret, result=False, comment=str(error))
    if done is None:
        return dict(ret, comment="Another host has just brought the database up to date")
    return dict(ret, changes=changes, comment=f"MediaWiki {code_version}: {done} done")
