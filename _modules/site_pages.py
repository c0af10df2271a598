"""
The pages of this level that people open: names from the registry, domain from pillar.
"""


def listed():
    """
    The level's pages: those of roles that it has hosts of.

    Returns ``[{"name", "url", "login", "secret"}, …]`` in the order of the
    registry; login is a user's name or None, secret the name of the secret that
    holds the password, never the password.

    CLI Example:

    .. code-block:: bash

        salt 'salt*' site_pages.listed
    """
    domain = __pillar__["site"]["domain"]
    return [
        {
            "name": page["name"],
            "url": f"https://{page['host']}.{domain}/"
            if page.get("host")
            else f"https://{domain}/",
            "login": page.get("login"),
            "secret": page.get("secret"),
        }
        for name, role in __pillar__["registry"]["roles"].items()
        # A small level has not every role.
        if role.get("pages") and __salt__["site_hosts.peers"](name, minimum=0)
        for page in role["pages"]
    ]
