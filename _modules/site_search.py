"""
Fill an index of the search server from an app, completely or with what changed.

The server's side (a new index, the alias that leads to it) belongs to
``orch.search_reindex``; it calls these functions on one host of each app.
"""

import json
import time

from salt.exceptions import CommandExecutionError

WIKI = [
    "php",
    "/srv/release/mediawiki/current/maintenance/run.php",
    "/usr/local/share/mediawiki-extensions/SiteSearch/maintenance/IndexPages.php",
]
BLOG = ["/usr/local/sbin/wordpress-search-index"]


def index_wiki(index, since=None, timeout=7200, wiki="docs"):
    """
    Write the wiki's pages into an index.

    index
        Its name; an alias will do.

    since
        Only what was changed or deleted since this Unix time, as told by
        :py:func:`now` of the same host.

    timeout
        Seconds it may take.

    wiki
        Which one of pillar ``mediawiki:wikis``.

    Returns ``{"index": str, "written": int, "left_out": int}``; left out are
    redirects, and with ``since`` what was removed.

    Raises CommandExecutionError with the program's words when it fails.

    CLI Example:

    .. code-block:: bash

        salt-call site_search.index_wiki wiki-v2
    """
    return _index([*WIKI, f"--wiki={wiki}"], index, since, timeout)


def index_blog(index, since=None, timeout=7200):
    """
    Write the blog's posts and pages into an index.

    index, since, timeout
        As for :py:func:`index_wiki`.

    Returns and raises as :py:func:`index_wiki`.

    CLI Example:

    .. code-block:: bash

        salt-call site_search.index_blog blog-v2
    """
    return _index(BLOG, index, since, timeout)


def now():
    """
    The Unix time of this host, whole seconds: what ``since`` is compared with.

    CLI Example:

    .. code-block:: bash

        salt-call site_search.now
    """
    return int(time.time())


def _index(command, index, since, timeout):
    arguments = [*command, f"--index={index}"]
    if since is not None:
        arguments.append(f"--since={int(since)}")
    result = __salt__["cmd.run_all"](
        arguments, python_shell=False, cwd="/", timeout=timeout, ignore_retcode=True
    )
    if result["retcode"] != 0:
        said = "\n".join(part for part in (result["stdout"], result["stderr"]) if part)
        raise CommandExecutionError(f"filling the index {index} failed:\n{said[-4000:]}")
    return json.loads(result["stdout"].strip().splitlines()[-1])
