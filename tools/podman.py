"""Podman, by its own command line."""

import json
import subprocess

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
        as_bytes = isinstance(stdin, bytes)
        try:
            done = subprocess.run(
                [*self.command, *arguments],
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                capture_output=True,
                text=not as_bytes,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise PodmanError(
                f"`podman {' '.join(arguments[:3])} …` gave no answer in {timeout} s",
                "see `podman ps -a` and the machine's load, then run again",
            ) from error
        if check and done.returncode:
            said = done.stderr.decode() if as_bytes else done.stderr
            raise PodmanError(
                f"`podman {' '.join(arguments[:4])} …` failed ({done.returncode}): "
                + " ".join(said.strip().splitlines()[-4:]),
                "see to what it says, then run again; `podman ps -a` shows every host",
            )
        return done

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
