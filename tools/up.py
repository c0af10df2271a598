"""Raising a level, and saying how it is."""

import contextlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import yaml

from tools import artifacts, image, machine, tree
from tools.errors import FleetError
from tools.faults import Faults
from tools.inventory import TREE
from tools.master import NOT_COMPARED, Master
from tools.sandbox import LABEL, WORKERS, write_machine_hosts

BOOTSTRAP = "/usr/local/sbin/saltworks-bootstrap"
SHARED = "/usr/local/share/saltworks"


def raise_level(sandbox, progress):
    """
    Everything that `./fleet up` does.

    Returns the failures of the orchestration: [{"host", "state", "comment",
    "remedy"}]; an empty list where every step held.
    Raises FleetError where something could not be done at all.
    """
    machine.check_kernel()
    sandbox.refuse_orphans()
    machine.allow_watches(progress.say)
    # Hosts that run have their share already.
    there = sandbox.containers()
    wanted = [host.id for host in sandbox.inventory.hosts]
    machine.check_memory(sum(not there.get(id_, {}).get("running") for id_ in wanted) / len(wanted))
    machine.check_room(share=sum(id_ not in there for id_ in wanted) / len(wanted))
    built = image.ensure(sandbox.podman, progress.say)
    sandbox.ensure_network()
    sandbox.ssh_key()
    master = Master(sandbox)
    gone = _remove_gone(sandbox, master, progress)
    made = sandbox.boot(built, progress)
    heal(sandbox, made, progress.say)

    _inside(sandbox, sandbox.inventory.master, "")
    shipped = _ready(sandbox, master, progress)
    _forget_gone(sandbox.inventory, master, gone, progress)
    artifacts.deliver(sandbox.transport, sandbox.inventory.hosts, progress.say)
    joined = _join_all(sandbox, master, progress, _inside)

    # A file, not what this run saw: the run before may have been killed between
    # a new tree or host and the step that tells everybody.
    synced = sandbox.state / "synced"
    if shipped or made or joined:
        synced.unlink(missing_ok=True)
    fresh = not synced.exists()
    steps = master.orchestrate("orch.up", progress, {"sync": fresh})
    failures = failures_of(steps)
    sandbox.write_ssh_config()
    if fresh:
        _save_pages(sandbox, master, progress)
        if not failures:
            synced.touch()
    return failures


def heal(sandbox, made, say):
    """Put right what a killed drill left broken; what cannot be is told, and the rest goes on."""
    try:
        Faults(sandbox).heal(say, made)
    except FleetError as error:
        # A daemon may wait for others that are only started later; the health of each is
        # asked for at the end anyway.
        say(f"{error}. {error.remedy}")


def adopt(machines, progress):
    """
    Make hosts of machines that run already, and raise their level: as `up` does.

    machines
        :py:class:`tools.remote.Machines`; its transport is open.

    Returns and raises what :py:func:`raise_level` does.
    """
    bundle = image.bundle()

    def bootstrap(host):
        progress.step(host.name, "packages and Salt")
        machines.transport.inside(host.id, "sh", "-c", _UNPACK, stdin=bundle)
        machines.transport.inside(host.id, "sh", "-c", _BOOTSTRAP)
        progress.done(host.name, "has a minion")

    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        list(pool.map(bootstrap, machines.inventory.hosts))
    master = Master(machines)
    _ready(machines, master, progress)
    artifacts.deliver(machines.transport, machines.inventory.hosts, progress.say)
    _forget_gone(machines.known, master, (), progress)
    _join_all(machines, master, progress, _on_machine)
    return failures_of(master.orchestrate("orch.up", progress))


def _ready(sandbox, master, progress):
    """Give the master this clone's tree, and make it one; return whether the tree is new."""
    name = sandbox.inventory.master.name
    progress.step(name, "tree and master")
    shipped = master.ship(progress.say)
    master.converge_itself(shipped)
    progress.done(name, "master ready")
    return shipped


def _remove_gone(sandbox, master, progress):
    """Remove the hosts that left the inventory; return their ids."""
    wanted = {host.id for host in sandbox.inventory.hosts}
    gone = sorted(set(sandbox.containers()) - wanted)
    for host_id in gone:
        progress.say(f"removing {host_id}: it left the inventory")
        sandbox.remove(host_id)
    return gone


def _forget_gone(inventory, master, gone, progress):
    """Delete keys and data of hosts that left; also those that a killed run left behind."""
    wanted = {host.id for host in inventory.hosts}
    for host_id in sorted(master.keys()["accepted"] - wanted):
        if host_id in gone or _of_level(host_id, inventory.level, inventory.names):
            progress.say(f"deleting the key and data of {host_id}")
            master.forget(host_id, progress)


def _of_level(host_id, level, names):
    from tools.inventory import SITE_HOSTS

    try:
        return SITE_HOSTS.parse_id(host_id, names)["level"] == level
    except SITE_HOSTS.HostIdError:
        return False


# Before a host has joined, its image may be older than this clone; after that
# the states keep the minion's files.
_PREPARE = f"""
set -eu
if [ ! -e /etc/salt/minion.d/host.conf ]; then
    install -d -m 0755 /etc/ssh/authorized_keys.d
    printf '%s' "$1" > /etc/ssh/authorized_keys.d/fleet
    chmod 0644 /etc/ssh/authorized_keys.d/fleet
    printf '%s' "$2" > {SHARED}/minion/site.conf
    printf '%s' "$3" > {SHARED}/minion/site_names.yaml
    {BOOTSTRAP} minion
fi
shift 3
"""
# The states keep these files of a host that has joined.
_UNPACK = f"""
set -eu
install -d -m 0755 {SHARED}
tar -x -f - -C {SHARED}
"""
_BOOTSTRAP = f"""
set -eu
if [ ! -e /etc/salt/minion.d/host.conf ]; then
    install -m 0755 {SHARED}/bootstrap.sh {BOOTSTRAP}
    {BOOTSTRAP} packages
    {BOOTSTRAP} salt
    {BOOTSTRAP} minion
    {BOOTSTRAP} user "$SUDO_USER"
fi
"""
# Until the states have written /etc/hosts: not every network tells names.
_KNOW_MASTER = """
set -eu
getent ahostsv4 "$2" >/dev/null || echo "$4 $2" >> /etc/hosts
"""
_JOIN = f"""
cat > /run/master.pub
{BOOTSTRAP} join --id "$1" --master "$2" --master-key /run/master.pub --network "$3"
"""


def _inside(sandbox, host, script, *arguments, stdin=None):
    """Run a script in a host, after giving it what it needs to become a minion."""
    public = sandbox.ssh_key().with_suffix(".pub").read_text("ascii")
    conf = (tree.TREE / "etc/minion.d/site.conf").read_text("utf-8")
    return sandbox.podman.inside(
        host.id,
        "sh",
        "-c",
        _PREPARE + script,
        "prepare",
        public,
        conf,
        image.site_names(tree.TREE),
        *arguments,
        stdin=stdin,
    ).stdout


def _on_machine(machines, host, script, *arguments, stdin=None):
    """Run a script on a machine that is reached over SSH."""
    address = machines.inventory.addresses()[machines.inventory.master.id]
    return machines.transport.inside(
        host.id,
        "sh",
        "-c",
        _KNOW_MASTER + script,
        "join",
        *arguments,
        address,
        stdin=stdin,
    ).stdout


def _join_all(sandbox, master, progress, run):
    """
    Pre-seed both keys of every host: the master knows it, and it knows the master.

    run
        Runs a script in a host, and returns its output.

    Returns the names of the hosts whose keys were new.
    """
    master_key = master.public_key()

    def join(host):
        key = run(
            sandbox,
            host,
            _JOIN,
            host.id,
            master.id,
            str(sandbox.inventory.network),
            stdin=master_key,
        )
        return host.name if master.accept(host.id, key) else None

    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        accepted = [name for name in pool.map(join, sandbox.inventory.hosts) if name]
    if accepted:
        progress.say(f"keys accepted: {', '.join(accepted)}")
    return accepted


def failures_of(steps):
    """What failed in an orchestration's steps, with host, state, comment and remedy."""
    failures = []
    for step in steps:
        if step["result"] is not False:
            continue
        found = _host_failures(step)
        if not found and not step["comment"].startswith("One or more requisite failed"):
            found = [
                {
                    "host": "salt",
                    "state": step["id"],
                    "comment": step["comment"],
                    "remedy": "`./fleet up` again; if it stays, `./fleet logs salt`",
                }
            ]
        failures += found
    return failures


def _host_failures(step):
    """Failed states of the hosts inside one failed step."""
    found = []
    returned = step["changes"].get("ret", {}) if isinstance(step["changes"], dict) else {}
    for host_id, states in sorted(returned.items()):
        name = host_id.split(".")[0]
        if isinstance(states, dict) and all(isinstance(s, dict) for s in states.values()):
            for key, state in states.items():
                comment = str(state.get("comment", ""))
                if state.get("result") is False and "requisite failed" not in comment:
                    found.append(
                        {
                            "host": host_id,
                            "state": state.get("__id__", key),
                            "comment": comment,
                            "remedy": f"correct it, then `./fleet apply {name}`; "
                            f"`./fleet logs {name}` has the service's own words",
                        }
                    )
        elif states is not True and not isinstance(states, dict):
            found.append(
                {
                    "host": host_id,
                    "state": step["id"],
                    "comment": _text(states),
                    "remedy": f"correct what it names, then `./fleet apply {name}`",
                }
            )
    return found


def _text(value):
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def _save_pages(sandbox, master, progress):
    answer = master.salt("-L", master.id, "site_pages.listed").get(master.id)
    pages = answer if isinstance(answer, list) else []
    # At once or not at all: `status` may read it now.
    written = sandbox.state / "pages.json.new"
    written.write_text(json.dumps(pages), encoding="utf-8")
    written.replace(sandbox.state / "pages.json")
    # What a browser on this machine must be told, where people find it.
    sandbox.authority.write_text(master.authority(), encoding="ascii")
    sandbox.authority.chmod(0o644)
    there = sandbox.containers()
    frontends = [host for host in sandbox.inventory.hosts if host.roles[0] == "frontend"]
    names = {page["url"].split("/")[2] for page in pages}
    further = yaml.safe_load((TREE / "pillar/domains.yaml").read_text(encoding="utf-8"))
    names = sorted(names | set(further.get(sandbox.level) or {}))
    if frontends and names:
        # All of them: a browser goes on to the next one where the first is away.
        addresses = [there[host.id]["address"] for host in frontends]
        lines = [f"{address} {' '.join(names)}" for address in addresses]
        if write_machine_hosts(sandbox.level, lines):
            progress.say(
                f"/etc/hosts of this machine: {', '.join(names)} is {' and '.join(addresses)}"
            )


def status(sandbox):
    """
    How the level is.

    Returns {"level", "hosts": [{"id", "roles", "address", "state", "failed",
    "changed"}], "services": [{"name", "url", "login", "secret"}],
    "pending_keys": [id], "tree", "versions"}. State is ok, failed, down or pending; the counts are
    those of the last highstate, None where there was none. The tree is the one that the
    master serves; the versions are what ``site_deploy.versions`` says.
    """
    there = sandbox.containers()
    master = Master(sandbox)
    up_ids = [host.id for host in sandbox.inventory.hosts if there.get(host.id, {}).get("running")]
    outcomes, pending, served = {}, [], ""
    versions = NOT_COMPARED | {"why": "the master is down"}
    if master.id in up_ids:
        outcomes = master.last_highstates(up_ids)
        pending = sorted(master.keys()["pending"])
        served = master.served()
        versions = master.versions()
    hosts = []
    for host in sandbox.inventory.hosts:
        outcome = outcomes.get(host.id)
        if host.id not in there:
            state = "pending"
        elif host.id not in up_ids or host.id not in outcomes:
            state = "down"
        elif outcome is None:
            state = "pending"
        else:
            state = "failed" if outcome["failed"] else "ok"
        hosts.append(
            {
                "id": host.id,
                "roles": list(host.roles),
                "address": there.get(host.id, {}).get("address"),
                "state": state,
                "failed": outcome["failed"] if outcome else None,
                "changed": outcome["changed"] if outcome else None,
            }
        )
    path = sandbox.state / "pages.json"
    services = json.loads(path.read_text("utf-8")) if path.exists() else []
    return {
        "level": sandbox.level,
        "hosts": hosts,
        "services": services,
        "pending_keys": pending,
        "tree": served,
        "versions": versions,
    }


def chosen(inventory, target):
    """
    The hosts that a word means.

    target
        A host's id or first label, a role, or nothing for all hosts.

    Raises FleetError where there is none.
    """
    if not target:
        return inventory.hosts
    if target in inventory.names["roles"] and target not in {host.name for host in inventory.hosts}:
        hosts = [host for host in inventory.hosts if target in host.roles]
        if not hosts:
            raise FleetError(f"no host of role {target} in this level", "see `./fleet status`")
        return hosts
    return [inventory.find(target)]


def apply(sandbox, hosts, test, progress, served=False):
    """
    Ship the tree and run a highstate on these hosts at once.

    served
        Ship nothing: the hosts take what the master serves already, as after a push.

    Returns {host id: its states, or what it said instead}.
    """
    ids = [host.id for host in hosts]
    master = Master(sandbox)
    for host in hosts:
        progress.step(host.name, "highstate")
    if served or master.ship(progress.say):
        master.converge_itself(True)
    # Also after a tree that came with another host: each takes the modules for itself.
    master.salt("-L", ",".join(ids), "saltutil.sync_all", timeout=120)
    answers = master.salt(
        "--timeout=600",
        "-L",
        ",".join(ids),
        "state.highstate",
        *(["test=True"] if test else []),
        timeout=1800,
    )
    for host in hosts:
        progress.done(host.name, "answered" if host.id in answers else "[red]no answer[/red]")
        answers.setdefault(host.id, "no answer from the minion")
    return answers


def print_apply(console, results):
    """Print what a highstate changed on each host; return its failures."""
    failures = []
    for host_id, states in sorted(results.items()):
        step = {"id": "highstate", "changes": {"ret": {host_id: states}}}
        failures += _host_failures(step)
        if not isinstance(states, dict):
            console.print(f"{host_id}: [red]did not run[/red]")
            continue
        changed = [
            state
            for state in states.values()
            if state.get("changes") or state.get("result") is None
        ]
        console.print(f"{host_id}: {len(states)} states, {len(changed)} changed")
        for state in sorted(changed, key=lambda item: item.get("__run_num__", 0)):
            mark = "would change" if state.get("result") is None else "changed"
            console.print(f"    {mark} {state.get('__id__')}", markup=False)
    return failures


def other_levels(sandbox):
    """Levels other than this one that have containers on this machine."""
    found = sandbox.podman.json("ps", "--all", "--filter", f"label={LABEL}", "--format", "json")
    return sorted({entry["Labels"][LABEL] for entry in found or []} - {sandbox.level})


def remove_caches():
    """
    Remove what was kept to be quick: environments, reports and logs of builds.

    What another ./fleet command works with now stays.
    """
    for path in sorted(machine.CACHE.glob("*")):
        if path.is_dir():
            with contextlib.suppress(BlockingIOError), machine.hold(path, alone=True):
                shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    for path in (machine.CACHE, machine.STATE):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
