"""The hosts of a level as containers on this machine."""

import contextlib
import fcntl
import ipaddress
import json
import os
import re
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools import machine
from tools.errors import FleetError
from tools.podman import Podman

LABEL = "saltworks.level"
# The certificate of the level's authority, on every host that has joined.
AUTHORITY = "/etc/ssl/site/ca.crt"
BOOT_SECONDS = 90
_HALF_MADE = ("created", "initialized", "removing", "unknown")
_BOOTED = ("basic.target", "ssh.service")
WORKERS = 4


class Sandbox:
    """
    The containers, network and files of one level.

    Podman is the only record of which hosts there are: nothing else can be out
    of step with it.
    """

    def __init__(self, inventory):
        self.inventory = inventory
        self.level = inventory.level
        self.podman = Podman(machine.runtime())
        # How its hosts are reached; other machines are reached over SSH.
        self.transport = self.podman
        self.network = f"saltworks-{self.level}"
        self.state = machine.STATE / self.level
        # For the browsers of this machine, whoever runs them.
        self.authority = machine.STATE / f"{self.level}-ca.crt"

    # What is there

    def containers(self):
        """Every container of this level: {host id: {"running", "address", "image"}}."""
        found = self.podman.json(
            "ps", "--all", "--filter", f"label={LABEL}={self.level}", "--format", "json"
        )
        # A host that was killed together with podman's watcher of it (conmon)
        # is running for podman for ever; the runtime looks at the process.
        alive = self.podman.alive() if found else set()
        return {
            entry["Names"][0]: {
                "running": entry["State"] == "running" and entry["Id"] in alive,
                "state": entry["State"],
                "address": entry["Labels"].get("saltworks.address"),
                "image": entry["Image"],
            }
            for entry in found or []
        }

    def running(self, host_id):
        """Whether that host runs now."""
        return self.containers().get(host_id, {}).get("running", False)

    @contextlib.contextmanager
    def lock(self, say):
        """Hold the level: two commands at once would boot and remove the same hosts."""
        path = self.state / "lock"
        while True:
            self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
            with path.open("w", encoding="ascii") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    say(f"another ./fleet command works on level {self.level}; waiting for it")
                    fcntl.flock(file, fcntl.LOCK_EX)
                # The one waited for may have removed the level, and the lock with it.
                if not _same(path, file):
                    continue
                yield
                return

    # Network

    def ensure_network(self):
        """Make the level's network, or check that the one of that name is the right one."""
        wanted = self.inventory.network
        if wanted is None:
            raise FleetError(
                f"inventory/{self.level}.yaml has no network: this level is not for one machine",
                "only a level with `network:` can be raised here",
            )
        if self.podman.run("network", "exists", self.network, check=False).returncode == 0:
            subnet = self.podman.json("network", "inspect", self.network)[0]["subnets"][0]["subnet"]
            if ipaddress.ip_network(subnet) == wanted:
                return
            if self.containers():
                raise FleetError(
                    f"the network {self.network} is {subnet}, the inventory says {wanted}",
                    "`./fleet down --purge`, then `./fleet up`",
                )
            self.podman.run("network", "rm", self.network)
        taken = self._network_in_use(wanted)
        if taken:
            raise FleetError(
                f"the network {wanted} of inventory/{self.level}.yaml is in use: {taken}",
                "write another private network there",
            )
        self.podman.run("network", "create", "--subnet", str(wanted), self.network)

    @staticmethod
    def _network_in_use(wanted):
        done = subprocess.run(
            ["ip", "-4", "-json", "route"], capture_output=True, text=True, check=False
        )
        for route in json.loads(done.stdout or "[]"):
            target = route.get("dst", "")
            if target == "default":
                continue
            if ipaddress.ip_network(target, strict=False).overlaps(wanted):
                return f"{target} dev {route.get('dev')}"
        return ""

    def _free_addresses(self, taken):
        # The low ones are for the gateway and whatever else podman puts there.
        for address in list(self.inventory.network.hosts())[9:]:
            if str(address) not in taken:
                yield str(address)

    # Hosts

    def refuse_orphans(self):
        """
        Raise FleetError where hosts have lost their master for good.

        With its disk went the level's authority; a new master would make another,
        and hosts that trust different ones cannot work together.
        """
        there = self.containers()
        master = there.pop(self.inventory.master.id, None)
        if master and master["state"] not in _HALF_MADE:
            return
        orphans = [
            host_id.split(".")[0]
            for host_id in sorted(there)
            # Works on hosts that are down, too.
            if self.podman.run("cp", f"{host_id}:{AUTHORITY}", "-", check=False).returncode == 0
        ]
        if orphans:
            raise FleetError(
                f"the host {self.inventory.master.name} is gone, and with it the authority whose "
                f"certificates these hosts have: {', '.join(orphans)}",
                f"`./fleet --level {self.level} down --purge`, then `up`: that makes the level "
                "anew, without its data",
            )

    def boot(self, image, progress):
        """
        Make and start what the inventory has and the machine has not.

        Removes half-made containers of a killed run. Raises FleetError when a
        host does not come up. Returns the names of the hosts it made.
        """
        there = self.containers()
        for host_id, found in list(there.items()):
            if found["state"] in _HALF_MADE:
                progress.say(f"removing {host_id}: a killed run left it half made")
                self.remove(host_id)
                del there[host_id]
        free = self._free_addresses({found["address"] for found in there.values()})
        made, stale = [], []
        plan = []
        for host in self.inventory.hosts:
            found = there.get(host.id)
            if found is None:
                made.append(host.name)
                plan.append((host, next(free), False))
            else:
                if image not in (found["image"], ""):
                    stale.append(host.name)
                plan.append((host, found["address"], True))
        if stale:
            progress.say(
                f"older image: {', '.join(stale)}. They keep their disks; "
                "`./fleet down --purge` and `up` makes them anew"
            )

        def start(item):
            host, address, exists = item
            if exists and there[host.id]["running"]:
                return
            progress.step(host.name, "boot")
            self._start(host, address, image, exists)
            self._wait_booted(host)
            progress.done(host.name, "booted")

        self._each(start, plan)
        return made

    def _start(self, host, address, image, exists):
        if exists:
            # "start" succeeds on a container that podman takes for running.
            done = self.podman.run("start", host.id, check=False)
            if done.returncode == 0 and self.running(host.id):
                return
            self.podman.record_death(self._podman_id(host.id))
            self.podman.run("stop", "--time", "2", host.id, check=False)
            self.podman.run("start", host.id)
            return
        self.podman.run(
            "run",
            "--detach",
            "--name",
            host.id,
            "--hostname",
            host.id,
            "--systemd=always",
            "--no-hosts",
            "--network",
            self.network,
            "--ip",
            address,
            "--cap-add",
            "NET_ADMIN,SYS_NICE",
            *machine.limits(),
            "--label",
            f"{LABEL}={self.level}",
            "--label",
            f"saltworks.address={address}",
            "--stop-timeout",
            "30",
            "--log-driver",
            "k8s-file",
            image,
            "/sbin/init",
        )

    def _podman_id(self, host_id):
        return self.podman.run("inspect", "--format", "{{.Id}}", host_id).stdout.strip()

    def _wait_booted(self, host):
        """
        Wait until the host can be entered. Not until all of its daemons run: a
        database may wait for the other hosts, and those are started after it.
        """
        until = time.monotonic() + BOOT_SECONDS
        while True:
            done = self.podman.inside(
                host.id, "systemctl", "is-active", *_BOOTED, check=False, timeout=BOOT_SECONDS
            )
            if done.stdout.split() == ["active"] * len(_BOOTED):
                return
            if time.monotonic() > until:
                break
            time.sleep(0.3)
        said = " ".join((done.stdout or done.stderr).split())
        raise FleetError(
            f"{host.name} did not boot within {BOOT_SECONDS} s: {', '.join(_BOOTED)} are {said}",
            f"`./fleet logs {host.name}` shows why",
        )

    def kill(self, *names):
        """Let hosts die at once, as by a loss of power; their disks stay."""
        self.podman.run("kill", *[self.inventory.find(name).id for name in names])

    def stop_host(self, name):
        """Shut one host down in order; its disk stays."""
        self.podman.run("stop", self.inventory.find(name).id)

    def start(self, *names):
        """Start hosts that were stopped or killed, and wait until they have booted."""
        there = self.containers()

        def begin(name):
            host = self.inventory.find(name)
            self._start(host, there[host.id]["address"], there[host.id]["image"], exists=True)
            self._wait_booted(host)

        self._each(begin, names)

    def remove(self, host_id):
        """Remove a container, whatever state it is in."""
        self.podman.run("rm", "--force", "--time", "5", host_id)

    def stop(self, progress):
        """Stop every running host in an order that the services like; keep the disks."""
        there = {host_id for host_id, found in self.containers().items() if found["running"]}
        order = ["frontend", "app", "blog", "memcache", "redis", "db", "salt"]

        def wave(host_id):
            role = host_id.split(".")[0].split("-")[0].rstrip("0123456789")
            return order.index(role) if role in order else 0

        for number in range(len(order)):
            hosts = sorted(host_id for host_id in there if wave(host_id) == number)

            def halt(host_id):
                name = host_id.split(".")[0]
                progress.step(name, "stop")
                self.podman.run("stop", host_id)
                progress.done(name, "stopped")

            # One at a time where the order within matters to a cluster.
            (list(map(halt, hosts)) if number == order.index("db") else self._each(halt, hosts))

    @property
    def half_purged(self):
        """Whether a purge began and did not end: what is left is no level any more."""
        return (self.state / "purge").exists()

    def purge(self):
        """Remove the level's containers, network and files."""
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.state / "purge").touch()
        self._each(self.remove, self.containers())
        if self.podman.run("network", "exists", self.network, check=False).returncode == 0:
            self.podman.run("network", "rm", "--force", self.network)
        write_machine_hosts(self.level, [])
        self.authority.unlink(missing_ok=True)
        shutil.rmtree(self.state, ignore_errors=True)

    @staticmethod
    def _each(function, items):
        with ThreadPoolExecutor(max_workers=WORKERS) as pool:
            return list(pool.map(function, items))

    # The way in

    def ssh_key(self):
        """The key pair with which this machine's operator enters hosts; made once."""
        key = self.state / "ssh" / "id_ed25519"
        if not key.exists():
            key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            subprocess.run(
                [
                    "ssh-keygen",
                    "-q",
                    "-t",
                    "ed25519",
                    "-N",
                    "",
                    "-C",
                    f"fleet-{self.level}",
                    "-f",
                    str(key),
                ],
                check=True,
                capture_output=True,
            )
        return key

    def write_ssh_config(self):
        """
        Write the SSH configuration and known hosts of the level; return its path.

        Host keys are read through podman, so the first connection is a checked one.
        """
        key = self.ssh_key()
        known, config = [], []
        there = self.containers()
        hosts = [host for host in self.inventory.hosts if there.get(host.id, {}).get("running")]
        keys = self._each(lambda host: self._host_key(host.id), hosts)
        for host, host_key in zip(hosts, keys, strict=True):
            address = there[host.id]["address"]
            known.append(f"{host.id},{address} {' '.join(host_key)}")
            config.append(
                f"Host {host.id} {host.name}\n  HostName {address}\n  HostKeyAlias {host.id}\n"
            )
        folder = key.parent
        (folder / "known_hosts").write_text("\n".join(known) + "\n", encoding="ascii")
        common = (
            "Host *\n  User fleet\n"
            f"  IdentityFile {key}\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {folder / 'known_hosts'}\n  StrictHostKeyChecking yes\n"
            "  ControlMaster auto\n  ControlPersist 60\n"
            f"  ControlPath {folder}/%C\n  ConnectTimeout 10\n"
        )
        path = folder / "config"
        # Another command may be reading it.
        made = folder / "config.new"
        made.write_text("".join(config) + common, encoding="ascii")
        return made.replace(path)

    def _host_key(self, host_id):
        """A host's public SSH key, kept per container: one made anew has a new one."""
        kept = self.state / "ssh" / f"host-key-{self._podman_id(host_id)[:12]}"
        if not kept.exists():
            key = self.podman.inside(host_id, "cat", "/etc/ssh/ssh_host_ed25519_key.pub").stdout
            kept.write_text(key, encoding="ascii")
        return kept.read_text("ascii").split()[:2]


def _same(path, file):
    """Whether an open file is still the one of that path."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def write_machine_hosts(level, lines, path=Path("/etc/hosts")):
    """
    Keep a marked block for a level in the machine's /etc/hosts; no lines, no block.

    lines
        Strings ``address name [name …]``.

    Returns whether the file changed.
    """
    begin, end = f"# saltworks {level} begin", f"# saltworks {level} end"
    old = path.read_text(encoding="utf-8")
    kept = re.sub(rf"^{re.escape(begin)}\n.*?{re.escape(end)}\n", "", old, flags=re.S | re.M)
    new = kept
    if lines:
        new = "\n".join([kept.rstrip("\n"), begin, *lines, end, ""])
    if new == old:
        return False
    # In place: where /etc/hosts is a mount of its own it cannot be replaced.
    with path.open("w", encoding="utf-8") as file:
        file.write(new)
        file.flush()
        os.fsync(file.fileno())
    return True
