"""
What the certificates of a level's hosts say. The states of the component ca make
them; nothing here touches a file.
"""

from salt.exceptions import CommandExecutionError


def certificates(site_domain):
    """
    One certificate for each host whose key the master has accepted.

    site_domain
        The public domain of the level. Hosts with the role frontend answer for it
        and for every name directly under it.

    Returns ``[{"id", "name", "subject_alt_name"}, …]`` in the order of
    :py:func:`site_hosts.accepted`; the last is text as OpenSSL writes it.

    Raises CommandExecutionError where no host is accepted.

    CLI Example:

    .. code-block:: bash

        salt-call site_ca.certificates webplatform.test
    """
    found = []
    for host_id in __salt__["site_hosts.accepted"]():
        host = __salt__["site_hosts.parse"](host_id)
        names = [host["id"], host["name"], "localhost"]
        if "frontend" in host["roles"]:
            names += [site_domain, f"*.{site_domain}"]
        alternatives = [f"DNS:{name}" for name in names] + ["IP:127.0.0.1"]
        found.append(
            {
                "id": host["id"],
                "name": host["name"],
                "subject_alt_name": ", ".join(alternatives),
            }
        )
    if not found:
        raise CommandExecutionError(
            "the master has accepted no key of this level's hosts, so there is nobody to make "
            "a certificate for. Remedy: see `salt-key --list accepted`"
        )
    return found
