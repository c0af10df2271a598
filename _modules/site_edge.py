"""
What others ask of the caches at the edge.
"""

import subprocess

from salt.exceptions import CommandExecutionError

SECONDS = 10
NO_CACHE = "this host has no cache"


def forget(sites):
    """
    Let the cache of this host forget all pages of some sites. It is asked on the host
    itself; no address takes such a wish.

    sites
        Their names before the site's domain.

    Returns the names of the sites as readers write them.

    Raises CommandExecutionError where the cache does not do it, and where there is none;
    and, once it has, where a network in front of the level still keeps those pages.

    CLI Example:

    .. code-block:: bash

        salt 'frontend*' site_edge.forget '[docs]'
    """
    domain = __pillar__["site"]["domain"]
    names = [f"{site}.{domain}" for site in sites]
    for name in names:
        argv = ["varnishadm", "-t", str(SECONDS), "ban", f"req.http.host == {name}"]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise CommandExecutionError(NO_CACHE) from None
        if done.returncode:
            said = (done.stderr + done.stdout).strip()
            raise CommandExecutionError(f"the cache does not forget {name}: {said}")
    if names and __pillar__.get("cdn", {}).get("enabled"):
        raise CommandExecutionError(
            f"the network in front of this level may keep pages of {', '.join(names)} until "
            "they end. Remedy: there, by its own means: docs/runbooks/edge.md"
        )
    return names
