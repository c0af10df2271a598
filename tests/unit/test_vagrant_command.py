"""What the Vagrantfile is told, and how machines are reached over SSH, without either."""

import dataclasses
import io
import ipaddress
import json
import tarfile

import pytest

from tools import image, inventory, machine, remote, vagrant
from tools.errors import FleetError


@pytest.fixture
def level(monkeypatch, tmp_path):
    monkeypatch.delenv("FLEET_HOSTS", raising=False)
    monkeypatch.setattr(vagrant, "KEY", tmp_path / ".vagrant" / "key")
    return inventory.load("sandbox")


def machines(level, tmp_path, text):
    config = tmp_path / "config"
    config.write_text(text, "utf-8")
    return remote.Machines(level, config)


def test_the_plan_has_every_host_at_an_address_of_its_own(level, capsys):
    vagrant.main(level, "plan", print)
    plan = json.loads(capsys.readouterr().out)
    assert [entry["id"] for entry in plan["machines"]] == [host.id for host in level.hosts]
    assert len({entry["address"] for entry in plan["machines"]}) == len(level.hosts)
    assert {entry["memory"] for entry in plan["machines"]} == {768, 1024, 1536}
    assert plan["docker"]["image"] == image.name()


def test_the_key_is_made_once_and_stays(level):
    vagrant.plan(level)
    key = vagrant.KEY.read_bytes()
    assert vagrant.KEY.stat().st_mode & 0o077 == 0
    vagrant.plan(level)
    assert vagrant.KEY.read_bytes() == key


def test_hosts_are_chosen_by_name(level, monkeypatch):
    monkeypatch.setenv("FLEET_HOSTS", "db2,salt.sandbox.wpd.internal")
    assert [host.name for host in vagrant.chosen(level)] == ["salt", "db2"]
    monkeypatch.setenv("FLEET_HOSTS", "nosuch1")
    with pytest.raises(FleetError, match="no host 'nosuch1'"):
        vagrant.chosen(level)


def test_a_level_without_a_network_is_refused():
    with pytest.raises(FleetError, match="has no network"):
        vagrant.plan(inventory.load("production"))


def test_other_words_are_refused(level):
    with pytest.raises(FleetError, match="no such word"):
        vagrant.main(level, "up", print)


def with_network(level, network, hosts):
    hosts = level.hosts[:hosts]
    return dataclasses.replace(level, network=ipaddress.ip_network(network), hosts=hosts)


def test_addresses_fill_a_network_to_the_last_one(level):
    # 14 addresses, of which the first nine stay free.
    full = with_network(level, "10.9.0.0/28", hosts=5)
    assert sorted(full.addresses().values()) == [f"10.9.0.{last}" for last in range(10, 15)]


def test_a_network_that_is_too_small_is_refused(level):
    with pytest.raises(FleetError, match="5 addresses for 6 hosts"):
        with_network(level, "10.9.0.0/28", hosts=6).addresses()


def test_a_new_host_moves_no_other(level):
    before = with_network(level, "10.9.0.0/24", hosts=11).addresses()
    after = with_network(level, "10.9.0.0/24", hosts=12).addresses()
    assert {host_id: after[host_id] for host_id in before} == before


def test_machines_are_those_that_the_configuration_names(level, tmp_path):
    found = machines(level, tmp_path, "Host salt\n  Port 22\n\nHost db1.sandbox.wpd.internal x\n")
    assert [host.name for host in found.inventory.hosts] == ["salt", "db1"]
    assert found.known is level
    assert found.transport.aliases == {
        "salt.sandbox.wpd.internal": "salt",
        "db1.sandbox.wpd.internal": "db1.sandbox.wpd.internal",
    }


def test_without_the_master_or_a_network_nothing_is_adopted(level, tmp_path):
    with pytest.raises(FleetError, match="does not name the master"):
        machines(level, tmp_path, "Host db1\n")
    with pytest.raises(FleetError, match="has no network"):
        machines(inventory.load("production"), tmp_path, "Host salt\n")


@pytest.fixture
def ssh(monkeypatch, tmp_path):
    """A program `ssh` that runs the last word of its command line, without sudo."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "sudo").write_text('#!/bin/sh\nshift 2\nexec "$@"\n', "ascii")
    (folder / "ssh").write_text(
        '#!/bin/sh\nfor last; do :; done\n[ "$last" = m1 ] || exec sh -c "$last"\n', "ascii"
    )
    for name in ("sudo", "ssh"):
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_a_command_arrives_word_by_word(ssh):
    with remote.Remote("/dev/null", {"id": "m1"}) as hosts:
        done = hosts.inside("id", "printf", "%s|", "a b", "$HOME", "it's")
        assert done.stdout == "a b|$HOME|it's|"
        assert hosts.inside("id", "cat", stdin="x\n").stdout == "x\n"
        assert hosts.inside("id", "cat", stdin=b"\xff").stdout == b"\xff"
        assert hosts.inside("id", "false", check=False).returncode == 1


def test_a_command_that_fails_or_hangs_is_said_with_its_host(ssh):
    with remote.Remote("/dev/null", {"id": "m1"}) as hosts:
        with pytest.raises(FleetError, match=r"id: .* failed \(3\): lost"):
            hosts.inside("id", "sh", "-c", "echo lost >&2; exit 3")
        with pytest.raises(FleetError, match=r"failed \(4\): lost"):
            hosts.inside("id", "sh", "-c", "echo lost >&2; exit 4", stdin=b"")
        with pytest.raises(FleetError, match="no answer in 0"):
            hosts.inside("id", "sleep", "5", timeout=0.1)


def test_the_bundle_is_roots_and_holds_the_bootstrap():
    with tarfile.open(fileobj=io.BytesIO(image.bundle())) as archive:
        members = {member.name: member for member in archive}
    assert members["bootstrap.sh"].mode == 0o755
    assert members["minion/site.conf"].mode == 0o644
    assert "requirements/salt.txt" in members
    assert {member.uid for member in members.values()} == {0}


def test_a_machine_without_apt_has_no_proxy_of_apt(monkeypatch):
    monkeypatch.setattr(machine.shutil, "which", lambda _: None)
    assert machine.apt_proxy() == ""


def test_hosts_have_packages_from_where_the_machine_has_them(monkeypatch):
    said = {}
    monkeypatch.setattr(machine.os, "environ", said)
    monkeypatch.setattr(machine.urllib.request, "getproxies", dict)
    monkeypatch.setattr(
        machine.configparser.RawConfigParser,
        "read",
        lambda self, *_: self.read_string("[global]\nproxy = http://old.test:3128\ncert = /x\n"),
    )
    assert machine.pip_settings() == "[global]\nproxy = http://old.test:3128\n"
    said["PIP_PROXY"] = "http://new.test:3128"
    said["PIP_INDEX_URL"] = "https://index.test/a%20b/"
    assert machine.pip_settings() == (
        "[global]\nindex-url = https://index.test/a%20b/\nproxy = http://new.test:3128\n"
    )


def test_a_machine_that_says_nothing_of_pip_leaves_hosts_as_they_are(monkeypatch):
    monkeypatch.setattr(machine.os, "environ", {})
    monkeypatch.setattr(machine.urllib.request, "getproxies", dict)
    monkeypatch.setattr(machine.configparser.RawConfigParser, "read", lambda *_: [])
    assert machine.pip_settings() == ""
    monkeypatch.setattr(machine.urllib.request, "getproxies", lambda: {"https": "http://p.test"})
    assert machine.pip_settings() == "[global]\nproxy = http://p.test\n"
