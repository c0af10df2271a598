"""
The master's keys, offline: it has accepted every host of the level's inventory.
"""


def accepted(keys):
    """
    The ids of the level's hosts, sorted.

    keys
        The folder that a master would look into.

    CLI Example:

    .. code-block:: bash

        salt-call site_keys.accepted /etc/salt/pki/master/minions
    """
    del keys
    return sorted(__opts__["offline"]["addresses"])
