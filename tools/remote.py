"""Hosts reached over SSH, where the sandbox's are reached through podman."""

import dataclasses
import re
import shlex
import subprocess
import tempfile
from pathlib import Path

from tools.command import run
from tools.errors import FleetError


class RemoteError(FleetError):
    """A command on a host failed; the message holds what it said."""


class Remote:
    """
    Runs commands on hosts as root, over SSH. Use as a context manager.

    config
        Path of an SSH configuration.

    aliases
        {host id: the name that the configuration has for it}.
    """

    def __init__(self, config, aliases):
        self.aliases = aliases
        self._config = str(config)
        self._folder = None

    def __enter__(self):
        # One connection for each host: an orchestration asks often.
        self._folder = tempfile.TemporaryDirectory(prefix="saltworks-ssh-")
        return self

    def __exit__(self, *error):
        for alias in self.aliases.values():
            subprocess.run([*self._ssh(), "-O", "exit", alias], capture_output=True, check=False)
        self._folder.cleanup()

    def _ssh(self):
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "10",
            "ServerAliveInterval": "15",
            "ControlMaster": "auto",
            "ControlPersist": "60",
            "ControlPath": f"{self._folder.name}/%C",
        }
        words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        return ["ssh", "-F", self._config, *words]

    def words(self, host_id, *command):
        """The command line that runs a command on a host."""
        # Root's own home: programs leave their caches there.
        return [
            *self._ssh(),
            "-T",
            self.aliases[host_id],
            "--",
            shlex.join(["sudo", "-n", "-H", *command]),
        ]

    def inside(self, host_id, *command, stdin=None, check=True, timeout=None):
        """
        Run a command on a host and return its CompletedProcess, output as text.

        stdin
            Text or bytes for the command's standard input.

        timeout
            Seconds, or None.

        Raises RemoteError when it fails and ``check`` is true.
        """
        return run(
            self.words(host_id, *command),
            # Its first word only: arguments may be long.
            f"{host_id}: `{command[0]} …`",
            RemoteError,
            {
                "time": "see the host's load, then run again",
                "failure": "see that `ssh` with this configuration enters it, and "
                "`sudo -n true` works there",
            },
            stdin=stdin,
            check=check,
            timeout=timeout,
        )


class Machines:
    """
    The machines of a level that an SSH configuration names.

    inventory
        The whole level's. Hosts that are not in the configuration are left out.

    config
        Path of the SSH configuration; it knows a host by its id or its first label.
    """

    def __init__(self, inventory, config):
        if not Path(config).is_file():
            raise FleetError(f"{config} does not exist", "`vagrant ssh-config > config` writes one")
        named = {
            name
            for line in re.findall(r"(?m)^Host\s+(.+)$", Path(config).read_text("utf-8"))
            for name in line.split()
        }
        aliases = {
            host.id: host.id if host.id in named else host.name
            for host in inventory.hosts
            if {host.id, host.name} & named
        }
        if inventory.network is None:
            raise FleetError(
                f"inventory/{inventory.level}.yaml has no network: nothing says which of a "
                "machine's addresses the others reach it by",
                "write `network:` there",
            )
        if inventory.master.id not in aliases:
            raise FleetError(
                f"{config} does not name the master, {inventory.master.name}",
                "bring it up, too: nothing converges without it",
            )
        self.known = inventory
        self.inventory = dataclasses.replace(
            inventory, hosts=tuple(host for host in inventory.hosts if host.id in aliases)
        )
        self.level = inventory.level
        self.transport = Remote(config, aliases)
