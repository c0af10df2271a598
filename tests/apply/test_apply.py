"""
A host that drifted: `test=True` says what an apply will change, the apply changes
no more than that, and the next one nothing.
"""

import json

import pytest

from tests.support import registry

ROLES = ("salt", "db", "memcache", "redis", "app", "blog", "frontend")


def highstate(host, *arguments):
    done = host.run(f"salt-call --out=json state.highstate {' '.join(arguments)}")
    states = json.loads(done.stdout[done.stdout.index("{") :])["local"]
    assert isinstance(states, dict), states
    return states


def ids(states, wanted):
    return {state["__id__"] for state in states.values() if wanted(state)}


def drift(host, names):
    """
    Spoil what the role set up: a comment added to one of its files, a service stopped.

    Returns the ids of the states that must notice.
    """
    low = json.loads(host.check_output("salt-call --out=json state.show_lowstate"))["local"]
    files = [
        state
        for state in low
        if state["state"] == "file"
        and state["fun"] == "managed"
        and state["name"].startswith("/etc/")
        and "source" in state
        and state["__sls__"].split(".")[0]
        not in ("base", "tls", "ca", "salt-minion", "salt-master")
        and host.file(state["name"]).exists
        # A comment that every one of these formats knows.
        and state["name"].endswith((".conf", ".cfg", ".yml", ".cnf", "rc"))
    ]
    spoiled = files[-1]
    host.check_output(f"printf '\\n# drift\\n' >> {spoiled['name']}")
    expected = {spoiled["__id__"]}
    own = set(names["roles"][host.roles[0]].get("services", {})) - {"salt-master"}
    units = {
        service["unit"].removesuffix(".service"): service["name"]
        for service in registry.services(names, host.roles)
        if service["name"] in own
    }
    for state in low:
        if state["state"] == "service" and state["fun"] == "running" and state["name"] in units:
            host.check_output("monit unmonitor all")
            host.check_output(f"systemctl stop {state['name']}")
            expected.add(state["__id__"])
            break
    return expected


def restarting(host, ids):
    """
    Those of some services that end and begin anew by themselves: a worker without its
    database does so for as long as the drift lasts, and is met between two starts.
    """
    units = host.check_output("systemctl show --property=Id,Restart,NRestarts '*.service'")
    found = set()
    for block in units.split("\n\n"):
        unit = dict(line.split("=", 1) for line in block.splitlines())
        if unit["Restart"] == "always" and unit["NRestarts"] != "0":
            found.add(unit["Id"].removesuffix(".service"))
    return ids & found


@pytest.mark.parametrize("role", ROLES)
def test_predicted_applied_and_then_still(role, fleet):
    host = fleet.with_role(role)[-1]
    expected = drift(host, fleet.inventory.names)
    try:
        predicted = ids(highstate(host, "test=True"), lambda state: state["result"] is None)
        assert expected <= predicted, "test=True did not see the drift"
        applied = highstate(host)
        assert ids(applied, lambda state: state["result"] is False) == set()
        changed = ids(applied, lambda state: bool(state["changes"]))
        assert expected <= changed, "the apply did not mend the drift"
        more = changed - predicted
        assert more == restarting(host, more), "the apply changed more than test=True had said"
        assert ids(highstate(host), lambda state: bool(state["changes"])) == set()
    finally:
        host.run("monit monitor all")
