"""Hosts that take the site's Python: one job for all of it, and silence is a failure."""

import pytest

from tests.unit.conftest import load_module

HOSTS = ["app1.staging.wpd.internal", "db1.staging.wpd.internal"]
STEPS = {
    "test.ping": True,
    "saltutil.sync_modules": [],
    "saltutil.sync_states": [],
    "saltutil.sync_grains": [],
    "saltutil.sync_returners": [],
    "saltutil.refresh_pillar": True,
}


def answer(codes=None, **returned):
    done = STEPS | {f"saltutil.{name}": value for name, value in returned.items()}
    return {"ret": done, "retcode": dict.fromkeys(STEPS, 0) | (codes or {})}


@pytest.fixture
def asked():
    return []


@pytest.fixture
def synchronized(asked):
    def run(said, test=False):
        def cmd(*words, **more):
            asked.append((words, more))
            return said

        module = load_module(
            "_states/site_hosts.py", opts={"test": test}, salt={"saltutil.cmd": cmd}
        )
        return module.synchronized("python", HOSTS)

    return run


def test_one_job_and_nothing_new(synchronized, asked):
    ret = synchronized({host: answer() for host in HOSTS})
    assert (ret["result"], ret["changes"]) == (True, {})
    assert len(asked) == 1
    (hosts, functions, arguments), _ = asked[0]
    assert hosts == HOSTS and functions == list(STEPS) and len(arguments) == len(functions)
    assert [given[0]["refresh"] for given in arguments if given and "refresh" in given[0]] == [
        False
    ] * 4


def test_who_took_something_is_told(synchronized):
    ret = synchronized({HOSTS[0]: answer(sync_modules=["modules.site_x"]), HOSTS[1]: answer()})
    assert ret["result"] is True
    assert ret["changes"] == {HOSTS[0]: ["modules.site_x"]}


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({}, "no answer"),
        ({"ret": "Minion did not return. [No response]"}, "did not return"),
        (answer({"saltutil.sync_states": 1}, sync_states="Traceback"), "Traceback"),
        (answer(refresh_pillar=False), "saltutil.refresh_pillar: False"),
        (answer(sync_grains=None), "saltutil.sync_grains: None"),
    ],
)
def test_who_did_not_is_a_failure(synchronized, other, why):
    ret = synchronized({HOSTS[0]: answer(), HOSTS[1]: other})
    assert ret["result"] is False
    assert HOSTS[1] in ret["comment"] and why in ret["comment"] and "Remedy" in ret["comment"]
    assert HOSTS[0] not in ret["comment"]


def test_a_test_asks_nobody(synchronized, asked):
    assert synchronized({}, test=True)["result"] is None
    assert not asked
