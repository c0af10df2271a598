"""A host comes by one line in the inventory, and goes without a trace."""

import shutil
import subprocess

import pytest

from tests.support.hosts import LEVEL
from tools.inventory import TREE

NAME = "memcache-cache2"
ID = f"{NAME}.{LEVEL}.wpd.internal"


def up(tree):
    done = subprocess.run(
        [str(tree / "fleet"), "--level", LEVEL, "up"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
    return done


@pytest.fixture(scope="module")
def larger(tmp_path_factory):
    """A copy of the tree whose inventory has one line more."""
    copy = tmp_path_factory.mktemp("larger") / "tree"
    shutil.copytree(TREE, copy, symlinks=True)
    path = copy / "inventory" / f"{LEVEL}.yaml"
    path.write_text(path.read_text("utf-8") + f"  {NAME}:\n", encoding="utf-8")
    return copy


def mentions(fleet):
    """Where the name still stands: (host, file) under /etc and in what the master keeps."""
    found = []
    for member in fleet.members:
        if member.name == NAME:
            continue
        places = "/etc"
        if member.roles[0] == "salt":
            places += (
                " /var/cache/salt/master/mine /var/cache/salt/master/minions /var/lib/saltworks"
            )
        done = fleet.shell(
            member.name, f"grep -rlsF {NAME} {places}; find {places} -name '*{NAME}*'"
        )
        found += [(member.name, line) for line in done.stdout.split()]
    return found


@pytest.fixture(scope="module")
def membership(fleet, larger):
    """What was seen while the host was there, and after it left."""
    assert mentions(fleet) == [], "the drill starts without that host"
    try:
        up(larger)
        during = mentions(fleet)
        config = {
            host.name: host.file("/etc/nutcracker/nutcracker.yml").content_string
            for host in fleet.with_role("app")
        }
    finally:
        up(TREE)
    return during, config, mentions(fleet)


def test_every_consumer_has_the_new_host(membership, fleet):
    during, config, _ = membership
    assert config and all(f" {NAME}" in text for text in config.values())
    assert {host for host, path in during if path == "/etc/hosts"} == {
        member.name for member in fleet.members
    }


def test_nothing_mentions_the_host_that_left(membership):
    assert membership[2] == []


def test_its_key_is_gone(membership, fleet):
    assert NAME not in fleet.shell("salt", "salt-key --list=all").stdout
