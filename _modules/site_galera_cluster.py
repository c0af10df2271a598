"""
A Galera cluster as a whole, seen from the master: start it again after all of its
nodes have stopped, and say whether it is well.

Every function takes the ids of all its hosts, and refuses where one does not
answer: the one that is silent might hold the last writes, or run the cluster.
"""

import time

from salt.exceptions import CommandExecutionError

# A host that has just booted needs a while until it hears its master.
ASK_TIMES = 3
ANSWER_SECONDS = 15
POLL_SECONDS = 3


def _told(hosts, function, arguments, **how):
    """{host: what it returned} of those that answer; raises where one failed."""
    said = __salt__["saltutil.cmd"](
        hosts,
        function,
        list(arguments),
        tgt_type="list",
        timeout=ANSWER_SECONDS,
        **how,
    )
    found = {host: said[host] for host in hosts if "ret" in said.get(host, {})}
    for host, answer in found.items():
        if answer.get("retcode"):
            raise CommandExecutionError(f"{host}: {function}: {answer['ret']}")
    return {host: answer["ret"] for host, answer in found.items()}


def _ask(hosts, function, *arguments):
    """{host: what it returned}, asked again where it is silent; raises if it stays so."""
    found = {}
    for _ in range(ASK_TIMES):
        missing = [host for host in hosts if host not in found]
        # As long again for the question whether who is silent is still at work.
        found.update(_told(missing, function, arguments, gather_job_timeout=ANSWER_SECONDS))
        silent = [host for host in hosts if host not in found]
        if not silent:
            return {host: found[host] for host in hosts}
    raise CommandExecutionError(
        f"no answer from {', '.join(silent)}. Remedy: start them; for a host that is gone for "
        "good: docs/runbooks/db-node-lost.md"
    )


def _tell(hosts, function, *arguments):
    """Let every host do something, once; raises where one does not say that it did."""
    silent = sorted(set(hosts) - set(_told(hosts, function, arguments)))
    if silent:
        raise CommandExecutionError(f"{function}: no answer from {', '.join(silent)}")


def decide(facts):
    """
    What a cluster needs. Pure.

    facts
        ``{host: what site_galera.facts returns}`` of every host.

    Returns ``(action, hosts, reason)``. The action is ``"nothing"``; ``"start"``
    these hosts, which the running cluster misses; ``"wait"`` for these hosts,
    which are looking for each other; ``"recover"`` from these hosts, which are all
    that ever were in the cluster.

    Raises CommandExecutionError where two clusters run.

    CLI Example:

    .. code-block:: bash

        salt-run salt.cmd site_galera_cluster.decide '{db1.sandbox.wpd.internal: {…}}'
    """
    running = {host: said for host, said in facts.items() if said["status"] == "Primary"}
    old = [host for host, said in facts.items() if said["history"]]
    clusters = sorted({said["uuid"] for said in running.values()})
    if len(clusters) > 1:
        raise CommandExecutionError(
            f"two clusters run: {', '.join(clusters)}. Remedy: docs/runbooks/db-recover.md"
        )
    if running:
        missing = [host for host in old if not facts[host]["synced"]]
        if missing:
            return "start", missing, "the cluster runs without them"
        return "nothing", [], "the cluster runs"
    if not old:
        return "nothing", [], "there was never a cluster; the highstate founds it"
    seeking = all(
        facts[host]["view"] and facts[host]["active"] in ("active", "activating") for host in old
    )
    if seeking:
        return "wait", old, "they remember each other, and look for each other"
    return "recover", old, "no cluster runs"


def most_advanced(positions):
    """
    Which host holds the last write. Pure.

    positions
        ``{host: what site_galera.position returns}``, in the hosts' order.

    Returns the host; among equals the one that stopped last, then the first.

    Raises CommandExecutionError where nobody holds anything, or where their
    histories are not one.

    CLI Example:

    .. code-block:: bash

        salt-run salt.cmd site_galera_cluster.most_advanced '{db1.sandbox.wpd.internal: {uuid: a, seqno: 3, safe: false}}'
    """  # noqa: E501
    known = {host: said for host, said in positions.items() if said}
    histories = sorted({said["uuid"] for said in known.values()})
    if len(histories) != 1:
        raise CommandExecutionError(
            f"these hosts hold {len(histories)} histories ({', '.join(histories)}), so none can "
            "be taken for the last. Remedy: docs/runbooks/db-recover.md"
        )
    return max(known, key=lambda host: (known[host]["seqno"], known[host]["safe"]))


def look(hosts):
    """
    What :py:func:`recover` would do now. Touches nothing.

    hosts
        The ids of all hosts of the cluster.

    Returns ``{"action", "hosts", "reason", "facts"}``.

    CLI Example:

    .. code-block:: bash

        salt-run salt.cmd site_galera_cluster.look '[db1.sandbox.wpd.internal]'
    """
    facts = _ask(hosts, "site_galera.facts")
    action, concerned, reason = decide(facts)
    return {"action": action, "hosts": concerned, "reason": reason, "facts": facts}


def _until(what, condition, seconds):
    """Wait for a condition: a function that returns a sentence while it is not met."""
    ends = time.monotonic() + seconds
    while True:
        lacking = condition()
        if not lacking:
            return
        if time.monotonic() > ends:
            raise CommandExecutionError(f"{what}: not within {seconds} s: {lacking}")
        time.sleep(POLL_SECONDS)


def _unsynced(host):
    """A condition for :py:func:`_until`: this host is synced."""
    return "" if _ask([host], "site_galera.ready")[host] else host


def _join(hosts, wait):
    """
    Start these nodes of a running cluster, and wait until they are synced. A
    transfer may fail, and then the node leaves for good: it is started again.
    """

    def condition():
        ready = _ask(hosts, "site_galera.ready")
        late = [host for host in hosts if not ready[host]]
        if late:
            _tell(late, "site_galera.start")
        return ", ".join(late)

    _tell(hosts, "site_galera.start")
    _until("the cluster is whole", condition, wait)


def recover(hosts, wait=300, grace=60):
    """
    Start what is stopped of a cluster, from the host that holds the last write.

    Does nothing where the cluster runs whole, or where there never was one. Where
    it runs in part, the missing hosts are started and nothing else.

    hosts
        The ids of all hosts of the cluster.

    wait
        Seconds at most for each start.

    grace
        Seconds that hosts which remember each other have to find each other.

    Returns the steps that were taken.

    Raises CommandExecutionError where a host does not answer, where the hosts'
    histories are not one, or when time is up. Hosts that were stopped stay so,
    and the next call goes on from there.

    CLI Example:

    .. code-block:: bash

        salt-run salt.cmd site_galera_cluster.recover '[db1.sandbox.wpd.internal]'
    """
    ends = time.monotonic() + grace
    seen = look(hosts)
    while seen["action"] == "wait" and time.monotonic() < ends:
        time.sleep(POLL_SECONDS)
        seen = look(hosts)
    action, concerned, reason = seen["action"], seen["hosts"], seen["reason"]
    steps = [f"{reason}: {', '.join(concerned)}" if concerned else reason]
    if action == "nothing":
        return steps
    if action == "start":
        _join(concerned, wait)
        return [*steps, f"started: {', '.join(concerned)}"]

    _tell(concerned, "site_galera.stop")
    positions = _ask(concerned, "site_galera.position")
    best = most_advanced(positions)
    steps += [f"{host}: {said['uuid']}:{said['seqno']}" for host, said in positions.items() if said]
    _tell([best], "site_galera.found")
    _until(f"{best} runs the cluster", lambda: _unsynced(best), wait)
    steps.append(f"started first: {best}")
    others = [host for host in concerned if host != best]
    if others:
        _join(others, wait)
        steps.append(f"started: {', '.join(others)}")
    return steps


def unhealthy(facts):
    """
    What is wrong with a cluster. Pure.

    facts
        ``{host: what site_galera.facts returns}`` of every host.

    Returns a list of sentences, empty where all is well.

    CLI Example:

    .. code-block:: bash

        salt-run salt.cmd site_galera_cluster.unhealthy '{db1.sandbox.wpd.internal: {…}}'
    """
    problems = [
        f"{host} is not synced ({said['state'] or said['active']})"
        for host, said in facts.items()
        if not said["synced"]
    ]
    problems += [
        f"{host} sees {said['size']} nodes, not {len(facts)}"
        for host, said in facts.items()
        if said["synced"] and said["size"] != len(facts)
    ]
    if len({said["uuid"] for said in facts.values() if said["synced"]}) > 1:
        problems.append("they are not in one cluster")
    return problems


def healthy(hosts, wait=60):
    """
    Wait until every host is synced in one cluster of exactly these hosts.

    hosts
        The ids of all hosts of the cluster.

    wait
        Seconds at most.

    Returns the sentence that says so. Raises CommandExecutionError with what is
    wrong when time is up.

    CLI Example:

    .. code-block:: bash

        salt-run salt.cmd site_galera_cluster.healthy '[db1.sandbox.wpd.internal]'
    """

    def condition():
        return "; ".join(unhealthy(_ask(hosts, "site_galera.facts")))

    _until("the cluster is well", condition, wait)
    return f"{len(hosts)} nodes, all synced"


def outdated(hosts, files):
    """
    Which nodes started before their files changed. Touches nothing.

    hosts, files
        As in :py:func:`renew`.

    Returns ``{host: [file, …]}`` of those that did.

    CLI Example:

    .. code-block:: bash

        salt-run salt.cmd site_galera_cluster.outdated '[db1.sandbox.wpd.internal]' '[/etc/my.cnf]'
    """
    found = _ask(hosts, "site_galera.outdated", files)
    return {host: names for host, names in found.items() if names}


def renew(hosts, files, wait=300):
    """
    Let every node run with its configuration: those that started before their
    files changed are started again, one after the other.

    hosts
        The ids of all hosts of the cluster.

    files
        What the daemon reads at its start.

    wait
        Seconds at most until the cluster is whole again after each start.

    Returns what was done, a list. Raises CommandExecutionError where the cluster is not
    whole before a start or does not become so after it; then no further node is
    touched.

    CLI Example:

    .. code-block:: bash

        salt-run salt.cmd site_galera_cluster.renew '[db1.sandbox.wpd.internal]' '[/etc/my.cnf]'
    """
    late = outdated(hosts, files)
    steps = []
    for host in (host for host in hosts if host in late):
        healthy(hosts, wait)
        before = _ask([host], "site_galera.started")[host]
        _tell([host], "site_galera.start", True)
        _until(f"{host} has started again", lambda h=host, b=before: _same_start(h, b), wait)
        healthy(hosts, wait)
        steps.append(f"{host} started again for {', '.join(late[host])}")
    return steps


def _same_start(host, before):
    """A sentence while a host's daemon is still the one of before."""
    now = _ask([host], "site_galera.started")[host]
    return "" if now and now != before else "it has not started yet"
