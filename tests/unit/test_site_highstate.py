"""The outcome of a highstate, kept on the minion and read back."""

import stat

import pytest

STATES = {
    "pkg_|-a_|-a_|-installed": {
        "__id__": "a",
        "result": True,
        "changes": {"x": 1},
        "duration": 1500,
    },
    "file_|-b_|-b_|-managed": {
        "__id__": "b",
        "result": False,
        "changes": {},
        "comment": "no source",
    },
    "test_|-c_|-c_|-nop": {"__id__": "c", "result": True, "changes": {}},
}


@pytest.fixture
def minion(load, tmp_path):
    """Returner and module of one minion."""
    opts = {"cachedir": str(tmp_path)}
    return (
        load("_returners/site_highstate.py", opts=opts),
        load("_modules/site_highstate.py", opts=opts),
    )


def job(**changes):
    return {"fun": "state.highstate", "fun_args": [], "return": STATES, **changes}


def test_counts_and_failures_are_kept(minion):
    returner, module = minion
    returner.returner(job())
    kept = module.last()
    assert (kept["states"], kept["changed"], kept["failed"]) == (3, 1, 1)
    assert kept["failures"] == [{"state": "b", "comment": "no source"}]
    assert kept["seconds"] == 1.5


def test_nothing_is_known_before_the_first(minion):
    assert minion[1].last() is None


@pytest.mark.parametrize("said", [["Pillar failed to render", "bad id"], "no matching sls"])
def test_what_did_not_render_is_a_failure(minion, said):
    returner, module = minion
    returner.returner(job(**{"return": said}))
    kept = module.last()
    assert (kept["failed"], kept["states"]) == (1, 0)
    assert kept["failures"][0]["state"] == "highstate"


@pytest.mark.parametrize(
    "changes",
    [
        {"fun": "test.ping"},
        {"fun": "state.apply", "fun_args": ["nginx"]},
        {"fun_args": ["test=True"]},
        {"fun_args": [{"test": True}]},
    ],
)
def test_other_jobs_and_tests_leave_it_alone(minion, changes):
    returner, module = minion
    returner.returner(job(**changes))
    assert module.last() is None


@pytest.mark.parametrize(
    "changes",
    [{"fun": "state.apply"}, {"fun_args": ["queue=True"]}, {"fun_args": [{"test": False}]}],
)
def test_every_whole_highstate_counts(minion, changes):
    returner, module = minion
    returner.returner(job(**changes))
    assert module.last()["states"] == 3


def test_only_the_owner_reads_it(minion, tmp_path):
    minion[0].returner(job())
    assert stat.S_IMODE((tmp_path / "last_highstate.json").stat().st_mode) == 0o600
