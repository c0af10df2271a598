"""The firewall of every host; who reaches what is in test_ports.py."""

import json

import pytest


@pytest.mark.parametrize("hook", ["input", "forward"])
def test_what_no_rule_lets_in_is_dropped(host, hook):
    found = json.loads(host.check_output(f"nft --json list chain inet site {hook}"))["nftables"]
    chains = [part["chain"] for part in found if "chain" in part]
    assert [(chain["hook"], chain["policy"]) for chain in chains] == [(hook, "drop")]


def test_the_rules_in_force_are_those_of_the_file(host):
    loaded = host.check_output("nft --stateless list table inet site")
    host.run("systemctl reload nftables")
    assert host.check_output("nft --stateless list table inet site") == loaded


def test_the_rules_come_back_with_the_host(host):
    assert host.service("nftables").is_enabled
    assert host.file("/etc/nftables.conf").contains("Managed by Saltworks: nftables")


def test_every_host_may_be_entered_by_somebody(host):
    sets = json.loads(host.check_output("nft --json list set inet site tcp_22_ip"))["nftables"]
    assert [part["set"]["elem"] for part in sets if "set" in part]


@pytest.mark.parametrize("action", ["reload", "stop", "restart"])
def test_tables_of_other_programs_are_left_alone(host, action):
    host.check_output("nft add table ip saltworks_stranger")
    try:
        host.run_expect([0], f"systemctl {action} nftables")
        tables = host.check_output("nft list tables").splitlines()
        assert {"table ip saltworks_stranger", "table inet site"} <= set(tables)
    finally:
        host.run("nft delete table ip saltworks_stranger")
        host.run_expect([0], "systemctl start nftables")
