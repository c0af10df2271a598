"""The master of a sandbox: the tree, the keys, orchestrations, and what it knows of hosts."""

import json
import re
import subprocess
import threading
import time

from tools import tree
from tools.errors import FleetError
from tools.progress import QUIET_AFTER

KEYS = "/etc/salt/pki/master"
AUTHORITY = "/var/lib/saltworks/ca/ca.crt"
READY_SECONDS = 60
DETAIL_SECONDS = 4
ANOTHER_SECONDS = 900
ALL = "all hosts"
NOT_COMPARED = {"compared": None, "why": "the master has not done it yet", "apps": {}}


class Master:
    """The host of role salt, as the sandbox or other machines reach it."""

    def __init__(self, sandbox):
        self.sandbox = sandbox
        self.transport = sandbox.transport
        self.id = sandbox.inventory.master.id

    def inside(self, *command, **options):
        """Run a command on the master's host."""
        return self.transport.inside(self.id, *command, **options)

    def served(self):
        """The name of the tree that the master serves; empty where there is none yet."""
        link = self.inside("readlink", f"{tree.TREES}/current", check=False)
        return link.stdout.strip().removeprefix("releases/")

    def versions(self):
        """What ``site_deploy.compare`` found last of newer versions."""
        found = self.inside("cat", "/var/lib/deploy/versions.json", check=False)
        return json.loads(found.stdout) if found.returncode == 0 else NOT_COMPARED

    def ship(self, say=None):
        """
        Have the master serve the tree of this clone; return whether that changed anything.

        say
            Called with a sentence where that replaces what was pushed.
        """
        from tools.deploys import who

        archive, name = tree.pack()
        there = self.served()
        if there == name:
            return False
        if there and not there.startswith(tree.CLONE) and say:
            say(f"this clone replaces the pushed {there[:10]}, which the master served")
        self.inside("sh", "-c", tree.INSTALL, "install", name, who(), stdin=archive)
        return True

    def converge_itself(self, shipped):
        """
        Make the host a master, from its own tree, when it is none or the tree changed.

        Raises FleetError with Salt's own words when that fails.
        """
        active = self.inside("systemctl", "is-active", "salt-master", check=False)
        if not shipped and active.returncode == 0:
            return
        done = self.inside(
            "salt-call",
            "--local",
            "--retcode-passthrough",
            "--log-level=error",
            f"--id={self.id}",
            f"--file-root={tree.HOME}/salt",
            f"--pillar-root={tree.HOME}/pillar",
            "--module-dirs",
            tree.HOME,
            "state.apply",
            "salt-master",
            check=False,
        )
        if done.returncode:
            raise FleetError(
                "the master does not converge:\n" + done.stdout[-3000:] + done.stderr[-1000:],
                "correct the state or the pillar that it names, then run again",
            )
        self.wait_ready()
        self.inside("salt-run", "fileserver.clear_file_list_cache", check=False)

    def wait_ready(self):
        """Wait until the master answers; raise FleetError after READY_SECONDS."""
        until = time.monotonic() + READY_SECONDS
        while time.monotonic() < until:
            if (
                self.inside(
                    "test", "-S", "/var/run/salt/master/master_event_pull.ipc", check=False
                ).returncode
                == 0
                and self.inside("test", "-s", f"{KEYS}/master.pub", check=False).returncode == 0
            ):
                return
            time.sleep(0.5)
        raise FleetError(
            f"the master gave no sign within {READY_SECONDS} s",
            f"`./fleet logs {self.sandbox.inventory.master.name}`",
        )

    # Keys

    def public_key(self):
        """The master's public key, as PEM text."""
        return self.inside("cat", f"{KEYS}/master.pub").stdout

    def authority(self):
        """The certificate of the level's authority, as PEM text; it is no secret."""
        return self.inside("cat", AUTHORITY).stdout

    def keys(self):
        """The minion keys the master knows: {"accepted": {id, …}, "pending": {id, …}}."""
        found = {}
        for kind, folder in (("accepted", "minions"), ("pending", "minions_pre")):
            listed = self.inside("ls", "-1", f"{KEYS}/{folder}", check=False).stdout
            found[kind] = {line for line in listed.splitlines() if not line.startswith(".")}
        return found

    def accept(self, host_id, public_key):
        """Accept a key that was read from the host itself; return whether it was new."""
        path = f"{KEYS}/minions/{host_id}"
        there = self.inside("cat", path, check=False)
        if there.returncode == 0 and there.stdout.strip() == public_key.strip():
            return False
        self.inside(
            "sh",
            "-c",
            'set -eu; umask 077; mkdir -p "$1/minions"; cat > "$1/minions/$2"; '
            'rm -f "$1/minions_pre/$2" "$1/minions_denied/$2" "$1/minions_rejected/$2"',
            "accept",
            KEYS,
            host_id,
            stdin=public_key,
        )
        return True

    def forget(self, host_id, progress):
        """Delete a host's key and all that the master keeps of it; raise FleetError if it stays."""
        steps = self.orchestrate("orch.forget", progress, {"id": host_id})
        for step in steps:
            if not step["result"]:
                raise FleetError(
                    f"the master does not forget {host_id}: {step['id']}: {step['comment']}",
                    "`./fleet exec salt -- salt-key -L` shows the keys it has",
                )

    # Orders

    def salt(self, *arguments, timeout=None):
        """
        Run `salt` and return what each host returned: {id: value}.

        Hosts that did not answer are left out.
        """
        done = self.inside(
            "salt",
            "--out=json",
            "--static",
            "--log-level=quiet",
            *arguments,
            check=False,
            timeout=timeout,
        )
        start = done.stdout.find("{")
        if start < 0:
            return {}
        answers, _ = json.JSONDecoder().raw_decode(done.stdout[start:])
        return answers

    def last_highstates(self, ids):
        """{id: outcome or None} of each host that answers."""
        answers = self.salt("--timeout=10", "-L", ",".join(ids), "site_highstate.last", timeout=90)
        return {
            host_id: answer
            for host_id, answer in answers.items()
            if answer is None or isinstance(answer, dict)
        }

    def _wait_for_another(self, progress):
        """
        Wait until no orchestration runs: that of a killed command goes on without it,
        and two at once would be refused by each other's hosts.
        """
        until = time.monotonic() + ANOTHER_SECONDS
        told = False
        while self.inside("pgrep", "-f", "[s]tate.orchestrate", check=False).returncode == 0:
            if not told:
                progress.say("the orchestration of a killed run is still at work; waiting for it")
                told = True
            if time.monotonic() > until:
                raise FleetError(
                    f"another orchestration has run for {ANOTHER_SECONDS} s on {self.id}",
                    "`./fleet exec salt -- pkill -f state.orchestrate`, then run again",
                )
            time.sleep(2)

    def orchestrate(self, name, progress, pillar=None):
        """
        Run an orchestration, and show what its hosts do meanwhile.

        Returns the list of its steps, in order: {"id", "result", "comment",
        "changes", "seconds"}.
        Raises FleetError when it could not be run at all.
        """
        if name != "orch.deploy":
            # Deploys have a queue of their own, and no state of any host.
            self._wait_for_another(progress)
        names = {host.id: host.name for host in self.sandbox.inventory.hosts}
        watcher = subprocess.Popen(
            self.transport.words(
                self.id, "salt-run", "--log-level=quiet", "state.event", "pretty=False"
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        working = set()
        ended = threading.Event()
        threads = [
            threading.Thread(
                target=_follow, args=(watcher.stdout, names, working, progress), daemon=True
            ),
            threading.Thread(
                target=self._details, args=(names, working, ended, progress), daemon=True
            ),
        ]
        for thread in threads:
            thread.start()
        try:
            arguments = ["saltenv=base"]
            if pillar:
                arguments.append(f"pillar={json.dumps(pillar)}")
            done = self.inside(
                "salt-run",
                "--out=json",
                "--log-level=error",
                "state.orchestrate",
                name,
                *arguments,
                check=False,
            )
        finally:
            ended.set()
            watcher.terminate()
            self.inside("pkill", "-f", "salt-run.*state[.]event", check=False)
        start = done.stdout.find("{\n")
        try:
            data = json.JSONDecoder().raw_decode(done.stdout[start:])[0]["data"]
            states = next(iter(data.values()))
            if not isinstance(states, dict):
                raise ValueError(states)
        except (ValueError, KeyError, StopIteration) as error:
            said = _last_words(done.stdout + done.stderr)
            raise FleetError(
                f"the orchestration {name} did not run:\n{said}",
                "correct what it names, then run again",
            ) from error
        steps = sorted(states.values(), key=lambda state: state.get("__run_num__", 0))
        return [
            {
                "id": state.get("__id__", ""),
                "result": state.get("result"),
                "comment": state.get("comment", ""),
                "changes": state.get("changes") or {},
                "seconds": float(state.get("duration") or 0) / 1000,
            }
            for state in steps
        ]

    def _details(self, names, working, ended, progress):
        """Every few seconds, say which state each working host is at, from its minion's log."""
        script = "tail -c 20000 /var/log/salt/minion | grep -o 'Running state .*' | tail -n 1"
        # Each look costs a host a process; a log says no more than one line a while.
        pause = DETAIL_SECONDS if progress.console.is_terminal else QUIET_AFTER
        while not ended.wait(pause):
            for host_id in sorted(working):
                said = self.transport.inside(host_id, "sh", "-c", script, check=False).stdout
                found = re.search(r"Running state \[(.+)\] at time", said)
                if found and host_id in working:
                    progress.step(names[host_id], f"highstate: {found[1]}", fresh=False)


def _last_words(text):
    """The part of Salt's output that says what is wrong, without its tracebacks."""
    lines = [
        line
        for line in text.splitlines()
        if line.strip() and not line.startswith(("  ", "unclosed"))
    ]
    return "\n".join(lines[-20:])


def _follow(stream, names, working, progress):
    """Turn the master's events into progress."""
    for line in stream:
        tag, _, text = line.partition("\t")
        parts = tag.split("/")
        if parts[:2] != ["salt", "job"] or len(parts) < 4:
            continue
        try:
            data = json.loads(text)
        except ValueError:
            continue
        if data.get("fun") not in ("state.highstate", "state.apply"):
            if parts[3] == "new" and len(data.get("minions", [])) > 1:
                # One job may be several functions.
                functions = data.get("fun", "")
                if isinstance(functions, list):
                    functions = ", ".join(name.partition(".")[2] for name in functions)
                progress.step(ALL, functions)
            continue
        if parts[3] == "new":
            progress.forget(ALL)
            for host_id in set(data.get("minions", [])) & set(names):
                working.add(host_id)
                progress.step(names[host_id], data["fun"].replace("state.", ""))
        elif parts[3] == "ret" and len(parts) > 4 and parts[4] in names:
            working.discard(parts[4])
            progress.done(names[parts[4]], _outcome(data.get("return")))


def _outcome(states):
    """One line about a state run."""
    if not isinstance(states, dict):
        return "[red]did not render[/red]"
    failed = sum(1 for state in states.values() if state.get("result") is False)
    changed = sum(1 for state in states.values() if state.get("changes"))
    if failed:
        return f"[red]{failed} failed[/red], {changed} changed"
    return f"ok, {changed} changed"
