"""
What drills break on hosts of a sandbox, and how each of it is put right.

It is written down before it is broken: a drill that was killed leaves nothing that
`./fleet up`, or the next drill, does not find and heal.
"""

import json
import subprocess

from tools.errors import FleetError

# Where a way back is run: in the host, or by this machine with the host's mounts (a
# container may not mount).
HOST, MOUNTS = "host", "mounts"


class Faults:
    """
    The faults of one level that were not healed yet, in a file.

    sandbox
        :py:class:`tools.sandbox.Sandbox`.
    """

    def __init__(self, sandbox):
        self.sandbox = sandbox
        self.path = sandbox.state / "faults.json"

    def known(self):
        """The faults, the first one first: ``[{"host", "what", "undo"}, …]``."""
        return json.loads(self.path.read_text("utf-8")) if self.path.exists() else []

    def _write(self, faults):
        if not faults:
            self.path.unlink(missing_ok=True)
            return
        made = self.path.with_suffix(".new")
        made.write_text(json.dumps(faults, indent=1), encoding="utf-8")
        made.replace(self.path)

    def begin(self, host_id, what, undo):
        """
        Write down a fault that is about to be made.

        host_id
            The host that is broken.

        what
            A few words for people.

        undo
            ``[[HOST or MOUNTS, script], …]``: scripts that put it right, in order. They
            may be run where there is nothing to put right.
        """
        self._write([*self.known(), {"host": host_id, "what": what, "undo": undo}])

    def run(self, host_id, where, script):
        """Run a script in a host, or with its mounts; raise FleetError where it fails."""
        if where == HOST:
            self.sandbox.podman.inside(host_id, "sh", "-c", script, timeout=180)
            return
        pid = self.sandbox.podman.run("inspect", "--format", "{{.State.Pid}}", host_id)
        done = subprocess.run(
            ["nsenter", "--target", pid.stdout.strip(), "--mount", "sh", "-c", script],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise FleetError(f"{host_id}: {script}: {done.stderr.strip()}", "see what it says")

    def heal(self, say, made=()):
        """
        Put everything right, the last fault first.

        say
            Called with a sentence for each.

        made
            Names of hosts that were just made: nothing is broken there.

        Raises FleetError where something could not be put right; the rest is.
        """
        failed = []
        for fault in reversed(self.known()):
            try:
                # A host that does not run has lost all of it: rules, mounts, /run.
                new = fault["host"].split(".")[0] in made
                if not new and self.sandbox.running(fault["host"]):
                    for where, script in fault["undo"]:
                        self.run(fault["host"], where, script)
            except FleetError as error:
                failed.append((fault, error))
                continue
            self._write([one for one in self.known() if one != fault])
            say(f"healed {fault['host'].split('.')[0]}: {fault['what']}")
        if failed:
            fault, error = failed[0]
            raise FleetError(
                f"{fault['host']}: {fault['what']}: not healed: {error}",
                f"`podman restart {fault['host']}` ends most faults of a host; then `./fleet up`",
            )
