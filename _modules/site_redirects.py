"""
Addresses that have moved, as data (``pillar/redirects.yaml``).

The table has no domain in it: hosts are the names before the site's domain, an
empty one is the domain itself.
"""


def of_host(table, host, domain):
    """
    The redirects of one public host. Pure.

    table
        ``{host: [{"path", "to", "status", "prefix"}, …]}``. ``to`` is
        ``<host>/<path>``, or a whole ``https://…`` address.

    host
        The name before the site's domain; empty for the domain itself, which has
        those of ``www``, too, so that nobody is sent on twice.

    domain
        The level's public domain.

    Returns ``[{"path", "to", "status", "prefix"}, …]``, ``to`` a whole address
    without a slash at its end where what follows the path is kept.

    CLI Example:

    .. code-block:: bash

        salt-call site_redirects.of_host '{www: [{path: /css, to: docs/wiki/css}]}' www example.org
    """
    rows = {}
    for name in ("www", "") if not host else (host,):
        for row in table.get(name, []):
            rows[row["path"]] = row
    return [
        {
            "path": path,
            "to": to.rstrip("/") if row.get("prefix") else to,
            "status": row.get("status", 301),
            "prefix": row.get("prefix", False),
        }
        for path, row in sorted(rows.items())
        for to in [address(row["to"], domain)]
    ]


def address(target, domain):
    """
    The whole address of a target of the table. Pure.

    target
        ``<host>/<path>`` (an empty host is the domain itself), or ``https://…``.

    domain
        The level's public domain.

    CLI Example:

    .. code-block:: bash

        salt-call site_redirects.address docs/wiki/CSS example.org
    """
    if target.startswith("https://"):
        return target
    host, _, path = target.partition("/")
    return f"https://{host}.{domain}/{path}" if host else f"https://{domain}/{path}"
