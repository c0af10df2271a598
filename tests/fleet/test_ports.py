"""What a host reaches of the others is what the registry says, no more and no less."""

import json
from concurrent import futures

import pytest

from tests.support import registry

# Asks every port of every host at once; who does not answer within the limit is closed.
SCAN = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor

def ask(target):
    try:
        with socket.create_connection(target, timeout=2):
            return True
    except OSError:
        return False

targets = [tuple(target) for target in json.load(sys.stdin)]
with ThreadPoolExecutor(max_workers=128) as pool:
    answers = pool.map(ask, targets)
    print(json.dumps([target for target, open_ in zip(targets, answers) if open_]))
"""


@pytest.fixture(scope="module")
def addresses(fleet):
    return {member.name: fleet.address(member.name) for member in fleet.members}


@pytest.fixture(scope="module")
def reached(fleet, addresses):
    """{host: what it reaches of all ports of all others}; several ask at once, for they wait."""
    names = fleet.inventory.names
    every_port = sorted(
        {port for member in fleet.members for port in registry.ports(names, member.roles)}
    )

    def scan(name):
        targets = [
            (address, port)
            for other, address in addresses.items()
            for port in every_port
            if other != name
        ]
        done = fleet.shell(name, f"python3 -c '{SCAN}'", stdin=json.dumps(targets))
        return {tuple(target) for target in json.loads(done.stdout)}

    with futures.ThreadPoolExecutor(max_workers=4) as pool:
        return dict(zip(addresses, pool.map(scan, addresses), strict=True))


def test_reach_is_what_the_registry_allows(host, fleet, addresses, reached):
    names = fleet.inventory.names
    others = [member for member in fleet.members if member.name != host.name]
    found = reached[host.name]
    may, must = set(), set()
    for member in others:
        for service in registry.services(names, member.roles):
            for listen in service["listens"]:
                if listen["address"] == "local" or listen["protocol"] != "tcp":
                    continue
                if registry.allowed(listen["from"], host.roles):
                    target = (addresses[member.name], listen["port"])
                    may.add(target)
                    if listen["check"] != "none":
                        must.add(target)
    assert found - may == set(), "reached, and the registry does not allow it"
    assert must - found == set(), "the registry allows it, and it was not reached"


def test_every_daemon_listens_where_the_registry_says_and_nowhere_else(host, fleet):
    lines = host.check_output("ss -Hltn").splitlines()
    listening = set()
    for line in lines:
        address, _, port = line.split()[3].rpartition(":")
        listening.add((address.strip("[]").split("%")[0], int(port)))
    local, open_ = set(), set()
    for service in registry.services(fleet.inventory.names, host.roles):
        for listen in service["listens"]:
            if listen["protocol"] == "tcp" and listen["check"] != "none":
                (local if listen["address"] == "local" else open_).add(listen["port"])
    outside = {
        port for address, port in listening if not address.startswith("127.") and address != "::1"
    }
    inside = {port for _, port in listening}
    declared = set(registry.ports(fleet.inventory.names, host.roles))
    assert outside - declared == set(), "listens for others without standing in the registry"
    assert open_ - outside == set(), "stands in the registry and does not listen"
    assert local - inside == set(), "stands in the registry as local and does not listen"
    assert local & (outside - declared) == set(), "should listen on localhost alone"
