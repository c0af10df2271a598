"""Every host of every level compiles, and every file it gets is as it must be."""

import copy

import pytest
import yaml

from tests.render import rules
from tests.support.offline import every_host, none
from tools import compiler


@pytest.fixture(scope="session")
def domains(compiled):
    return {
        level: next(iter(hosts.values()))["pillar"]["site"]["domain"]
        for level, hosts in compiled.items()
    }


@pytest.fixture(scope="session")
def values(tree):
    return {level: compiler.secret_values(tree, level) for level in compiler.levels(tree)}


@pytest.fixture(scope="session")
def addresses(tree):
    return {
        level: list(compiler.addresses(tree, level).values()) for level in compiler.levels(tree)
    }


@every_host
def test_the_host_compiles(compiled, level, host_id):
    none(compiled[level][host_id]["problems"])
    assert compiled[level][host_id]["states"], f"{host_id} gets no state: see salt/role/"


@every_host
def test_no_masked_and_no_encrypted_value(compiled, level, host_id):
    result = compiled[level][host_id]
    none(rules.masked(result) + rules.encrypted(result))


@every_host
def test_every_file_says_who_manages_it(compiled, level, host_id):
    none(rules.unmarked(compiled[level][host_id]))


@every_host
def test_no_name_of_another_level(compiled, level, host_id, domains, addresses):
    none(rules.strangers(compiled[level][host_id], level, domains, addresses))


@every_host
def test_no_secret_where_others_may_read_it(compiled, level, host_id, values):
    none(rules.open_secrets(compiled[level][host_id], values[level]))


@every_host
def test_what_can_be_checked_is_checked(compiled, level, host_id):
    none(rules.unchecked(compiled[level][host_id]))


@every_host
def test_monit_finds_what_our_units_start(compiled, level, host_id):
    none(rules.unwatched(compiled[level][host_id]))


# -- the rules themselves ------------------------------------------------------

VALUES = {"memo-password": "sandbox-only-memo"}
WELL = {
    "id": "memo1.sandbox.wpd.internal",
    "pillar": {"tls": {"host.key": "-----KEY-----\nabcdef\n-----END-----\n"}},
    "states": [
        {
            "id": "memo-config",
            "function": "file.managed",
            "name": "/etc/memo.conf",
            "arguments": {"show_changes": False},
        },
        {"id": "memo-run", "function": "cmd.run", "name": "true", "arguments": {"unless": "x"}},
    ],
    "files": {
        "/etc/memo.conf": {
            "text": (
                "# Managed by Saltworks: memo. …\n"
                "host memo1.sandbox.wpd.internal docs.webplatform.test sandbox-only-memo\n"
            ),
            "mode": "0640",
            "state": "memo-config",
        }
    },
}
DOMAINS = {"sandbox": "webplatform.test", "production": "webplatform.org"}
ADDRESSES = {"sandbox": ["10.0.1.11"], "production": ["10.0.0.11"]}


def broken(**changes):
    """A copy of WELL; keys are paths with `__` between their parts."""
    result = copy.deepcopy(WELL)
    file = result["files"]["/etc/memo.conf"]
    state = result["states"][0]
    for key, value in changes.items():
        if key == "path":
            result["files"] = {value: file}
        elif key in file:
            file[key] = value
        elif key == "command":
            result["states"][1]["name"] = value
        elif key == "unless":
            result["states"][1]["arguments"]["unless"] = value
        else:
            state["arguments"][key] = value
    return result


def all_rules(result):
    return (
        rules.masked(result)
        + rules.encrypted(result)
        + rules.unmarked(result)
        + rules.strangers(result, "sandbox", DOMAINS, ADDRESSES)
        + rules.open_secrets(result, VALUES)
        + rules.unchecked(result)
    )


def test_the_rules_let_pass_what_is_well():
    assert all_rules(WELL) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": "password **********\n"}, "masked"),
        ({"text": "-----BEGIN PGP MESSAGE-----"}, "encrypted"),
        ({"text": "peer memo1.production.wpd.internal"}, "of level production"),
        ({"text": "peer memo1-production.wpd.internal"}, "of level production"),
        ({"text": "https://docs.webplatform.org/"}, "of level production"),
        ({"text": "server 10.0.0.11:80"}, "of level production"),
        ({"text": "host memo1"}, "does not say who manages it"),
        ({"mode": "0644"}, "has mode 0644"),
        ({"mode": None}, "has mode None"),
        ({"show_changes": True}, "shows its changes"),
        ({"context": {"password": "sandbox-only-memo"}}, "in its arguments"),
        ({"text": "abc -----KEY-----\nabcdef\n-----END-----", "mode": "0644"}, "tls:host.key"),
        ({"command": "login sandbox-only-memo"}, "process list"),
        ({"unless": ["test sandbox-only-memo"]}, "process list"),
        ({"path": "/etc/haproxy/haproxy.cfg"}, "haproxy -c"),
    ],
)
def test_the_rules_refuse(changes, message):
    problems = all_rules(broken(**changes))
    assert any(message in problem and "Cure: " in problem for problem in problems), problems


def watched(command, script=None, unit="memo"):
    """A host that watches the service memo, with what its unit starts."""
    monit = 'check process memo matching "^/usr/bin/python3 /srv/memo --all"\n'
    texts = {
        "/etc/monit/monitrc": monit,
        f"/etc/systemd/system/{unit}.service": f"[Service]\nExecStart={command}\n",
        "/srv/memo": script,
    }
    files = {path: {"text": text} for path, text in texts.items()}
    return rules.unwatched({"id": "memo1", "files": files})


def test_a_process_that_monit_finds_is_well():
    none(watched("/usr/bin/python3 /srv/memo --all"))
    none(watched("/srv/memo --all", "#!/usr/bin/python3\n"))
    # Of a unit that is not ours nothing is known.
    none(watched("/usr/bin/other", unit="other"))
    none(watched("/opt/salt/bin/memo"))
    none(rules.unwatched({"id": "memo1", "files": {}}))


@pytest.mark.parametrize(
    "given",
    [("/usr/bin/python3 /usr/memo --all",), ("/srv/memo --all",), ("/srv/memo", "#!/bin/sh")],
)
def test_a_process_that_monit_would_not_find_is_refused(given):
    (problem,) = watched(*given)
    assert "memo.service starts" in problem and "Cure: " in problem


def test_domains_are_known(domains, tree):
    for level, domain in domains.items():
        written = (tree / f"pillar/level/{level}.sls").read_text(encoding="utf-8")
        assert yaml.safe_load(written.split("{%", maxsplit=1)[0])["site"]["domain"] == domain
