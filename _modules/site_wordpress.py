"""
What the state of the same name needs to know and to do about a WordPress: which
version of its tables the code wants, what its database holds, install, upgrade.

The work is done by ``wordpress-database``, a script in WordPress's own language on
the host; Debian has no other tool for it.
"""

import json
from pathlib import Path

from salt.exceptions import CommandExecutionError

CODE = "/srv/release/wordpress/current"
# Seconds that a migration waits for another host that is at it.
LOCK_WAIT = 300
TOOL = "/usr/local/lib/saltworks/wordpress-database"
BEGUN = "saltworks_installation_begun"


def present():
    """
    Whether WordPress and what asks its database are on this host.

    CLI Example:

    .. code-block:: bash

        salt-call site_wordpress.present
    """
    return Path(TOOL).exists() and Path(CODE, "wp-includes/version.php").exists()


def _run(task, given, code=CODE):
    result = __salt__["cmd.run_all"](
        [TOOL, task, json.dumps(given)],
        python_shell=False,
        env={"SITE_WORDPRESS_CODE": code},
        cwd="/",
        timeout=1200,
        ignore_retcode=True,
    )
    if result["retcode"] != 0:
        said = "\n".join(part for part in (result["stdout"], result["stderr"]) if part)
        raise CommandExecutionError(f"wordpress-database {task} failed:\n{said[-4000:]}")
    try:
        return json.loads(result["stdout"].splitlines()[-1])
    except (IndexError, ValueError) as error:
        raise CommandExecutionError(
            f"wordpress-database {task} gave no answer:\n{result['stdout'][-4000:]}"
        ) from error


def holds(wait=0):
    """
    Ask the database which tables it has and their version, and the code for its own.

    wait
        Seconds to go on trying while the database does not answer.

    Returns ``{"tables": [name, …], "version": int | None, "code": int}``.

    Raises CommandExecutionError when the database cannot be asked.

    CLI Example:

    .. code-block:: bash

        salt-call site_wordpress.holds
    """
    return _run("ask", {"wait": wait})


def needed(holds):
    """
    Say what the database needs for the installed code. Pure.

    holds
        What :py:func:`holds` returns.

    Returns ``"install"``, ``"upgrade"`` or None. A database that newer code has
    upgraded needs nothing: during a rolling upgrade the last hosts still run older
    code, and must not turn anything back.

    Raises CommandExecutionError when the tables are not WordPress's.

    CLI Example:

    .. code-block:: bash

        salt-call site_wordpress.needed '{tables: [], version: null, code: 60421}'
    """
    if not holds["tables"] or BEGUN in holds["tables"]:
        return "install"
    if holds["version"] is None:
        raise CommandExecutionError(
            f"the database holds {len(holds['tables'])} tables that are not WordPress's "
            "(there is no db_version). Remedy: point wordpress:database:name at an empty database"
        )
    return "upgrade" if holds["version"] < holds["code"] else None


def bring(title, account, account_password_file, email, lock_wait):
    """
    Install WordPress's tables or upgrade them, whichever they need.

    Hosts that do this at the same time wait for each other at a lock in the database;
    the later one asks again and finds nothing left to do.

    title, account, account_password_file, email
        Name of the blog; name, file with the password, and address of the first account.

    lock_wait
        Seconds to wait for another host.

    Returns ``"install"``, ``"upgrade"``, or None when another host was faster.

    Raises CommandExecutionError with WordPress's own words when it fails.

    CLI Example: none; the state ``site_wordpress.database_current`` calls it.
    """
    given = {
        "title": title,
        "account": account,
        "account_password_file": account_password_file,
        "email": email,
        "lock_wait": lock_wait,
    }
    return _run("bring", given)["done"]


def migrate(tree):
    """
    Bring the database to what another WordPress needs, before a host serves it: a hook of
    `site_release`. The one that is served can go on with it.

    tree
        The folder of the release.

    Returns ``"upgrade"``, or None where nothing was to do: also where there is nothing
    yet, which the hosts install.

    Raises CommandExecutionError with WordPress's own words when it fails, and where the
    folder holds no WordPress.

    CLI Example:

    .. code-block:: bash

        salt 'blog1*' site_wordpress.migrate /srv/release/wordpress/releases/<release>
    """
    if not Path(tree, "wp-includes/version.php").exists():
        raise CommandExecutionError(f"{tree} holds no WordPress")
    if needed(_run("ask", {"wait": 0}, tree)) != "upgrade":
        return None
    return _run("bring", {"lock_wait": LOCK_WAIT}, tree)["done"]
