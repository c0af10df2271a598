"""
A rehearsed fault: verbs that break and heal hosts of the sandbox, beneath readers and
a writer who count what they were refused, and a story that is told as it happens.
"""

import contextlib
import time
from pathlib import Path

import pytest

from tests.support import database
from tests.support.pushes import Readers
from tests.support.services import put_away
from tests.support.waiting import wait_for
from tools.faults import HOST, MOUNTS, Faults

TABLE = "wiki.drill"
# Read from the database by each request; no cache keeps it.
PAGES = ["/wiki/Special:Statistics"]
# Seconds between a reader's pages: what is measured is the fault, not the machine.
PAUSE = 0.4
# So many in a row, each good, and clients are served.
READS, WRITES = 4, 10
POLL_SECONDS = 0.2
# A file that is written by way of memory may have no holes when the disk is full.
COPY = "cp -a --sparse=never"
WHOLE_SECONDS = 120


class Drill:
    """
    One drill. The fixture ``drill`` makes it, and ends it with :py:meth:`finish`.

    name
        As ``./fleet drill`` lists it.

    fleet, sandbox, site
        The fixtures of these names.

    say
        Called with each line of the story.
    """

    def __init__(self, name, fleet, sandbox, site, say):
        self.name, self.fleet, self.sandbox, self.site = name, fleet, sandbox, site
        self.faults = Faults(sandbox)
        self.detect_s = self.recover_s = self.lost = None
        self.writer = self.readers = None
        self._say, self._began, self._broke = say, time.monotonic(), None
        self._seen = (0, 0)
        self._clients = contextlib.ExitStack()
        self._cuts = 0

    # The story

    def tell(self, sentence):
        """A line of the story, with the seconds since its beginning."""
        self._say(f"{time.monotonic() - self._began:7.1f} s  {sentence}")

    def begin(self, title):
        """Heal what another drill left broken, and see that every host runs."""
        self._say(f"\n{self.name}: {title}")
        self.heal()

    def _start_all(self):
        """Start every host that does not run, whatever podman takes it for."""
        there = self.sandbox.containers()
        down = [host.name for host in self.fleet.members if not there[host.id]["running"]]
        if down:
            self.tell(f"{', '.join(down)} is started again")
            self.sandbox.start(*down)

    def hosts(self, role):
        """The hosts of a role, in order; without any, this level has no such drill."""
        found = self.fleet.with_role(role)
        if not found:
            pytest.skip(f"this level has no host with the role {role}")
        return found

    def app(self):
        """The name of an app host that this drill does not harm: its clients are there."""
        return self.fleet.with_role("app")[-1].name

    # Clients

    def load(self, bytes_each=0):
        """Clients begin: one reader for each frontend, and one writer. They go on to the end."""
        nodes = self.fleet.with_role("db")
        database.wait_until_whole(nodes)
        database.make_table(nodes[0], TABLE)
        password = self.fleet.secrets()["mariadb-wiki"]
        writer = database.Writer(
            self.fleet, self.app(), TABLE, password=password, bytes_each=bytes_each
        )
        self.writer = self._clients.enter_context(writer)
        self.readers = self._clients.enter_context(Readers(self.site, "docs", PAGES, PAUSE))
        wait_for(self.served, 60, "clients are served before the drill", POLL_SECONDS)
        self.tell("clients read and write")

    def served(self):
        """Whether the last readers and writes since the fault were all well."""
        reads, writes = self._seen
        answers = self.readers.answers[reads:][-READS:]
        rows = self.writer.told[writes:][-WRITES:]
        return (
            (len(answers), len(rows)) == (READS, WRITES)
            and all(status == 200 for _, status, _, _ in answers)
            and all(error is None for _, _, error in rows)
            and time.monotonic() - rows[-1][0] < 1
        )

    def refused(self):
        """How many writes were refused since the fault."""
        return sum(error is not None for _, _, error in self.writer.told[self._seen[1] :])

    @property
    def requests_failed(self):
        """How many pages and writes were refused so far; None without clients."""
        if self.readers is None:
            return None
        return len(self.readers.failed()) + len(self.writer.failures())

    # What is broken

    def _break(self, sentence, host, undo):
        """Tell of a fault that is about to be made, and write down how it is put right."""
        self.tell(sentence)
        self.faults.begin(host.id, sentence, undo)

    def _broken(self):
        """The first fault has happened: from here on seconds and answers count."""
        if self._broke is None:
            self._broke = time.monotonic()
            self._look_from_here()

    def _look_from_here(self):
        if self.readers:
            self._seen = len(self.readers.answers), len(self.writer.told)

    def happens(self, sentence):
        """What the test itself breaks in its own way, and puts right: time runs from here."""
        self.tell(sentence)
        self._broken()

    def kill(self, *hosts):
        """Hosts die at once, as by a loss of power; their disks stay."""
        names = [host.name for host in hosts]
        self.tell(f"{' and '.join(names)} {'die' if len(names) > 1 else 'dies'}")
        for name in names:
            self.fleet.hang_up(name)
        self.sandbox.kill(*names)
        self._broken()

    def start(self, *hosts):
        """Hosts that died are started again."""
        names = [host.name for host in hosts]
        self.sandbox.start(*names)
        self.tell(f"{' and '.join(names)} {'have' if len(names) > 1 else 'has'} booted again")

    def stop(self, host, *units):
        """Daemons of a host stop, and nobody can start them."""
        away, back = put_away(*units)
        self._break(f"{', '.join(units)} on {host.name} is stopped", host, [[HOST, back]])
        self.faults.run(host.id, HOST, away)
        self._broken()

    def cut(self, host, *others, port=None):
        """
        No packet passes between a host and others any more.

        others
            Hosts. Left out, where a port is given: everybody.

        port
            Only what the host sends to this port is cut.
        """
        there = self.sandbox.containers()
        addresses = ", ".join(there[other.id]["address"] for other in others)
        out = f"ip daddr {{ {addresses} }}" if others else 'oifname != "lo"'
        rules = {"output": f"{out} meta l4proto {{ tcp, udp }} th dport {port}" if port else out}
        if not port:
            rules["input"] = f"ip saddr {{ {addresses} }}"
        chains = "".join(
            f"chain {hook} {{ type filter hook {hook} priority -5; {rule} drop; }}\n"
            for hook, rule in rules.items()
        )
        self._cuts += 1
        table = f"inet drill_{self._cuts}"
        to = " and ".join(other.name for other in others) or "everybody"
        what = f"{host.name} is cut off from {to}" + (f", port {port}" if port else "")
        self._break(what, host, [[HOST, f"nft destroy table {table}"]])
        self.faults.run(host.id, HOST, f"nft -f - <<'END'\ntable {table} {{\n{chains}}}\nEND")
        self._broken()

    def slow(self, host, kilobits):
        """All that a host sends has to pass a narrow line."""
        undo = "tc qdisc del dev eth0 root 2>/dev/null || true"
        self._break(f"{host.name} sends {kilobits} kbit/s at most", host, [[HOST, undo]])
        rate = f"tbf rate {kilobits}kbit burst 16kb latency 800ms"
        self.faults.run(host.id, HOST, f"tc qdisc replace dev eth0 root {rate}")
        self._broken()

    def fill_disk(self, host, folder, unit, room_mb=8):
        """
        The disk of a daemon's folder is full.

        The folder gets a small disk of its own for that, and what is in it at the end
        is kept: hosts of a sandbox share one large disk, which nobody may fill.
        """
        away, back = put_away(unit)
        kept, filler = f"{folder}.kept", f"{folder}/drill-filler"
        back_on_disk = (
            f"if mountpoint -q {folder}; then rm -rf {kept} {filler} && "
            f"{COPY} {folder} {kept} && touch {kept}.whole; fi"
        )
        moved = (
            f"if [ -e {kept}.whole ]; then find {folder} -mindepth 1 -delete && "
            f"{COPY} {kept}/. {folder}/; fi; rm -rf {kept} {kept}.whole"
        )
        undo = [
            [HOST, f"{away}; {back_on_disk}"],
            [MOUNTS, f"if mountpoint -q {folder}; then umount {folder}; fi"],
            [HOST, f"{moved}; {back}"],
        ]
        self._break(f"{folder} of {host.name} gets a disk of its own", host, undo)
        self.faults.run(host.id, HOST, f"{away} && rm -rf {kept} && {COPY} {folder} {kept}")
        size = f"$(( $(du -sm {kept} | cut -f1) + {room_mb} ))m"
        self.faults.run(host.id, MOUNTS, f"mount -t tmpfs -o size={size} tmpfs {folder}")
        self.faults.run(host.id, HOST, f"{COPY} {kept}/. {folder}/ && rm -rf {kept} && {back}")
        return filler

    def fill(self, host, filler):
        """The rest of a disk of :py:meth:`fill_disk` is taken."""
        self.tell(f"the disk of {filler.rpartition('/')[0]} on {host.name} is full")
        self.faults.run(host.id, HOST, f"dd if=/dev/zero of={filler} bs=64k 2>/dev/null || true")
        self._broken()

    def make_room(self, host, filler):
        """Somebody deletes what filled the disk."""
        self.faults.run(host.id, HOST, f"rm -f {filler}")
        self.tell(f"somebody makes room on {host.name}")

    def skew_clock(self, host, seconds):
        """The clock of a host is wrong. A container has the machine's, which stays as it is."""
        owns = self.fleet.shell(host.name, "salt-call --local --out=txt site_machine.owns_clock")
        if "True" not in owns.stdout:
            pytest.skip(f"{host.name} is a container: its clock is the machine's")
        undo = "systemctl start chrony && chronyc -a makestep"
        self._break(f"the clock of {host.name} is {seconds} s wrong", host, [[HOST, undo]])
        ahead = f"date --set=@$(( $(date +%s) + {seconds} ))"
        self.faults.run(host.id, HOST, f"systemctl stop chrony && {ahead}")
        self._broken()

    def forget(self, host, path):
        """A file is gone from the disk of a host that is dead."""
        self.tell(f"{host.name} loses {path}")
        disk = self.sandbox.podman.run("mount", host.id).stdout.strip()
        try:
            Path(disk + path).unlink(missing_ok=True)
        finally:
            self.sandbox.podman.run("umount", host.id)

    def heal(self):
        """Hosts that died are started, and all that the verbs broke is put right."""
        self._start_all()
        self.faults.heal(self.tell)

    # What is seen

    def wait_until(self, what, condition, seconds):
        """Wait until a condition holds, tell it, and return its value."""
        found, _ = wait_for(condition, seconds, f"{self.name}: {what}", POLL_SECONDS)
        self.tell(what)
        return found

    def detected(self, what, condition=lambda: True, seconds=1):
        """Something in the fleet notices, or just did; how long after the first fault."""
        found = self.wait_until(f"detected: {what}", condition, seconds)
        self.detect_s = self._since()
        return found

    def recovered(self, what, seconds, condition=None):
        """Clients have what they had, or a condition holds; how long after the first fault."""
        found = self.wait_until(f"recovered: {what}", condition or self.served, seconds)
        self.recover_s = self._since()
        return found

    def _since(self):
        return round(time.monotonic() - self._broke, 1)

    def left_out(self, at, proxy, server):
        """A condition: the balancer of a host gives this server no requests."""
        command = "echo 'show stat' | socat - /run/haproxy/admin.sock | cut -d, -f1,2,18"
        return lambda: f"{proxy},{server},DOWN" in self.fleet.shell(at, command).stdout

    # The end

    def compare(self, acknowledged, *held):
        """What was acknowledged is in each of these sets; else it is lost."""
        missing = set().union(*(acknowledged - one for one in held))
        self.lost = (self.lost or 0) + len(missing)
        assert not missing, f"lost: {sorted(missing)[:10]}"
        # One that was not acknowledged may have been written, but then everywhere.
        assert all(one == held[0] for one in held)

    def finish(self):
        """Put everything right, whatever happened; then look for what was lost."""
        try:
            try:
                self.heal()
            finally:
                self._end_clients()
            if self.readers:
                self._compare_databases()
        finally:
            self.tell(self.summary())

    def _compare_databases(self):
        nodes = self.fleet.with_role("db")
        try:
            database.wait_until_whole(nodes, WHOLE_SECONDS)
        except AssertionError:
            self.tell("the databases do not find each other: orch.db_recover")
            database.recover(self.fleet)
            database.wait_until_whole(nodes, WHOLE_SECONDS)
        held = [database.numbers_on(node, TABLE) for node in nodes]
        database.as_root(nodes[0], f"DROP TABLE {TABLE}")
        self.compare(self.writer.acknowledged(), *held)

    def _end_clients(self):
        with self._clients:
            if self._broke and self.readers:
                self._look_from_here()
                self.wait_until("clients are served at the end", self.served, WHOLE_SECONDS)

    def record(self, passed):
        """What ``./fleet drill --json`` gives of this drill."""
        return {
            "name": self.name,
            "passed": passed,
            "detect_s": self.detect_s,
            "recover_s": self.recover_s,
            "requests_failed": self.requests_failed,
            "lost": self.lost,
        }

    def summary(self):
        """The last line of the story."""
        words = []
        if self.detect_s is not None:
            words.append(f"detected after {self.detect_s} s")
        if self.recover_s is not None:
            words.append(f"recovered after {self.recover_s} s")
        if self.readers:
            asked = len(self.readers.answers) + len(self.writer.told)
            words.append(f"of {asked} requests {self.requests_failed} failed")
            words.append(f"of {len(self.writer.acknowledged())} acknowledged writes")
        if self.lost is not None:
            words.append(f"{self.lost} lost")
        return ", ".join(words) or "the end"
