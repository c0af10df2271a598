"""Every host of the level, by the mine and by the master's accepted keys."""

import pytest

REGISTRY = {
    "domain": "wpd.internal",
    "levels": ["production", "sandbox"],
    "roles": {"salt": {"kind": "service"}, "db": {"kind": "service"}},
}
MINED = {
    "db10.sandbox.wpd.internal": "10.0.0.10",
    "db2.sandbox.wpd.internal": "10.0.0.2",
    "salt.sandbox.wpd.internal": "10.0.0.1",
    "db1.production.wpd.internal": "10.0.9.1",
    "stranger": "10.0.0.66",
    "db3.sandbox.wpd.internal": None,
}


@pytest.fixture
def site_hosts(load):
    return load(
        "_modules/site_hosts.py",
        opts={"id": "salt.sandbox.wpd.internal"},
        pillar={"registry": REGISTRY},
        salt={"mine.get": lambda target, function: MINED},
    )


def test_everyone_of_the_level_and_nobody_else(site_hosts):
    assert site_hosts.everyone() == [
        {"id": "db2.sandbox.wpd.internal", "name": "db2", "address": "10.0.0.2"},
        {"id": "db10.sandbox.wpd.internal", "name": "db10", "address": "10.0.0.10"},
        {"id": "salt.sandbox.wpd.internal", "name": "salt", "address": "10.0.0.1"},
    ]


@pytest.mark.parametrize("mined", [None, {}, {"db2.sandbox.wpd.internal": "10.0.0.2"}])
def test_a_mine_without_this_host_is_refused(site_hosts, mined):
    site_hosts.__salt__ = {"mine.get": lambda target, function: mined}
    with pytest.raises(site_hosts.CommandExecutionError, match=r"mine does not know this host"):
        site_hosts.everyone()


def test_peers_reads_the_same_mine(site_hosts):
    assert [host["name"] for host in site_hosts.peers("db", minimum=2)] == ["db2", "db10"]
    with pytest.raises(site_hosts.CommandExecutionError, match="2 hosts with the role db"):
        site_hosts.peers("db", minimum=3)


def test_accepted_keys_of_the_level(site_hosts):
    folders = []

    def keys(folder):
        folders.append(folder)
        return [*MINED, ".key_cache"]

    site_hosts.__salt__ = {"site_keys.accepted": keys}
    found = site_hosts.accepted()
    assert [host_id.partition(".")[0] for host_id in found] == ["db2", "db3", "db10", "salt"]
    assert folders == ["/etc/salt/pki/master/minions"]


def test_accepted_keys_of_a_role_from_an_orchestration(site_hosts):
    site_hosts.__opts__ = {"id": "salt.production.wpd.internal_master"}
    site_hosts.__salt__ = {"site_keys.accepted": lambda folder: list(MINED)}
    assert site_hosts.accepted("/keys", roles="db") == ["db1.production.wpd.internal"]
    assert site_hosts.accepted("/keys", roles="salt") == []
