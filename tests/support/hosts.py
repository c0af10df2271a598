"""
The hosts of a level, for tests: known by id and role, reached over SSH.

Nothing here knows whether a host is a container, a virtual machine or a real
one: the SSH configuration says how it is reached.
"""

import os
import subprocess
from pathlib import Path

import pytest
import testinfra
import yaml

from tools import inventory

LEVEL = os.environ.get("FLEET_LEVEL", "sandbox")


def fleet_command(*words, stdin=None, seconds=120):
    """Run `./fleet` for the level under test; return its CompletedProcess."""
    return subprocess.run(
        [str(inventory.TREE / "fleet"), "--level", LEVEL, *words],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


class Fleet:
    """
    The hosts of a level that an SSH configuration names.

    ssh_config
        Path of the configuration; hosts of the inventory that do not stand in
        it (a smaller fleet, as Vagrant boots it) are left out.
    """

    def __init__(self, ssh_config):
        self.ssh_config = Path(ssh_config)
        words = self.ssh_config.read_text("utf-8").split()
        self.inventory = inventory.load(LEVEL)
        self.members = [
            host for host in self.inventory.hosts if host.id in words or host.name in words
        ]
        # What the configuration calls a host.
        self._alias = {host.id: host.id if host.id in words else host.name for host in self.members}
        self._open = {}
        self._addresses = {}

    def domain(self):
        """The level's public domain."""
        path = inventory.TREE / "pillar" / "level" / f"{self.inventory.level}.sls"
        return yaml.safe_load(path.read_text("utf-8").split("{%", maxsplit=1)[0])["site"]["domain"]

    def secrets(self):
        """The level's secrets: fakes, which stand in git in clear for a sandbox only."""
        level = self.inventory.level
        if not inventory.is_sandbox(level):
            pytest.skip("this level's secrets are not in clear")
        path = inventory.TREE / "pillar" / "secrets" / level / "secrets.yaml"
        return yaml.safe_load(path.read_text("utf-8"))

    def with_role(self, role=None):
        """
        The hosts that have all of these roles, in order: testinfra hosts.

        role
            ``"db"``, ``"memcache-sessions"``, or None for every host.
        """
        wanted = set(role.split("-")) if role else set()
        return [self.host(host.name) for host in self.members if wanted <= set(host.roles)]

    def host(self, name):
        """One host by id or first label, as a testinfra host that acts as root."""
        found = self.inventory.find(name)
        if found.id not in self._open:
            opened = testinfra.get_host(
                f"ssh://{self._alias[found.id]}", ssh_config=str(self.ssh_config), sudo=True
            )
            opened.name, opened.id, opened.roles = found.name, found.id, found.roles
            self._open[found.id] = opened
        return self._open[found.id]

    def _words(self, name, command):
        quoted = "'" + command.replace("'", "'\\''") + "'"
        alias = self._alias[self.inventory.find(name).id]
        return ["ssh", "-F", str(self.ssh_config), alias, "sudo", "sh", "-c", quoted]

    def shell(self, name, command, stdin=None, seconds=60):
        """
        Run a shell command on a host as root; return its CompletedProcess.

        For what testinfra has no word for: standard input, time limits.
        """
        return subprocess.run(
            self._words(name, command),
            input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def begin(self, name, command):
        """Begin a shell command on a host as root; return its Popen, input and output as text."""
        return subprocess.Popen(
            self._words(name, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def hang_up(self, name):
        """End the connection to a host that is kept for the next command: it is about to die."""
        alias = self._alias[self.inventory.find(name).id]
        subprocess.run(
            ["ssh", "-F", str(self.ssh_config), "-O", "exit", alias],
            capture_output=True,
            check=False,
        )

    def address(self, name):
        """The internal address of a host; asked once, for it stays."""
        if name not in self._addresses:
            done = self.shell(name, "salt-call --local --out=txt site_hosts.address")
            self._addresses[name] = done.stdout.split()[-1]
        return self._addresses[name]
