"""Podman, by its own command line."""

import json
import time
from pathlib import Path

from tools.command import run as run_command
from tools.errors import FleetError

# Where conmon, the watcher of one container, leaves its exit code for podman.
EXITS = Path("/run/libpod/exits")
LIST_TIMES = 6
LIST_PAUSE = 0.2  # seconds


class PodmanError(FleetError):
    """A podman command failed; the message holds what it said."""


class Podman:
    """
    Runs podman with the flags that this machine needs.

    runtime
        The OCI runtime (``runc`` or ``crun``) that works with its cgroups.
    """

    def __init__(self, runtime):
        self.runtime = runtime
        self.command = ["podman", "--runtime", runtime]

    def run(self, *arguments, stdin=None, check=True, timeout=None):
        """
        Run a podman command and return its CompletedProcess, output as text.

        stdin
            Text or bytes for the command's standard input.

        timeout
            Seconds, or None.

        Raises PodmanError when it fails and ``check`` is true.
        """
        return run_command(
            [*self.command, *arguments],
            f"`podman {' '.join(arguments[:4])} …`",
            PodmanError,
            {
                "time": "see `podman ps -a` and the machine's load, then run again",
                "failure": "see to what it says, then run again; `podman ps -a` shows every host",
            },
            stdin=stdin,
            check=check,
            timeout=timeout,
        )

    def json(self, *arguments):
        """Run a command that prints JSON; return it parsed."""
        return json.loads(self.run(*arguments).stdout or "null")

    def alive(self):
        """The ids of the containers whose first process runs, as the runtime itself sees it."""
        for times_left in range(LIST_TIMES - 1, -1, -1):
            done = run_command(
                [self.runtime, "list", "--format", "json"],
                f"`{self.runtime} list`",
                PodmanError,
                {
                    "time": "see the machine's load, then run again",
                    "failure": f"see to what it says: {self.runtime} runs the hosts",
                },
                # It fails as a whole where a container goes while it looks.
                check=not times_left,
            )
            if done.returncode == 0:
                break
            time.sleep(LIST_PAUSE)
        return {
            entry["id"] for entry in json.loads(done.stdout) or [] if entry["status"] == "running"
        }

    def record_death(self, container_id):
        """
        Tell podman that a container is dead which it takes for running.

        Only its conmon would have told it; killed with the container, it never
        does, and podman can then neither stop nor start it.
        """
        if container_id not in self.alive():
            EXITS.mkdir(parents=True, exist_ok=True)
            (EXITS / container_id).write_text("137", encoding="ascii")

    def words(self, host_id, *command):
        """The command line that runs a command in a host."""
        return [*self.command, "exec", host_id, *command]

    def inside(self, host_id, *command, stdin=None, check=True, timeout=None):
        """Run a command in a host; like run()."""
        flags = ["-i"] if stdin is not None else []
        return self.run(
            "exec", *flags, host_id, *command, stdin=stdin, check=check, timeout=timeout
        )
