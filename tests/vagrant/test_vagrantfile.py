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


def machines(done, kind):
    """(machine, value) of each line of this kind."""
    return re.findall(rf"^\d+,([^,]+),{kind},([^,\n]+)$", done.stdout, re.MULTILINE)


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


@pytest.fixture(scope="module", params=["libvirt", "virtualbox", "docker"])
def provider(request, environment, reached, tmp_path_factory):
    """Variables that choose a provider. Of VirtualBox there is but its version."""
    variables = dict(environment, VAGRANT_DEFAULT_PROVIDER=request.param)
    if request.param == "docker":
        variables.update(reached)
    if request.param == "virtualbox":
        # It is not in Debian. Vagrant checks the settings without it, once it
        # believes that it is there.
        folder = tmp_path_factory.mktemp("virtualbox")
        program = folder / "VBoxManage"
        program.write_text("#!/bin/sh\necho 7.0.20r163906\n", "ascii")
        program.chmod(0o755)
        variables["PATH"] = f"{folder}:{variables['PATH']}"
    return variables


def test_it_is_valid_for_every_provider(provider):
    done = vagrant(provider, "validate")
    assert (done.returncode, done.stderr) == (0, "")
    assert "validated successfully" in done.stdout


def test_it_defines_one_machine_for_each_host(provider):
    done = vagrant(provider, "status", "--machine-readable")
    assert done.returncode == 0, done.stdout
    name = provider["VAGRANT_DEFAULT_PROVIDER"]
    hosts = inventory.load("sandbox").hosts
    assert machines(done, "state") == [(host.name, "not_created") for host in hosts]
    assert machines(done, "provider-name") == [(host.name, name) for host in hosts]


def test_chosen_hosts_alone_are_defined(provider):
    done = vagrant(provider, "status", "--machine-readable", FLEET_HOSTS="db2,salt")
    assert machines(done, "state") == [("salt", "not_created"), ("db2", "not_created")]


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
