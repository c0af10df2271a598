"""The Vagrantfile: what it defines, for which provider, without booting anything."""

import re
import subprocess

import pytest

from tools import inventory
from tools.inventory import TREE


def vagrant(environment, *words, **variables):
    return subprocess.run(
        ["vagrant", *words],
        cwd=TREE,
        env=dict(environment, **variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_no_host_is_named():
    text = (TREE / "Vagrantfile").read_text("utf-8")
    names = {
        word
        for level in inventory.levels()
        for host in inventory.load(level).hosts
        for word in (host.id, host.name)
    }
    assert len(names) > 10
    assert [name for name in sorted(names) if re.search(rf"\b{re.escape(name)}\b", text)] == []


def test_it_is_valid_for_every_provider(environment):
    done = vagrant(environment, "validate", "--ignore-provider")
    assert (done.returncode, done.stderr) == (0, "")
    assert "validated successfully" in done.stdout


def test_it_defines_one_machine_for_each_host(environment, socket):
    done = vagrant(environment, "status", "--machine-readable", DOCKER_HOST=f"unix://{socket}")
    found = re.findall(r"^\d+,([^,]+),state,(.+)$", done.stdout, re.MULTILINE)
    assert done.returncode == 0, done.stderr
    assert found == [(host.name, "not_created") for host in inventory.load("sandbox").hosts]


def test_chosen_hosts_alone_are_defined(environment, socket):
    done = vagrant(
        environment,
        *("status", "--machine-readable"),
        FLEET_HOSTS="db2,salt",
        DOCKER_HOST=f"unix://{socket}",
    )
    assert re.findall(r"^\d+,([^,]+),state,", done.stdout, re.MULTILINE) == ["salt", "db2"]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"FLEET_HOSTS": "nosuch1"}, "no host 'nosuch1'"),
        ({"FLEET_LEVEL": "nosuch"}, "no such level"),
        ({"FLEET_LEVEL": "production"}, "has no network"),
    ],
)
def test_what_cannot_be_raised_is_refused(environment, variables, said):
    done = vagrant(environment, "status", **variables)
    assert done.returncode != 0
    assert said in done.stderr


def test_addresses_are_steady_and_apart():
    level = inventory.load("sandbox")
    addresses = level.addresses()
    assert len(set(addresses.values())) == len(level.hosts)
    without_one = inventory.Inventory(level.level, level.network, level.hosts[:-1], level.names)
    del addresses[level.hosts[-1].id]
    assert without_one.addresses() == addresses
