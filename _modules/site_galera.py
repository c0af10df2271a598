"""
One node of a Galera cluster: how it is, what it holds, and what it should do next.

A cluster is founded once. :py:func:`next_step` allows it only to the first node
of the list, and only when every other node says that it was never in a cluster;
a cluster that was and has stopped is started by the runner of the same name.
"""

import http.client
import json
import re
import time
from pathlib import Path

from salt.exceptions import CommandExecutionError

DATA = Path("/var/lib/mysql")
STATE_FILE = DATA / "grastate.dat"
HELD = Path("/run/saltworks-galera-held")
UNIT = "mariadb.service"
NOBODY = "00000000-0000-0000-0000-000000000000"
REMEDY = "`salt-run state.orchestrate orch.db_recover` on the master"
ASK_SECONDS = 2
POLL_SECONDS = 1

_POSITION = re.compile(r"(?P<uuid>[0-9a-f-]{36}):(?P<seqno>-?[0-9]+)")


def provider_options(galera, tls, address):
    """
    The text for ``wsrep_provider_options``. Pure.

    galera, tls
        The pillar tables ``mariadb:galera`` and ``mariadb:tls``.

    address
        The own address: nothing listens on another.

    CLI Example:

    .. code-block:: bash

        salt-call site_galera.provider_options '{…}' '{…}' 192.0.2.1
    """
    options = {
        "gcache.size": f"{galera['cache_mb']}M",
        "gmcast.listen_addr": f"ssl://{address}:4567",
        "ist.recv_bind": address,
        "evs.suspect_timeout": galera["suspect_timeout"],
        "pc.wait_prim_timeout": galera["primary_timeout"],
        "socket.ssl": "yes",
        "socket.ssl_ca": tls["ca"],
        "socket.ssl_cert": tls["certificate"],
        "socket.ssl_key": tls["key"],
    }
    return "; ".join(f"{key}={value}" for key, value in options.items())


def status():
    """
    What the daemon on this host says of its cluster.

    Returns ``{"state", "status", "size", "uuid", "synced", "outside", "left"}``:
    ``state`` and ``status`` as Galera words them, empty where the daemon does not
    answer; ``outside`` is True where it answers and has no part in any cluster, as
    right after the package was installed; ``left`` where it had, and its way to the
    others is closed for good: after a transfer that failed, whatever the rest says.

    CLI Example:

    .. code-block:: bash

        salt-call site_galera.status
    """
    try:
        found = __salt__["site_mariadb.rows"]("SHOW GLOBAL STATUS LIKE 'wsrep%%'", ())
    except CommandExecutionError:
        found = []
    said = {row["Variable_name"]: row["Value"] for row in found}
    state = said.get("wsrep_local_state_comment", "")
    primary = said.get("wsrep_cluster_status", "")
    return {
        "state": state,
        "status": primary,
        "size": int(said.get("wsrep_cluster_size") or 0),
        "uuid": said.get("wsrep_cluster_state_uuid", ""),
        "outside": bool(said) and not said.get("wsrep_provider_name"),
        "left": bool(said.get("wsrep_provider_name")) and "wsrep_gcomm_uuid" not in said,
        "synced": (state, primary, said.get("wsrep_ready")) == ("Synced", "Primary", "ON"),
    }


def ready():
    """
    Whether this node is synced in the primary component.

    CLI Example:

    .. code-block:: bash

        salt-call site_galera.ready
    """
    return status()["synced"]


def parse_state(text):
    """
    What Galera's state file says. Pure.

    text
        The content of ``grastate.dat``.

    Returns ``{"uuid", "seqno", "safe"}``; -1 is a position that the file does not
    know, as after a crash.

    Raises CommandExecutionError where one of them is not there.

    CLI Example:

    .. code-block:: bash

        salt-call site_galera.parse_state "$(cat /var/lib/mysql/grastate.dat)"
    """
    said = dict(
        (part.strip() for part in line.split(":", 1))
        for line in text.splitlines()
        if ":" in line and not line.startswith("#")
    )
    try:
        return {
            "uuid": said["uuid"],
            "seqno": int(said["seqno"]),
            "safe": said["safe_to_bootstrap"] == "1",
        }
    except (KeyError, ValueError) as error:
        raise CommandExecutionError(f"{STATE_FILE} is not well formed: {error}") from error


def facts():
    """
    Everything that is to be known of this node without touching it.

    Returns :py:func:`status` and ``{"history": was it ever in a cluster, "safe":
    did it stop as the last one, "active": systemd's word for the unit, "view":
    does it remember the last members}``.

    CLI Example:

    .. code-block:: bash

        salt-call site_galera.facts
    """
    kept = _kept()
    return dict(
        status(),
        history=kept["uuid"] != NOBODY,
        safe=kept["safe"],
        active=_unit_state(),
        view=(DATA / "gvwstate.dat").exists(),
    )


def _kept():
    """The state file; where it cannot be read, a cluster that nothing is known of."""
    if not STATE_FILE.exists():
        return {"uuid": NOBODY, "seqno": -1, "safe": False}
    try:
        return parse_state(STATE_FILE.read_text(encoding="ascii"))
    except CommandExecutionError:
        # It is being written, or was when the host died.
        return {"uuid": None, "seqno": -1, "safe": False}


def _unit_state():
    return __salt__["cmd.run_stdout"](
        ["systemctl", "show", "--value", "--property=ActiveState", UNIT], python_shell=False
    )


def _run(*command):
    """Run a command; raise with its words where it fails."""
    done = __salt__["cmd.run_all"](list(command), python_shell=False)
    if done["retcode"]:
        raise CommandExecutionError(f"{' '.join(command)}: {done['stderr'] or done['stdout']}")
    return done


def ask(address, port):
    """
    Ask another node's health agent.

    address, port
        Where it listens.

    Returns its answer as a dictionary (``state``, ``status``, ``size``, ``uuid``,
    ``history``), or None where there is none.

    CLI Example:

    .. code-block:: bash

        salt-call site_galera.ask 192.0.2.2 9200
    """
    line = http.client.HTTPConnection(address, port, timeout=ASK_SECONDS)
    try:
        line.request("GET", "/")
        found = json.loads(line.getresponse().read(4096))
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        line.close()
    return found if isinstance(found, dict) else None


def next_step(own, others, first):
    """
    What a node that is not synced should do. Pure.

    own
        What :py:func:`facts` returns.

    others
        ``{name: what :py:func:`ask` returns}`` of every other node.

    first
        Whether this node is the first of the list.

    Returns ``(step, reason)``: ``"start"`` the daemon (it joins, or finds the old
    members), ``"found"`` a new cluster, or ``"wait"``.

    CLI Example:

    .. code-block:: bash

        salt-call site_galera.next_step '{history: false}' '{db2: null}' true
    """
    primary = sorted(
        name for name, said in others.items() if said and said.get("status") == "Primary"
    )
    if primary:
        return "start", f"{primary[0]} is in a running cluster"
    if own["history"]:
        return "start", "this node belongs to a cluster, and looks for its other members"
    silent = sorted(name for name, said in others.items() if said is None)
    if silent:
        return "wait", f"no answer from {', '.join(silent)}, so there may be a cluster already"
    # Not only True: an agent that cannot tell does not count as a no.
    old = sorted(name for name, said in others.items() if said.get("history") is not False)
    if old:
        return "wait", (
            f"{', '.join(old)} belong to a cluster that does not run; a new one would lose it. "
            f"Remedy: {REMEDY}"
        )
    if first:
        return "found", "no node was ever in a cluster, and this is the first"
    return "wait", "the first node founds the cluster"


def advance(address, peers, port):
    """
    Look once, and take the next step if there is one to take.

    address
        The own address.

    peers
        All nodes, in order: ``[{"name", "address"}, …]``.

    port
        Of the health agents.

    Returns ``{"synced": bool, "step": str, "reason": str}``.

    Raises CommandExecutionError where this node is not in the list, or the
    daemon cannot be started.

    CLI Example:

    .. code-block:: bash

        salt-call site_galera.advance 192.0.2.1 '[{name: db1, address: 192.0.2.1}]' 9200
    """
    addresses = [peer["address"] for peer in peers]
    if address not in addresses:
        raise CommandExecutionError(f"{address} is not among the cluster's nodes {addresses}")
    own = facts()
    if own["synced"]:
        return {"synced": True, "step": "none", "reason": "synced"}
    if HELD.exists():
        return {"synced": False, "step": "wait", "reason": "a recovery holds this node"}
    others = {
        peer["name"]: ask(peer["address"], port) for peer in peers if peer["address"] != address
    }
    step, reason = next_step(own, others, address == addresses[0])
    if step == "found":
        found()
    elif step == "start":
        start(restart=own["outside"])
    return {"synced": False, "step": step, "reason": reason}


def until_synced(address, peers, port, wait):
    """
    Take steps until this node is a synced member.

    address, peers, port
        As in :py:func:`advance`.

    wait
        Seconds at most.

    Returns the steps that were taken, in order.

    Raises CommandExecutionError with the last reason when time is up.

    CLI Example:

    .. code-block:: bash

        salt-call site_galera.until_synced 192.0.2.1 '[{name: db1, address: 192.0.2.1}]' 9200 60
    """
    ends = time.monotonic() + wait
    steps = []
    while True:
        now = advance(address, peers, port)
        if now["synced"]:
            return steps
        if now["step"] != "wait" and now["reason"] not in steps:
            steps.append(now["reason"])
        if time.monotonic() > ends:
            raise CommandExecutionError(
                f"this node is not synced after {wait} s: {now['reason']}. "
                f"Remedy: `journalctl -u mariadb`; where all nodes are stopped, {REMEDY}"
            )
        time.sleep(POLL_SECONDS)


def start(restart=False):
    """
    Let the daemon start, without waiting for it: it may wait for the other nodes.
    One that runs and has left the cluster for good is started again.

    restart
        It runs outside of any cluster, and has to read its configuration again.

    CLI Example:

    .. code-block:: bash

        salt-call site_galera.start
    """
    HELD.unlink(missing_ok=True)
    if restart:
        _run("systemctl", "--no-block", "restart", UNIT)
    elif _unit_state() == "active" and status()["left"]:
        # After a transfer that failed the daemon says that it must be started again, waits
        # for somebody to do so, and does not hear that it should stop. systemd starts it.
        _run("systemctl", "kill", "--signal=KILL", UNIT)
    else:
        _run("systemctl", "--no-block", "start", UNIT)


def stop():
    """
    Stop the daemon, and let nobody start it until :py:func:`start` or :py:func:`found`.

    CLI Example:

    .. code-block:: bash

        salt-call site_galera.stop
    """
    HELD.touch(mode=0o644)
    _run("systemctl", "stop", UNIT)


def found():
    """
    Found a cluster from what this node holds. The other nodes take its data.

    CLI Example:

    .. code-block:: bash

        salt-call site_galera.found
    """
    HELD.unlink(missing_ok=True)
    if STATE_FILE.exists():
        text = STATE_FILE.read_text(encoding="ascii")
        # In place: the file keeps its owner.
        STATE_FILE.write_text(
            re.sub(r"(?m)^safe_to_bootstrap:.*$", "safe_to_bootstrap: 1", text), encoding="ascii"
        )
    _run("galera_new_cluster")


def position():
    """
    The last write that a stopped node holds.

    Returns ``{"uuid", "seqno", "safe"}``; None where it was never in a cluster.

    Raises CommandExecutionError while the daemon runs, or where it does not tell.

    CLI Example:

    .. code-block:: bash

        salt-call site_galera.position
    """
    if _unit_state() not in ("inactive", "failed"):
        raise CommandExecutionError(f"{UNIT} runs: its position is known only once it has stopped")
    kept = _kept()
    if kept["uuid"] == NOBODY:
        return None
    if kept["seqno"] >= 0:
        return kept
    # After a crash only the storage engine knows.
    done = _run("/usr/bin/galera_recovery")
    said = _POSITION.search(done["stdout"])
    if not said:
        raise CommandExecutionError(f"galera_recovery did not tell a position: {done['stderr']}")
    return {"uuid": said["uuid"], "seqno": int(said["seqno"]), "safe": kept["safe"]}


def started():
    """
    When the daemon started: seconds since 1970, or None where it does not run.

    CLI Example:

    .. code-block:: bash

        salt-call site_galera.started
    """
    said = __salt__["cmd.run_stdout"](
        [
            "systemctl",
            "show",
            "--value",
            "--timestamp=unix",
            "--property=ExecMainStartTimestamp",
            UNIT,
        ],
        python_shell=False,
    )
    if _unit_state() != "active" or not said.startswith("@"):
        return None
    return int(said[1:])


def outdated(files):
    """
    Which of the files that the daemon reads at its start are newer than that start.

    files
        Their paths. One that does not exist counts as not newer.

    Returns those paths; an empty list where the daemon does not run, too: its next
    start reads them anyway.

    CLI Example:

    .. code-block:: bash

        salt-call site_galera.outdated '[/etc/mysql/mariadb.conf.d/70-saltworks.cnf]'
    """
    since = started()
    if since is None:
        return []
    # systemd tells whole seconds.
    return [
        name for name in files if Path(name).exists() and Path(name).stat().st_mtime > since + 1
    ]
