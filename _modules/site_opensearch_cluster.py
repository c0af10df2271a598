"""
A cluster of OpenSearch as a whole, seen from the master: found it once, and let its
nodes take a new configuration one after the other.
"""

from salt.exceptions import CommandExecutionError

ANSWER_SECONDS = 60


def _ask(hosts, function, *arguments, timeout=ANSWER_SECONDS):
    """{host: what it returned}; raises where one is silent or fails."""
    said = __salt__["saltutil.cmd"](
        hosts, function, list(arguments), tgt_type="list", timeout=timeout
    )
    silent = [host for host in hosts if "ret" not in said.get(host, {})]
    if silent:
        raise CommandExecutionError(
            f"no answer from {', '.join(silent)}. Remedy: start them; for a host that is gone "
            "for good: docs/runbooks/remove-host.md"
        )
    for host in hosts:
        if said[host].get("retcode"):
            raise CommandExecutionError(f"{host}: {function}: {said[host]['ret']}")
    return {host: said[host]["ret"] for host in hosts}


def founder(hosts):
    """
    Who may found the cluster.

    hosts
        The ids of all its hosts.

    Returns the first host where none has ever been in a cluster, else None.

    Raises CommandExecutionError where one does not answer: it may have the data.

    CLI Example:

    .. code-block:: bash

        salt-run salt.cmd site_opensearch_cluster.founder '[elastic1.staging.wpd.internal]'
    """
    return None if any(_ask(hosts, "site_opensearch.has_data").values()) else hosts[0]


def found(host):
    """
    Let a host found a cluster at its next start.

    host
        Its id.

    CLI Example:

    .. code-block:: bash

        salt-run salt.cmd site_opensearch_cluster.found elastic1.staging.wpd.internal
    """
    _ask([host], "site_opensearch.allow_founding", host.partition(".")[0])


def outdated(hosts, files):
    """
    Which nodes started before their files changed. Touches nothing.

    hosts, files
        As in :py:func:`renew`.

    Returns ``{host: [file, …]}`` of those that did.

    CLI Example:

    .. code-block:: bash

        salt-run salt.cmd site_opensearch_cluster.outdated '[elastic1…]' '[/etc/…]'
    """
    found_ = _ask(hosts, "site_opensearch.outdated", files)
    return {host: names for host, names in found_.items() if names}


def renew(hosts, files, wait=300):
    """
    Let every node run with its configuration, one after the other.

    hosts
        The ids of all hosts of the cluster.

    files
        What a node reads at its start.

    wait
        Seconds at most until the cluster is whole, before and after each start.

    Returns what was done, a list. Raises CommandExecutionError where the cluster is
    not whole, or does not become so; then no further node is touched.

    CLI Example:

    .. code-block:: bash

        salt-run salt.cmd site_opensearch_cluster.renew '[elastic1…]' '[/etc/…]'
    """
    late = outdated(hosts, files)
    steps = []
    for host in (host for host in hosts if host in late):
        _ask([host], "site_opensearch.restart", len(hosts), wait, timeout=3 * wait)
        steps.append(f"{host} started again for {', '.join(late[host])}")
    return steps
