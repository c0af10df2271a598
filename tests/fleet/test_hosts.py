"""What holds of every host, whatever its role."""

import json

import pytest


def test_no_unit_failed(host):
    failed = host.run("systemctl list-units --failed --no-legend --plain").stdout
    assert failed == ""


# That of the others changes nothing is seen by the second `up`, in test_convergence.py.
@pytest.mark.role("app")
def test_highstate_by_salt_call_changes_nothing(fleet, host):
    done = host.run("salt-call --out=json --retcode-passthrough state.highstate")
    states = json.loads(done.stdout[done.stdout.index("{") :])["local"]
    assert isinstance(states, dict), states
    changed = [state["__id__"] for state in states.values() if state["changes"]]
    failed = {state["__id__"]: state["comment"] for state in states.values() if not state["result"]}
    assert (changed, failed, done.rc) == ([], {}, 0)


def test_grains_say_what_the_id_says(host, fleet):
    member = fleet.inventory.find(host.id)
    grains = json.loads(host.run("salt-call --local --out=json grains.get site").stdout)["local"]
    assert grains == {
        "roles": list(member.roles),
        "level": fleet.inventory.level,
        "index": member.index,
    }


# It is the master that refuses, whoever asks.
@pytest.mark.role("memcache-sessions")
@pytest.mark.parametrize("path", ["pillar/registry.yaml", "../pillar/top.sls", ".git/config"])
def test_fileserver_refuses_what_is_not_under_salt(host, path):
    done = host.run(f"salt-call --out=json cp.get_file_str salt://{path}")
    assert json.loads(done.stdout)["local"] is False
