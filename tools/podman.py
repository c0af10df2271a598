"""Podman, by its own command line."""

import json

from tools.command import run as run_command
from tools.errors import FleetError


class PodmanError(FleetError):
    """A podman command failed; the message holds what it said."""


class Podman:
    """
    Runs podman with the flags that this machine needs.

    runtime
        The OCI runtime (``runc`` or ``crun``) that works with its cgroups.
    """

    def __init__(self, runtime):
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

    def words(self, host_id, *command):
        """The command line that runs a command in a host."""
        return [*self.command, "exec", host_id, *command]

    def inside(self, host_id, *command, stdin=None, check=True, timeout=None):
        """Run a command in a host; like run()."""
        flags = ["-i"] if stdin is not None else []
        return self.run(
            "exec", *flags, host_id, *command, stdin=stdin, check=check, timeout=timeout
        )
