"""
The minion keys of the master that runs on this host.
"""

from pathlib import Path

from salt.exceptions import CommandExecutionError


def accepted(keys):
    """
    The minion ids whose keys the master has accepted. On the master only.

    keys
        The folder with the accepted keys: one file per minion, named by its id.

    Returns the names of the files, sorted.

    Raises CommandExecutionError where there is no such folder.

    CLI Example:

    .. code-block:: bash

        salt-call site_keys.accepted /etc/salt/pki/master/minions
    """
    folder = Path(keys)
    if not folder.is_dir():
        raise CommandExecutionError(f"{keys} does not exist: ask the master, not a minion")
    return sorted(path.name for path in folder.iterdir() if path.is_file())
