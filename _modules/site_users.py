"""
The people who may log in, as pillar names them.
"""

import re

from salt.exceptions import CommandExecutionError

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,30}")
_KEY = re.compile(r"(sk-)?(ssh|ecdsa)-[a-z0-9@.-]+ AAAA[A-Za-z0-9+/]+={0,2}( [^\n]*)?")

# The accounts of Debian's base system: no person, so neither made nor removed here.
SYSTEM = frozenset(
    {
        *("root", "daemon", "bin", "sys", "sync", "games", "man", "lp", "mail", "news"),
        *("uucp", "proxy", "www-data", "backup", "list", "irc", "nobody", "_apt"),
        *("messagebus", "sshd", "systemd-network", "systemd-resolve", "systemd-timesync"),
    }
)


def plan(users, defaults):
    """
    Which accounts there are to be, and which not.

    users
        ``{name: {key: value}}``, the pillar ``users``.

    defaults
        Every key of an account with its default.

    Returns ``{"present": [account, …], "absent": [account, …]}``, each sorted by
    name; an account has every key of the defaults, ``name`` and ``home``.

    Raises CommandExecutionError where a name is none for a person, a state is
    unknown, or somebody who is to log in has no key or one that is no public key.

    CLI Example:

    .. code-block:: bash

        salt-call site_users.plan '{}' '{}'
    """
    found = {"present": [], "absent": []}
    for name in sorted(users):
        account = {**defaults, "home": f"/home/{name}", **users[name], "name": name}
        if not _NAME.fullmatch(name):
            raise _wrong(name, "a name is a to z, then a to z, 0 to 9, _ and -, at most 31")
        if name in SYSTEM:
            raise _wrong(name, "that account belongs to the system")
        if account["state"] not in found:
            raise _wrong(name, f"the state is present or absent, not {account['state']!r}")
        if account["state"] == "present":
            if not account["keys"]:
                raise _wrong(name, "no key, so nobody could log in; say `state: absent` instead")
            for key in account["keys"]:
                if not _KEY.fullmatch(key):
                    raise _wrong(name, f"not one line with a public key: {key[:30]!r}")
        found[account["state"]].append(account)
    return found


def names(users):
    """
    Who may log in: the names of the accounts that are present, sorted.

    users
        As for :py:func:`plan`.

    CLI Example:

    .. code-block:: bash

        salt-call site_users.names '{}'
    """
    return sorted(
        name for name, account in users.items() if account.get("state", "present") == "present"
    )


def _wrong(name, what):
    return CommandExecutionError(f"pillar users:{name}: {what}")
