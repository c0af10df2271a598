"""
The pages of this level that people open: names from the registry and the static sites,
domain from pillar.
"""


def listed():
    """
    The level's pages: those of roles that it has hosts of, on sites that it has, and
    its static sites.

    Returns ``[{"name", "url", "login", "secret"}, …]`` in the order of the
    registry; login is a user's name or None, secret the name of the secret that
    holds the password, never the password.

    CLI Example:

    .. code-block:: bash

        salt 'salt*' site_pages.listed
    """
    domain = __pillar__["site"]["domain"]
    pages = [
        page
        for name, role in __pillar__["registry"]["roles"].items()
        # A small level has not every role.
        if role.get("pages") and __salt__["site_hosts.peers"](name, minimum=0)
        for page in role["pages"]
        if page.get("host") in (None, *__pillar__["sites"], *__pillar__["static-sites"])
    ]
    if __salt__["site_hosts.peers"]("frontend", minimum=0):
        known = [page.get("host") for page in pages]
        pages += [
            {"name": site["title"], "host": name}
            for name, site in __pillar__["static-sites"].items()
            if name not in known
        ]
    return [
        {
            "name": page["name"],
            "url": f"https://{page['host']}.{domain}/"
            if page.get("host")
            else f"https://{domain}/",
            "login": page.get("login"),
            "secret": page.get("secret"),
        }
        for page in pages
    ]
