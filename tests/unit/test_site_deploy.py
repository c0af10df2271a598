"""Deploys as the master carries them out: their queue, and what one failed step undoes."""

import contextlib
import fcntl
import json
import math
import os
import sqlite3
from pathlib import Path

import pytest
from salt.exceptions import CommandExecutionError

from tests.unit.conftest import load_module

APP = "www"
F1, F2, F3 = (f"frontend{n}.sandbox.wpd.internal" for n in (1, 2, 3))
SOURCE = "source1.sandbox.wpd.internal"
SETTINGS = {
    "roles": ["frontend"],
    "version": None,
    "seconds": 60,
    "hooks": {},
    "cached": [],
    "tree": False,
    "watch": 0,
    "frozen": "",
    "windows": [],
}
INPUTS = "0badcafe"
# What the builder says of an app of a version.
OLDER = {"runs": "1.43.8", "newest": "1.43.9", "behind": True}
NEWEST = {"runs": "1.43.9", "newest": "1.43.9", "behind": False}


def release(ref, made_of=INPUTS):
    """The release that the fleet's builder makes of a ref."""
    return f"{ref[0] * 40}-{made_of}"


A, B, C, D = (release(ref) for ref in "abcd")


class StoppedError(BaseException):
    """The master stops."""


class Fleet:
    """
    Several hosts as the master meets them: who is silent, who fails, and in what order
    they were told what.
    """

    def __init__(self):
        self.hosts = {"frontend": [F1, F2, F3], "source": [SOURCE]}
        self.there = {host: set() for host in self.hosts["frontend"]}
        self.serves = dict.fromkeys(self.hosts["frontend"])
        # How often a host is silent, for all functions or for one: {host or (host, function): n}
        self.silent = {}
        # Why a host fails: {(host, function): why}
        self.fails = {}
        # What happens before a function is called: {function: callable}
        self.before = {}
        self.counts = {"before": (0, 0), "after": (0, 0)}
        self.inputs = {}
        # What the builder says of apps of a version.
        self.versions = {}
        # What hosts were told that they may replace.
        self.overs = []
        self.calls = []
        self.slept = []
        # What each cache at the edge was told, and which releases were served then.
        self.forgot = []

    def away(self, host, function=None, times=math.inf):
        self.silent[(host, function) if function else host] = times

    def accepted(self, roles):
        return self.hosts.get(roles, [])

    def cmd(self, hosts, function, arguments, tgt_type, timeout, gather_job_timeout):
        assert tgt_type == "list" and hosts and len(set(hosts)) == len(hosts)
        assert function.startswith("site_") and timeout >= gather_job_timeout > 0
        function = function.removeprefix("site_")
        self.calls.append((function, list(hosts), list(arguments)))
        self.before.get(function, lambda: None)()
        answers = {}
        for host in hosts:
            key = next((key for key in (host, (host, function)) if self.silent.get(key)), None)
            if key:
                self.silent[key] -= 1
                # So does Salt, of one that it has given up on.
                answers |= {host: {"failed": True}} if host == F1 else {}
            elif (host, function) in self.fails:
                answers[host] = {"ret": self.fails[host, function], "retcode": 1}
            else:
                act = getattr(self, function.replace(".", "_"))
                answers[host] = {"ret": act(host, *arguments), "retcode": 0}
        return answers

    # -- what hosts do --

    def build_build(self, host, app, ref):
        return {"release": release(ref or "a"), "built": True}

    def build_inputs(self, host, apps):
        return {app: self.inputs.get(app) for app in apps}

    def build_versions(self, host, running):
        return {app: self.versions.get(app, NEWEST) for app in running}

    def release_fetch(self, host, app, name):
        new = name not in self.there[host]
        self.there[host].add(name)
        return new

    def release_switch(self, host, app, name, *over):
        assert name is None or name in self.there[host]
        self.overs.append(over)
        before, self.serves[host] = self.serves[host], name
        return before

    def release_check(self, host, app, name):
        assert self.serves[host] == name
        return True

    def release_state(self, host, app):
        return {"current": self.serves[host]}

    def release_errors(self, host, app, since, until=None):
        requests, errors = self.counts["before" if until else "after"]
        return {"requests": requests, "errors": errors}

    def release_discard(self, host, app, name):
        gone = name in self.there[host] and self.serves[host] != name
        self.there[host] -= {name} if gone else set()
        return gone

    def release_prune(self, host, app):
        return []

    def release_hook(self, host, app, name, function):
        assert name in self.there[host] and function.startswith("site_x.")
        return {"docs": None}

    def edge_forget(self, host, sites):
        self.forgot.append((host, sites, set(self.serves.values())))
        return [f"{site}.webplatform.test" for site in sites]

    # -- what was seen --

    def told(self, function):
        return [(hosts, arguments) for name, hosts, arguments in self.calls if name == function]

    def functions(self):
        return [name for name, _, _ in self.calls]


@pytest.fixture
def fleet():
    return Fleet()


class Deploys:
    """The module under test, with a configuration and a table of its own."""

    def __init__(self, module, fleet, folder):
        self.module, self.fleet = module, fleet
        self.config, self.folder = folder / "deploy.json", folder / "deploy"
        self.configure({APP: SETTINGS})

    def configure(self, apps):
        self.config.write_text(json.dumps({"apps": apps}), encoding="utf-8")

    def request(self, app=APP, *words):
        return self.module.request(app, *words, config=str(self.config), folder=str(self.folder))

    def work(self, app=APP):
        return self.module.work(app, str(self.config), str(self.folder))

    def unfinished(self):
        return self.module.unfinished(str(self.config), str(self.folder))

    def missing(self):
        return self.module.missing(str(self.config), str(self.folder))

    def live(self):
        return self.module.live(str(self.folder))

    def history(self, *words):
        return self.module.history(*words, folder=str(self.folder))

    def states(self):
        return {entry["number"]: entry["state"] for entry in self.history()}

    def order(self, ref):
        """Ask for a commit, carry it out, and return what became of it."""
        number = self.request(APP, "order", ref)
        [done] = self.work()
        assert done["number"] == number
        return done

    def running(self, *refs):
        """Have deployed these, the last being live; forget what was told."""
        for ref in refs:
            assert self.order(ref)["state"] == "live"
        self.fleet.calls.clear()
        self.fleet.slept.clear()


@pytest.fixture
def deploys(fleet, tmp_path, monkeypatch):
    module = load_module(
        "_modules/site_deploy.py",
        salt={"saltutil.cmd": fleet.cmd, "site_hosts.accepted": fleet.accepted},
    )
    monkeypatch.setattr(module.time, "sleep", fleet.slept.append)
    monkeypatch.setattr(module, "RELEASES", str(tmp_path / "release"))
    real = sqlite3.connect

    def connect(*words, **how):
        # A test need not outlive a loss of power.
        base = real(*words, **how)
        base.execute("PRAGMA synchronous=OFF")
        return base

    monkeypatch.setattr(module.sqlite3, "connect", connect)
    return Deploys(module, fleet, tmp_path)


# -- the queue -------------------------------------------------------------------


def test_what_is_asked_for_waits(deploys, fleet):
    first = deploys.request(APP, "push", None, "ada")
    second = deploys.request(APP, "order", "main", "bob")
    assert second > first
    newest, oldest = deploys.history()
    assert {key: newest[key] for key in ("number", "app", "kind", "ref", "who", "state")} == {
        "number": second,
        "app": APP,
        "kind": "order",
        "ref": "main",
        "who": "bob",
        "state": "waiting",
    }
    assert (oldest["ref"], oldest["who"]) == (None, "ada")
    assert (newest["stages"], newest["hosts"], newest["began"]) == ([], {}, None)
    assert deploys.unfinished() == [APP] and fleet.calls == []


@pytest.mark.parametrize("kind", ["push", "order", "rollback", "first"])
def test_an_unknown_app_is_refused(deploys, kind):
    deploys.configure({APP: SETTINGS, "docs": SETTINGS | {"roles": []}})
    with pytest.raises(
        CommandExecutionError, match=r"no app 'blog' to deploy; there are \['www'\]"
    ):
        deploys.request("blog", kind)
    assert deploys.history() == []


def test_an_unknown_kind_is_refused(deploys):
    with pytest.raises(CommandExecutionError, match="no such kind of deploy: 'later'"):
        deploys.request(APP, "later")
    assert deploys.history() == []


def test_a_push_to_what_nothing_is_deployed_of(deploys):
    deploys.configure({APP: SETTINGS | {"roles": []}})
    assert deploys.request(APP, "push") is None
    assert deploys.history() == []
    with pytest.raises(CommandExecutionError, match="no app 'www'"):
        deploys.request(APP, "order")
    with pytest.raises(CommandExecutionError, match="no app 'www'"):
        deploys.work()


def test_before_the_masters_first_highstate_there_is_no_app(deploys):
    deploys.config.unlink()
    with pytest.raises(CommandExecutionError, match="no app 'www'"):
        deploys.request(APP)
    assert deploys.unfinished() == [] and deploys.missing() == []


def test_the_master_deploys_before_its_configuration_knows_newer_settings(deploys, fleet):
    newer = deploys.module.DEFAULTS
    older = {key: value for key, value in SETTINGS.items() if key not in newer}
    assert {"version", "hooks", "cached"} <= set(newer) <= set(SETTINGS)
    deploys.configure({APP: older})
    assert deploys.order("a")["state"] == "live"
    assert fleet.told("release.hook") == [] and fleet.forgot == []
    # The commit that is live, as for an app of a branch.
    fleet.calls.clear()
    deploys.request(APP, "first")
    deploys.work()
    assert fleet.told("build.build") == [([SOURCE], [APP, "a" * 40])]
    fleet.inputs = {APP: INPUTS}
    assert deploys.missing() == []


def test_nobody_else_reads_the_table(deploys):
    deploys.request(APP)
    assert deploys.folder.stat().st_mode & 0o777 == 0o700


def test_of_several_that_wait_only_the_newest_is_built(deploys, fleet):
    numbers = [deploys.request(APP, "order", ref) for ref in "abc"]
    [done] = deploys.work()
    assert (done["number"], done["release"]) == (numbers[2], C)
    assert fleet.told("build.build") == [([SOURCE], [APP, "c"])]
    assert deploys.states() == {
        numbers[0]: "superseded",
        numbers[1]: "superseded",
        numbers[2]: "live",
    }
    assert deploys.history()[1]["why"] == f"number {numbers[2]} is newer"
    assert deploys.history()[1]["ended"] and deploys.unfinished() == []


def test_what_comes_meanwhile_is_carried_out_after_it(deploys, fleet):
    def more():
        fleet.before.clear()
        numbers.extend(deploys.request(APP, "push", ref) for ref in "bc")

    numbers = [deploys.request(APP, "push", "a")]
    fleet.before["build.build"] = more
    done = deploys.work()
    assert [entry["number"] for entry in done] == [numbers[2], numbers[0]]
    assert [words for _, words in fleet.told("build.build")] == [[APP, "a"], [APP, "c"]]
    assert deploys.states()[numbers[1]] == "superseded" and deploys.live() == {APP: C}


def test_apps_do_not_wait_for_each_other(deploys, fleet):
    deploys.configure({APP: SETTINGS, "blog": SETTINGS})
    mine, other = deploys.request(APP, "order", "a"), deploys.request("blog", "order", "b")
    assert [entry["number"] for entry in deploys.work()] == [mine]
    assert deploys.states() == {mine: "live", other: "waiting"}
    assert deploys.unfinished() == ["blog"]


@pytest.mark.parametrize("function", ["build.build", "release.fetch", "release.check"])
def test_one_that_was_cut_off_is_carried_out_again(deploys, fleet, function):
    def stop():
        fleet.before.clear()
        raise StoppedError

    deploys.running("a")
    number = deploys.request(APP, "order", "b")
    fleet.before[function] = stop
    with pytest.raises(StoppedError):
        deploys.work()
    assert deploys.states()[number] == "running"
    assert deploys.unfinished() == [APP] and deploys.live() == {APP: A}
    [done] = deploys.work()
    assert (done["number"], done["state"]) == (number, "live")
    assert set(fleet.serves.values()) == {B} and deploys.live() == {APP: B}


def test_one_that_was_cut_off_gives_way_to_a_newer_one(deploys, fleet):
    def stop():
        fleet.before.clear()
        raise StoppedError

    old = deploys.request(APP, "order", "a")
    fleet.before["release.fetch"] = stop
    with pytest.raises(StoppedError):
        deploys.work()
    new = deploys.request(APP, "order", "b")
    assert [entry["number"] for entry in deploys.work()] == [new]
    assert deploys.states() == {old: "superseded", new: "live"}


def test_two_do_not_deploy_one_app_at_a_time(deploys, fleet):
    deploys.configure({APP: SETTINGS, "blog": SETTINGS})
    number = deploys.request(APP, "order", "a")
    deploys.request("blog", "order", "a")
    with (deploys.folder / f"{APP}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert deploys.work() == [] and fleet.calls == []
        assert deploys.states()[number] == "waiting"
        # Another app is not held up.
        assert len(deploys.work("blog")) == 1
    assert [entry["number"] for entry in deploys.work()] == [number]


def test_what_another_has_done_meanwhile_is_not_done_twice(deploys, fleet, monkeypatch):
    real = deploys.module._only_one

    @contextlib.contextmanager
    def late(folder, app):
        with sqlite3.connect(Path(folder) / "deploys.sqlite") as base:
            base.execute("UPDATE deploys SET state = 'live'")
        base.close()
        with real(folder, app) as alone:
            yield alone

    deploys.request(APP)
    monkeypatch.setattr(deploys.module, "_only_one", late)
    assert deploys.work() == [] and fleet.calls == []


def test_nothing_waits_nothing_is_done(deploys, fleet):
    assert deploys.work() == [] and fleet.calls == []


def test_a_frozen_app_waits(deploys, fleet):
    frozen = SETTINGS | {"frozen": "the fair, until Monday"}
    deploys.configure({APP: frozen, "blog": SETTINGS})
    number = deploys.request(APP, "push", "a")
    deploys.request("blog", "push", "a")
    assert deploys.unfinished() == ["blog"]
    assert deploys.work() == [] and fleet.calls == []
    assert deploys.states()[number] == "waiting"
    deploys.configure({APP: SETTINGS, "blog": SETTINGS})
    assert deploys.unfinished() == ["blog", APP]
    assert [entry["number"] for entry in deploys.work()] == [number]


MONDAY = 1767571200  # 5 January 2026, midnight in UTC
HOUR, DAY = 3600, 86400


@pytest.mark.parametrize(
    ("windows", "at", "is_open"),
    [
        ([], 0, True),
        (["mon 08:00-16:30"], 8 * HOUR, True),
        (["mon 08:00-16:30"], 8 * HOUR - 1, False),
        (["mon 08:00-16:30"], 16.5 * HOUR - 1, True),
        (["mon 08:00-16:30"], 16.5 * HOUR, False),
        (["mon 08:00-16:30"], DAY + 9 * HOUR, False),
        (["mon-fri 08:00-16:30"], 4 * DAY + 9 * HOUR, True),
        (["mon-fri 08:00-16:30"], 5 * DAY + 9 * HOUR, False),
        (["mon 08:00-09:00", "sat-sun 00:00-24:00"], 6 * DAY + 23.9 * HOUR, True),
        (["fri-mon 22:00-02:00"], 5 * DAY + 1 * HOUR, True),
        (["fri-mon 22:00-02:00"], 23 * HOUR, True),
        (["fri-mon 22:00-02:00"], 12 * HOUR, False),
        (["fri-mon 22:00-02:00"], 2 * DAY + 23 * HOUR, False),
    ],
)
def test_windows(deploys, windows, at, is_open):
    why = deploys.module.closed(SETTINGS | {"windows": windows}, MONDAY + at)
    assert why is None if is_open else why == f"outside of {', '.join(windows)} UTC"


def test_a_freeze_counts_within_windows_too(deploys):
    settings = SETTINGS | {"windows": ["mon 08:00-09:00"], "frozen": "the fair"}
    assert deploys.module.closed(settings, MONDAY + 8.5 * HOUR) == "frozen: the fair"


def test_what_another_run_carries_out_is_waited_for(deploys, fleet, monkeypatch):
    def end(seconds):
        fleet.slept.append(seconds)
        if len(fleet.slept) == 3:
            deploys.work()

    number = deploys.request(APP, "order", "a")
    monkeypatch.setattr(deploys.module.time, "sleep", end)
    found = deploys.module.wait(APP, number, 60, str(deploys.config), str(deploys.folder))
    assert (found["number"], found["state"]) == (number, "live") and len(fleet.slept) == 3


def test_waiting_has_an_end(deploys):
    number = deploys.request(APP, "order", "a")
    found = deploys.module.wait(APP, number, -1, str(deploys.config), str(deploys.folder))
    assert found["state"] == "waiting"


def test_the_end_of_a_freeze_is_not_waited_for(deploys):
    number = deploys.request(APP, "order", "a")
    deploys.configure({APP: SETTINGS | {"frozen": "the fair"}})
    found = deploys.module.wait(APP, number, 60, str(deploys.config), str(deploys.folder))
    assert (found["state"], found["why"]) == ("waiting", "it waits, frozen: the fair")


def test_an_app_that_is_no_more_is_not_unfinished(deploys):
    deploys.request(APP)
    deploys.configure({"blog": SETTINGS})
    assert deploys.unfinished() == []


def test_history_has_limits(deploys):
    deploys.configure({APP: SETTINGS, "blog": SETTINGS})
    numbers = [deploys.request(app) for app in (APP, "blog", APP, APP)]
    assert [entry["number"] for entry in deploys.history()] == numbers[::-1]
    assert [entry["number"] for entry in deploys.history(APP)] == [4, 3, 1]
    assert [entry["number"] for entry in deploys.history(APP, 2)] == [4, 3]
    assert [entry["number"] for entry in deploys.history("blog", 1)] == [2]
    assert [entry["number"] for entry in deploys.history(None, 1)] == [4]
    assert deploys.history("docs") == []


def test_without_a_table_nothing_is_live(deploys):
    assert deploys.live() == {}
    assert not deploys.folder.exists()


# -- a deploy that goes well -------------------------------------------------------


def test_a_release_is_built_and_reaches_all_hosts(deploys, fleet):
    deploys.running("a")
    done = deploys.order("b")
    assert (done["state"], done["release"], done["previous"]) == ("live", B, A)
    assert done["why"] is None and done["began"] <= done["ended"]
    assert [name for name, _ in done["stages"]] == ["build", "fetch", "first host", "other hosts"]
    assert done["hosts"] == dict.fromkeys([F1, F2, F3], "serves it")
    assert fleet.calls == [
        ("build.build", [SOURCE], [APP, "b"]),
        ("release.fetch", [F1, F2, F3], [APP, B]),
        # One host first, and no other before it is well.
        ("release.switch", [F1], [APP, B]),
        ("release.check", [F1], [APP, B]),
        ("release.switch", [F2, F3], [APP, B]),
        ("release.check", [F2, F3], [APP, B]),
        ("release.prune", [F1, F2, F3], [APP]),
        # Somebody may have gone back by a highstate that began before it was live.
        ("release.fetch", [F1, F2, F3], [APP, B]),
        ("release.switch", [F1, F2, F3], [APP, B]),
    ]
    assert deploys.live() == {APP: B} and set(fleet.serves.values()) == {B}
    assert fleet.slept == []


def test_a_level_with_one_host(deploys, fleet):
    fleet.hosts["frontend"] = [F1]
    done = deploys.order("a")
    assert [name for name, _ in done["stages"]] == ["build", "fetch", "first host"]
    assert deploys.live() == {APP: A}


def test_a_host_with_two_of_the_roles_is_one_host(deploys, fleet):
    fleet.hosts |= {"frontend": [F1], "app": [F1, F2]}
    deploys.configure({APP: SETTINGS | {"roles": ["frontend", "app"]}})
    done = deploys.order("a")
    assert done["state"] == "live"
    assert fleet.told("release.switch")[:2] == [([F1], [APP, A]), ([F2], [APP, A])]


def test_the_first_of_all_is_only_built(deploys, fleet):
    number = deploys.request(APP, "first")
    [done] = deploys.work()
    assert (done["number"], done["state"], done["release"]) == (number, "live", A)
    assert fleet.functions() == ["build.build"] and done["hosts"] == {}
    assert [name for name, _ in done["stages"]] == ["build"]
    assert deploys.live() == {APP: A}
    # Where one runs already, its commit is made anew, and reaches the hosts.
    deploys.running("b")
    deploys.request(APP, "first")
    deploys.work()
    assert fleet.told("build.build") == [([SOURCE], [APP, "b" * 40])]


def test_an_order_reaches_hosts_even_if_it_is_the_first(deploys, fleet):
    assert deploys.order("a")["previous"] is None
    assert set(fleet.serves.values()) == {A}


def test_a_host_that_is_away_does_not_hold_up_the_others(deploys, fleet):
    deploys.running("a")
    fleet.away(F2)
    done = deploys.order("b")
    assert (done["state"], deploys.live()) == ("live", {APP: B})
    assert done["hosts"] == {F1: "serves it", F2: deploys.module.AWAY, F3: "serves it"}
    assert fleet.serves == {F1: B, F2: A, F3: B}
    assert fleet.told("release.prune") == [([F1, F3], [APP])]


def test_a_host_that_goes_away_as_the_first(deploys, fleet):
    deploys.running("a")
    fleet.away(F1, "release.switch")
    done = deploys.order("b")
    assert done["state"] == "live" and fleet.serves == {F1: A, F2: B, F3: B}
    assert done["hosts"] == {F1: deploys.module.AWAY, F2: "serves it", F3: "serves it"}
    # Of one that has not switched nobody asks whether it is well.
    assert fleet.told("release.check") == [([F2, F3], [APP, B])]


def test_a_host_that_comes_back_before_the_end_gets_it(deploys, fleet):
    deploys.running("a")
    fleet.away(F2, times=1)
    done = deploys.order("b")
    assert fleet.serves == {F1: B, F2: B, F3: B}
    assert done["hosts"] == {F1: "serves it", F2: "serves it", F3: "serves it"}
    assert fleet.calls[-2:] == [
        ("release.fetch", [F1, F2, F3], [APP, B]),
        ("release.switch", [F1, F2, F3], [APP, B]),
    ]


@pytest.mark.parametrize("well", [True, False])
def test_one_that_has_gone_back_in_the_middle_is_switched_again(deploys, fleet, well):
    """The master was killed; when it was back, a host caught up with what had been live."""
    deploys.running("a")

    def goes_back():
        if fleet.serves[F2] == B:
            fleet.serves[F2] = A
            fleet.fails[F2, "release.check"] = "200 from another"
            fleet.before["release.check"] = lambda: well and fleet.fails.clear()

    fleet.before["release.check"] = goes_back
    done = deploys.order("b")
    assert fleet.told("release.switch")[2] == ([F2], [APP, B])
    if well:
        assert (done["state"], fleet.serves) == ("live", {F1: B, F2: B, F3: B})
        assert done["hosts"][F2] == "serves it"
    else:
        failed(deploys, done, f"{F2}: 200 from another", {APP: A})
        assert set(fleet.serves.values()) == {A}


def test_one_that_comes_back_and_cannot_is_left_as_it_is(deploys, fleet):
    deploys.running("a")
    fleet.away(F2, times=1)
    fleet.before["release.prune"] = lambda: fleet.fails.update({(F2, "release.fetch"): "full"})
    done = deploys.order("b")
    assert (done["state"], done["hosts"][F2]) == ("live", deploys.module.AWAY)
    assert fleet.serves[F2] == A and fleet.told("release.switch")[-1][0] == [F1, F3]


# -- the builder ---------------------------------------------------------------------


def failed(deploys, done, why, live):
    """A deploy has failed; the level runs on what it ran."""
    assert done["state"] == "failed" and done["ended"]
    assert why in done["why"]
    assert deploys.live() == live
    assert deploys.unfinished() == []


def test_a_build_that_fails_reaches_no_host(deploys, fleet):
    deploys.running("a")
    fleet.fails[SOURCE, "build.build"] = "a step failed"
    failed(deploys, deploys.order("b"), "the build failed. a step failed", {APP: A})
    assert fleet.functions() == ["build.build"]


def test_a_builder_that_is_silent_once_is_asked_again(deploys, fleet):
    fleet.away(SOURCE, times=1)
    assert deploys.order("a")["state"] == "live"
    assert len(fleet.told("build.build")) == 2


def test_a_builder_that_stays_silent(deploys, fleet):
    deploys.running("a")
    fleet.away(SOURCE)
    failed(deploys, deploys.order("b"), f"{SOURCE} did not answer: 3 times", {APP: A})
    assert fleet.functions() == ["build.build"] * deploys.module.BUILD_TIMES


def test_a_level_without_a_builder(deploys, fleet):
    fleet.hosts["source"] = []
    failed(deploys, deploys.order("a"), "0 hosts with the role source are accepted", {})
    assert fleet.calls == []


def test_of_two_builders_none_is_taken(deploys, fleet):
    fleet.hosts["source"] = [SOURCE, "source2"]
    why = f"2 hosts with the role source are accepted, and there has to be one: {SOURCE}, source2"
    failed(deploys, deploys.order("a"), why, {})
    assert fleet.calls == []


def test_an_error_of_the_masters_own_is_written_down(deploys):
    def accepted(roles):
        raise CommandExecutionError("there is no folder with keys")

    deploys.module.__salt__["site_hosts.accepted"] = accepted
    failed(deploys, deploys.order("a"), "no folder with keys", {})


# -- what is undone ------------------------------------------------------------------


def test_one_that_cannot_fetch_stops_all(deploys, fleet):
    deploys.running("a")
    fleet.fails[F2, "release.fetch"] = "the disk is full"
    fleet.away(F3)
    done = deploys.order("b")
    failed(deploys, done, f"{F2}: the disk is full", {APP: A})
    assert done["hosts"] == {F1: "as it was", F2: "the disk is full", F3: deploys.module.AWAY}
    # Nobody was switched, and what was fetched is gone.
    assert fleet.told("release.switch") == []
    assert fleet.told("release.discard") == [([F1], [APP, B])]
    assert all(B not in there for there in fleet.there.values())
    assert set(fleet.serves.values()) == {A}


def test_a_host_that_is_being_made_holds_up_nobody(deploys, fleet):
    fleet.fails[F2, "release.fetch"] = "/etc/x is missing: this host runs no app. Remedy: …"
    done = deploys.order("a")
    assert (done["state"], done["hosts"][F2]) == ("live", deploys.module.AWAY)


@pytest.mark.parametrize("error", [KeyError("requests"), sqlite3.OperationalError("locked")])
def test_whatever_goes_wrong_takes_all_back_and_is_written_down(deploys, fleet, error, caplog):
    def fail():
        fleet.before.clear()
        raise error

    deploys.running("a")
    fleet.before["release.check"] = fail
    done = deploys.order("b")
    failed(deploys, done, f"{type(error).__name__}: ", {APP: A})
    assert set(fleet.serves.values()) == {A} and "the deploy of www failed" in caplog.text


def test_where_nobody_can_be_taken_back_it_is_told(deploys, fleet, caplog):
    def fail():
        raise ValueError("no bus")

    deploys.running("a")
    fleet.fails[F1, "release.check"] = "500"
    fleet.before["release.check"] = lambda: fleet.before.update({"release.switch": fail})
    done = deploys.order("b")
    assert done["state"] == "failed" and "Not all hosts could be taken back" in done["why"]
    assert "not all hosts" in caplog.text


def test_each_that_fails_is_named(deploys, fleet):
    fleet.fails = {(F2, "release.fetch"): "full", (F1, "release.fetch"): "not signed"}
    failed(deploys, deploys.order("a"), f"{F1}: not signed. {F2}: full", {})


def test_where_all_are_silent_nothing_is_done(deploys, fleet):
    deploys.running("a")
    for host in (F1, F2, F3):
        fleet.away(host)
    done = deploys.order("b")
    failed(deploys, done, f"none of {F1}, {F2}, {F3} answers", {APP: A})
    assert done["hosts"] == dict.fromkeys([F1, F2, F3], deploys.module.AWAY)
    assert fleet.functions() == ["build.build", "release.fetch"]


def test_where_the_first_is_unwell_no_other_is_switched(deploys, fleet):
    deploys.running("a")
    fleet.fails[F1, "release.check"] = "404 from no release"
    done = deploys.order("b")
    failed(deploys, done, f"{F1}: 404 from no release", {APP: A})
    assert fleet.told("release.switch") == [([F1], [APP, B]), ([F1], [APP, A])]
    assert set(fleet.serves.values()) == {A} and B not in fleet.there[F1]
    assert done["hosts"] == {F1: "taken back", F2: "as it was", F3: "as it was"}
    assert [name for name, _ in done["stages"]] == ["build", "fetch", "taken back"]


def test_where_a_later_one_is_unwell_all_go_back(deploys, fleet):
    deploys.running("a")
    fleet.fails[F2, "release.check"] = "500"
    done = deploys.order("b")
    failed(deploys, done, f"{F2}: 500", {APP: A})
    assert set(fleet.serves.values()) == {A}
    assert all(there == {A} for there in fleet.there.values())
    assert done["hosts"] == dict.fromkeys([F1, F2, F3], "taken back")
    assert fleet.calls[-2:] == [
        ("release.switch", [F1, F2, F3], [APP, A]),
        ("release.discard", [F1, F2, F3], [APP, B]),
    ]
    assert "release.prune" not in fleet.functions()


def test_where_one_cannot_switch_those_that_could_go_back(deploys, fleet):
    deploys.running("a")
    fleet.fails[F3, "release.switch"] = "read-only file system"
    done = deploys.order("b")
    failed(deploys, done, f"{F3}: read-only file system", {APP: A})
    assert set(fleet.serves.values()) == {A}
    # Who failed may have done it, too.
    assert fleet.told("release.switch")[-1] == ([F1, F2, F3], [APP, A])
    assert done["hosts"] == {F1: "taken back", F2: "taken back", F3: "read-only file system"}
    # The second batch was not asked any more.
    assert fleet.told("release.check") == [([F1], [APP, B])]


@pytest.mark.parametrize("function", ["release.switch", "release.check"])
def test_where_nobody_says_that_it_is_served_all_go_back(deploys, fleet, function):
    deploys.running("a")
    fleet.silent = {(host, function): 1 for host in (F1, F2, F3)}
    done = deploys.order("b")
    failed(deploys, done, f"none of {F1}, {F2}, {F3} says that it serves {B}", {APP: A})
    assert set(fleet.serves.values()) == {A}
    assert all(there == {A} for there in fleet.there.values())


def test_who_is_silent_when_it_is_asked_is_told_as_away(deploys, fleet):
    deploys.running("a")
    fleet.silent = {(F2, "release.check"): 1, (F2, "release.fetch"): 0}
    done = deploys.order("b")
    assert done["state"] == "live"
    assert done["hosts"] == {F1: "serves it", F2: "serves it", F3: "serves it"}


def test_one_that_was_cut_off_and_then_fails_leaves_nobody_behind(deploys, fleet):
    """Hosts may serve what it had switched to before it was cut off."""

    def stop():
        fleet.before.clear()
        raise StoppedError

    deploys.running("a")
    deploys.request(APP, "order", "b")
    fleet.before["release.prune"] = stop
    with pytest.raises(StoppedError):
        deploys.work()
    assert set(fleet.serves.values()) == {B} and deploys.live() == {APP: A}
    fleet.fails[SOURCE, "build.build"] = "a step failed"
    [done] = deploys.work()
    failed(deploys, done, "a step failed", {APP: A})
    assert set(fleet.serves.values()) == {A}
    assert done["hosts"] == dict.fromkeys([F1, F2, F3], "taken back")


def test_the_first_of_all_that_fails_leaves_hosts_without_any(deploys, fleet):
    fleet.fails[F1, "release.check"] = "500"
    failed(deploys, deploys.order("a"), "500", {})
    assert set(fleet.serves.values()) == {None} and fleet.there[F1] == set()


def test_who_is_silent_while_all_go_back_is_named(deploys, fleet):
    def trouble():
        fleet.away(F1)
        fleet.fails[F2, "release.switch"] = "no"

    deploys.running("a")
    fleet.fails[F3, "release.check"] = "500"
    # At the first check nothing happens but that the next one is prepared.
    fleet.before["release.check"] = lambda: fleet.before.update({"release.check": trouble})
    done = deploys.order("b")
    failed(deploys, done, "500", {APP: A})
    assert done["hosts"] == {F1: deploys.module.AWAY, F2: "no", F3: "taken back"}


def test_after_a_failure_the_next_deploy_is_as_any_other(deploys, fleet):
    deploys.running("a")
    fleet.fails[F2, "release.check"] = "500"
    deploys.order("b")
    fleet.fails.clear()
    assert deploys.order("c")["previous"] == A
    assert deploys.live() == {APP: C} and set(fleet.serves.values()) == {C}


# -- newer versions --------------------------------------------------------------------


class Versions:
    """An app of a version that runs, and what is known of newer ones."""

    def __init__(self, deploys, fleet):
        self.deploys, self.fleet = deploys, fleet
        self.wants("1.43.*")
        deploys.running("a")

    def wants(self, version):
        self.deploys.configure({APP: SETTINGS | {"version": version}, "other": SETTINGS})

    def compare(self):
        return self.deploys.module.compare(str(self.deploys.config), str(self.deploys.folder))

    def known(self):
        return self.deploys.module.versions(str(self.deploys.folder))


@pytest.fixture
def versions(deploys, fleet):
    return Versions(deploys, fleet)


def test_a_deploy_says_what_is_known_of_newer_versions(versions, deploys, fleet):
    found = versions.known()
    assert found["why"] is None and found["compared"] > 0
    about = {"version": "1.43.*", "release": A, "say": None}
    assert found["apps"] == {APP: NEWEST | about}
    # Of another app nothing is asked.
    deploys.request("other", "order", "b")
    deploys.work("other")
    assert fleet.told("build.versions") == []
    fleet.versions[APP] = OLDER
    assert versions.compare() == versions.known() != found
    assert fleet.told("build.versions") == [
        ([SOURCE], [{APP: {"version": "1.43.*", "release": A}}]),
    ]
    # Nothing was carried out, nothing is asked.
    deploys.work()
    assert len(fleet.told("build.versions")) == 1
    assert [path.name for path in deploys.folder.glob("*versions*")] == ["versions.json"]


@pytest.mark.parametrize(
    ("version", "about", "say"),
    [
        ("1.43.*", NEWEST, None),
        ("1.43.*", OLDER, "www runs 1.43.8; 1.43.9 is there. Remedy: `./fleet deploy www`"),
        # The line is there already, and nobody has deployed it.
        ("1.43.9", OLDER, "www runs 1.43.8; 1.43.9 is there. Remedy: `./fleet deploy www`"),
        (
            "1.43.8",
            OLDER,
            "www runs 1.43.8; 1.43.9 is there. Remedy: 1.43.9 as this level's version of www in "
            "pillar/apps.yaml, `./fleet apply source`, `./fleet apply salt`, `./fleet deploy www`",
        ),
        (
            "1.43.*",
            OLDER | {"runs": None},
            "www runs aaaaaaaaaa, which is no version; 1.43.9 is there. "
            "Remedy: `./fleet deploy www`",
        ),
        (
            "1.44.*",
            NEWEST | {"newest": None},
            "www: there is no version 1.44.*. Remedy: docs/runbooks/upstreams.md",
        ),
    ],
)
def test_a_newer_version_is_told_with_the_remedy(versions, fleet, version, about, say):
    versions.wants(version)
    fleet.versions = {APP: about}
    assert versions.compare()["apps"][APP]["say"] == say


@pytest.mark.parametrize("trouble", ["silent", "fails", "none"])
def test_a_builder_that_does_not_answer_is_said_and_nothing_is_guessed(
    versions, deploys, fleet, trouble
):
    fleet.versions = {APP: OLDER}
    before = versions.compare()
    why = f"{SOURCE}: no answer"
    if trouble == "silent":
        fleet.away(SOURCE)
    elif trouble == "fails":
        fleet.fails[SOURCE, "build.versions"], why = "no such function", f"{SOURCE}: no such funct"
    else:
        fleet.hosts["source"], why = [], "0 hosts with the role source"
    found = versions.compare()
    assert found["why"].startswith(why) and versions.known() == found
    # What was known then is told, with its time.
    assert (found["compared"], found["apps"]) == (before["compared"], before["apps"])
    # Of another release nothing was known.
    with sqlite3.connect(deploys.folder / "deploys.sqlite") as base:
        base.execute('UPDATE live SET "release" = ?', (B,))
    assert versions.compare()["apps"] == {}


def test_a_level_without_such_an_app_asks_nobody(deploys, fleet):
    module = deploys.module
    assert module.versions(str(deploys.folder)) == {
        "compared": None,
        "why": "nobody has compared yet",
        "apps": {},
    }
    fleet.hosts["source"] = []
    found = module.compare(str(deploys.config), str(deploys.folder))
    assert (found["why"], found["apps"], fleet.calls) == (None, {}, [])
    # One that never was live has nothing to compare.
    deploys.configure({APP: SETTINGS | {"version": "1.*"}})
    assert module.compare(str(deploys.config), str(deploys.folder))["why"] is None


# -- hooks ---------------------------------------------------------------------------

HOOK = "site_x.migrate"


@pytest.fixture
def hooked(deploys):
    """A level that runs a release of an app with a hook."""
    deploys.configure({APP: SETTINGS | {"hooks": {"before": HOOK}}})
    deploys.running("a")
    return deploys


def test_a_hook_is_called_on_one_host_before_all_switch(hooked, fleet):
    done = hooked.order("b")
    assert (done["state"], hooked.live()) == ("live", {APP: B})
    assert [call for call in fleet.calls if call[0] != "release.check"][:5] == [
        ("build.build", [SOURCE], [APP, "b"]),
        ("release.fetch", [F1, F2, F3], [APP, B]),
        ("release.hook", [F1], [APP, B, HOOK]),
        ("release.switch", [F1], [APP, B]),
        ("release.switch", [F2, F3], [APP, B]),
    ]
    assert len(fleet.told("release.hook")) == 1
    assert [name for name, _ in done["stages"]] == [
        "build",
        "fetch",
        "hook before",
        "first host",
        "other hosts",
    ]


def test_a_hook_is_called_where_the_release_is(hooked, fleet):
    fleet.away(F1)
    assert hooked.order("b")["state"] == "live"
    assert [hosts for hosts, _ in fleet.told("release.hook")] == [[F2]]


@pytest.mark.parametrize("trouble", ["fails", "is silent"])
def test_without_its_hook_before_no_host_is_switched(hooked, fleet, trouble):
    if trouble == "fails":
        fleet.fails[F1, "release.hook"] = "the database is away"
        why = f"the hook before the switch failed. {F1}: the database is away"
    else:
        fleet.away(F1, "release.hook")
        why = f"the hook before the switch failed. {F1} is silent"
    done = hooked.order("b")
    failed(hooked, done, why, {APP: A})
    assert fleet.told("release.switch") == [] and fleet.told("release.check") == []
    # Nobody else is asked instead: it may have done it.
    assert fleet.told("release.hook") == [([F1], [APP, B, HOOK])]
    assert set(fleet.serves.values()) == {A}
    assert all(there == {A} for there in fleet.there.values())
    assert done["hosts"] == dict.fromkeys([F1, F2, F3], "as it was")


def test_one_that_cannot_fetch_is_known_before_the_hook(hooked, fleet):
    fleet.fails[F2, "release.fetch"] = "the disk is full"
    failed(hooked, hooked.order("b"), "the disk is full", {APP: A})
    assert fleet.told("release.hook") == []


def test_a_way_back_calls_no_hook(hooked, fleet):
    hooked.running("b")
    hooked.request(APP, "rollback")
    hooked.work()
    assert hooked.live() == {APP: A}
    # What was live needs nothing made for it.
    assert fleet.told("release.hook") == []


def test_the_first_of_all_calls_no_hook(deploys, fleet):
    """No host is set up yet; their highstate does it."""
    deploys.configure({APP: SETTINGS | {"hooks": {"before": HOOK}, "cached": ["docs"]}})
    deploys.request(APP, "first")
    deploys.work()
    assert deploys.live() == {APP: A} and fleet.functions() == ["build.build"]


# -- the caches at the edge --------------------------------------------------------------

SITES = ["docs", "test"]


@pytest.fixture
def cached(deploys, fleet):
    """An app on two hosts whose pages the three at the edge keep; a release of it runs."""
    fleet.hosts["app"] = ["app1", "app2"]
    for host in fleet.hosts["app"]:
        fleet.there[host] = set()
    fleet.serves = dict.fromkeys(fleet.hosts["app"])
    deploys.configure({APP: SETTINGS | {"roles": ["app"], "cached": SITES}})
    deploys.running("a")
    fleet.forgot.clear()
    return deploys


def told(*releases):
    """All at the edge are told, while these releases are served."""
    return [(host, SITES, set(releases)) for host in (F1, F2, F3)]


def test_the_edge_forgets_once_all_have_switched(cached, fleet):
    done = cached.order("b")
    assert done["state"] == "live"
    assert fleet.forgot == told(B)
    assert fleet.told("edge.forget") == [([F1, F2, F3], [SITES])]
    names = [name for name, _ in done["stages"]]
    assert names == ["build", "fetch", "first host", "other hosts", "edge"]


def test_what_is_not_kept_at_the_edge_is_not_forgotten(deploys, fleet):
    deploys.running("a")
    fleet.fails[F1, "release.check"] = "500"
    assert "edge" not in [name for name, _ in deploys.order("b")["stages"]]
    assert fleet.told("edge.forget") == []


def test_the_edge_forgets_before_errors_are_counted(cached, fleet):
    cached.configure({APP: SETTINGS | {"roles": ["app"], "cached": SITES, "watch": 5}})
    done = cached.order("b")
    assert [name for name, _ in done["stages"]][-2:] == ["edge", "watch"]


def test_the_edge_forgets_again_when_all_go_back(cached, fleet):
    fleet.fails["app2", "release.check"] = "500"
    done = cached.order("b")
    failed(cached, done, "app2: 500", {APP: A})
    assert fleet.forgot == told(A)
    assert fleet.functions()[-2:] == ["release.discard", "edge.forget"]


def test_a_release_with_errors_is_forgotten_twice(cached, fleet):
    cached.configure({APP: SETTINGS | {"roles": ["app"], "cached": SITES, "watch": 5}})
    fleet.counts["after"] = (100, 100)
    failed(cached, cached.order("b"), "requests failed after the switch", {APP: A})
    assert fleet.forgot == told(B) + told(A)


def test_where_nobody_has_switched_the_edge_keeps_its_pages(cached, fleet):
    fleet.fails["app2", "release.fetch"] = "the disk is full"
    failed(cached, cached.order("b"), "the disk is full", {APP: A})
    fleet.fails = {(SOURCE, "build.build"): "a step failed"}
    failed(cached, cached.order("b"), "a step failed", {APP: A})
    assert fleet.forgot == []


def test_a_cache_that_does_not_forget_is_told_and_holds_up_nobody(cached, fleet):
    fleet.fails[F2, "edge.forget"] = "the cache does not forget docs"
    done = cached.order("b")
    assert (done["state"], set(fleet.serves.values())) == ("live", {B})
    assert done["why"] == f"Old pages stay: {F2}: the cache does not forget docs"
    assert fleet.forgot == [one for one in told(B) if one[0] != F2]


def test_a_cache_that_does_not_forget_on_the_way_back_is_told(cached, fleet):
    fleet.fails[F2, "edge.forget"] = "the cache does not forget docs"
    fleet.fails["app2", "release.check"] = "500"
    done = cached.order("b")
    failed(cached, done, f"app2: 500. Old pages stay: {F2}: the cache", {APP: A})
    assert "Not all hosts" not in done["why"]
    assert set(fleet.serves.values()) == {A}


def test_a_host_of_the_edge_that_is_being_made_or_away_holds_up_nobody(cached, fleet):
    fleet.fails[F2, "edge.forget"] = "this host has no cache"
    fleet.away(F3, "edge.forget")
    assert cached.order("b")["state"] == "live"
    assert fleet.forgot == told(B)[:1]


def test_a_level_without_an_edge_has_nothing_to_forget(cached, fleet):
    fleet.hosts["frontend"] = []
    assert cached.order("b")["state"] == "live"
    assert fleet.told("edge.forget") == []


def test_one_that_was_cut_off_and_then_fails_is_forgotten(cached, fleet):
    def stop():
        fleet.before.clear()
        raise StoppedError

    cached.request(APP, "order", "b")
    fleet.before["edge.forget"] = stop
    with pytest.raises(StoppedError):
        cached.work()
    fleet.fails[SOURCE, "build.build"] = "a step failed"
    [done] = cached.work()
    failed(cached, done, "a step failed", {APP: A})
    assert fleet.forgot == told(A)


# -- watching ------------------------------------------------------------------------


@pytest.fixture
def watched(deploys, fleet):
    """Deploy while readers come: requests and errors of each host, before and after."""

    def run(before, after):
        deploys.running("a")
        deploys.configure({APP: SETTINGS | {"watch": 5}})
        fleet.counts = {"before": before, "after": after}
        return deploys.order("b")

    return run


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((0, 0), (100, 0)),
        ((100, 3), (100, 8)),  # as many as are allowed
        ((100, 90), (100, 90)),  # it was no better before
        ((0, 0), (0, 0)),
        ((0, 0), (6, 6)),  # 18 requests say nothing
    ],
)
def test_a_release_with_no_more_errors_than_before_stays(deploys, fleet, watched, before, after):
    done = watched(before, after)
    assert done["state"] == "live" and set(fleet.serves.values()) == {B}
    assert done["stages"][-1][0] == "watch" and fleet.slept == [5]


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ((0, 0), (7, 7), "100% of 21 requests failed after the switch, before it 0%"),
        ((100, 3), (100, 9), "9% of 300 requests failed after the switch, before it 3%"),
    ],
)
def test_a_release_with_more_errors_is_taken_back(deploys, fleet, watched, before, after, why):
    done = watched(before, after)
    failed(deploys, done, why, {APP: A})
    assert set(fleet.serves.values()) == {A}
    assert done["hosts"] == dict.fromkeys([F1, F2, F3], "taken back")
    assert fleet.told("release.discard") == [([F1, F2, F3], [APP, B])]


def test_the_time_before_ends_where_that_after_begins(deploys, fleet, watched):
    watched((0, 0), (0, 0))
    (hosts, [_, since, until]), (same, [_, again]) = fleet.told("release.errors")
    assert hosts == same == [F1, F2, F3]
    assert until == again and until - since == deploys.module.BASELINE_SECONDS


def test_a_host_whose_log_cannot_be_read_says_nothing(fleet, watched):
    fleet.fails[F1, "release.errors"] = "no log"
    fleet.away(F2, "release.errors")
    assert watched((0, 0), (19, 19))["state"] == "live"


# -- going back ----------------------------------------------------------------------


def test_a_rollback_goes_to_the_one_before_and_builds_nothing(deploys, fleet):
    deploys.configure({APP: SETTINGS | {"watch": 5}})
    deploys.running("a", "b", "c")
    # Errors are no reason to stay.
    fleet.counts["after"] = (100, 100)
    deploys.request(APP, "rollback")
    [done] = deploys.work()
    assert (done["state"], done["release"], done["previous"]) == ("live", B, C)
    assert deploys.live() == {APP: B} and set(fleet.serves.values()) == {B}
    assert {"build.build", "release.errors"} & set(fleet.functions()) == set()
    assert fleet.slept == []


def test_a_rollback_to_a_release_that_is_named(deploys, fleet):
    deploys.running("a", "b", "c")
    deploys.request(APP, "rollback", A)
    deploys.work()
    assert deploys.live() == {APP: A}
    # From there the one before is not that which was left, but the one before that.
    deploys.request(APP, "rollback")
    deploys.work()
    assert deploys.live() == {APP: B}


def test_where_to_go_back_to_is_asked_when_it_is_carried_out(deploys, fleet):
    """Asked for while a bad release is still on its way."""
    deploys.running("a", "b")
    deploys.request(APP, "rollback")
    with sqlite3.connect(deploys.folder / "deploys.sqlite") as base:
        base.execute("INSERT INTO deploys (app, kind, who, requested, state, release) "
                     "VALUES (?, 'push', '', 0, 'live', ?)", (APP, C))  # fmt: skip
        base.execute("UPDATE live SET release = ?", (C,))
    fleet.there = {host: there | {C} for host, there in fleet.there.items()}
    [done] = deploys.work()
    assert (done["state"], done["release"]) == ("live", B)


def test_a_way_back_is_not_gone_forward_again(deploys):
    deploys.running("a", "b")
    deploys.request(APP, "rollback")
    deploys.work()
    with pytest.raises(CommandExecutionError, match="no other release to go back to"):
        deploys.request(APP, "rollback")


def test_a_release_that_never_ran_is_nothing_to_go_back_to(deploys, fleet):
    deploys.running("a", "b")
    fleet.fails[F1, "release.check"] = "500"
    deploys.order("d")
    for wanted in (D, C, B, "main"):
        with pytest.raises(CommandExecutionError, match=f"never live as {wanted}; it was {A}$"):
            deploys.request(APP, "rollback", wanted)
    assert deploys.unfinished() == []


@pytest.mark.parametrize("wanted", [None, A])
def test_without_a_release_before_there_is_no_rollback(deploys, wanted):
    with pytest.raises(CommandExecutionError, match="no other release to go back to"):
        deploys.request(APP, "rollback", wanted)
    deploys.running("a")
    with pytest.raises(CommandExecutionError, match="no other release to go back to"):
        deploys.request(APP, "rollback", wanted)


@pytest.mark.parametrize("function", ["release.fetch", "release.check"])
def test_a_rollback_that_fails_takes_the_release_from_nobody(deploys, fleet, function):
    deploys.running("a", "b")
    fleet.fails[F2, function] = "it does not work"
    deploys.request(APP, "rollback")
    [done] = deploys.work()
    failed(deploys, done, "it does not work", {APP: B})
    assert set(fleet.serves.values()) == {B}
    assert all(there == {A, B} for there in fleet.there.values())
    assert fleet.told("release.discard") == []


# -- by orch.up ----------------------------------------------------------------------


def test_an_app_without_a_release_gets_its_first(deploys, fleet):
    deploys.configure(
        {APP: SETTINGS, "blog": SETTINGS, "docs": SETTINGS | {"roles": []}, "empty": SETTINGS}
    )
    fleet.inputs = {APP: INPUTS, "blog": INPUTS, "docs": INPUTS}
    assert deploys.missing() == ["blog", APP]
    assert fleet.told("build.inputs") == [([SOURCE], [["blog", "empty", APP]])]
    assert [
        (entry["app"], entry["kind"], entry["ref"], entry["who"]) for entry in deploys.history()
    ] == [(APP, "first", None, "orch.up"), ("blog", "first", None, "orch.up")]


def test_an_app_made_of_something_else_is_made_anew_of_its_commit(deploys, fleet):
    deploys.running("a")
    fleet.inputs = {APP: INPUTS}
    assert deploys.missing() == [] and deploys.unfinished() == []
    fleet.inputs = {APP: "11111111"}
    assert deploys.missing() == [APP]
    newest = deploys.history(APP, 1)[0]
    assert (newest["kind"], newest["ref"], newest["state"]) == ("first", None, "waiting")
    # Asked again, as by a second run beside this one: it waits already.
    assert deploys.missing() == []


def test_a_version_that_was_changed_is_what_is_built(deploys, fleet):
    deploys.configure({APP: SETTINGS | {"version": "v1"}})
    deploys.running("a")
    deploys.configure({APP: SETTINGS | {"version": "v2"}})
    fleet.inputs = {APP: "22222222"}
    assert deploys.missing() == [APP]
    [done] = deploys.work()
    # The builder knows which commit that is.
    assert fleet.told("build.build") == [([SOURCE], [APP, None])]
    assert (done["kind"], done["state"]) == ("first", "live")


@pytest.mark.parametrize("version", ["v9", "1.43.*"])
def test_a_version_that_is_not_there_is_asked_for_and_fails_in_words(deploys, fleet, version):
    why = f"the repository webplatform/www has no version {version} (there: v1)"
    deploys.configure({APP: SETTINGS | {"version": version}})
    fleet.inputs = {APP: INPUTS}
    fleet.fails[SOURCE, "build.build"] = why
    assert deploys.missing() == [APP]
    [done] = deploys.work()
    failed(deploys, done, f"the build failed. {why}", {})
    # It is asked for again, until it is there.
    assert deploys.missing() == [APP]
    fleet.fails.clear()
    deploys.work()
    # What runs is not asked for again where its tag has gone.
    fleet.fails[SOURCE, "build.build"] = why
    assert deploys.missing() == [] and deploys.live() == {APP: A}


@pytest.mark.parametrize(("version", "ref"), [(None, "b" * 40), ("v1", None)])
def test_what_the_first_deploy_of_a_running_app_builds(deploys, fleet, version, ref):
    deploys.configure({APP: SETTINGS | {"version": version}})
    deploys.running("b")
    deploys.request(APP, "first")
    deploys.work()
    assert fleet.told("build.build") == [([SOURCE], [APP, ref])]


def test_another_commit_than_the_version_can_be_ordered(deploys, fleet):
    deploys.configure({APP: SETTINGS | {"version": "v1"}})
    deploys.running("a")
    assert deploys.order("c")["release"] == C


def test_what_waits_is_made_of_it_anyway(deploys, fleet):
    """A push that waits is newer than what is live, and must not give way to that."""
    deploys.running("a")
    deploys.request(APP, "push")
    fleet.inputs = {APP: "11111111"}
    assert deploys.missing() == []
    assert deploys.history(APP, 1)[0]["kind"] == "push"


def test_without_apps_nobody_is_asked(deploys, fleet):
    deploys.configure({"docs": SETTINGS | {"roles": []}})
    assert deploys.missing() == [] and fleet.calls == []


def test_a_builder_that_does_not_say_what_is_missing(deploys, fleet):
    fleet.away(SOURCE)
    with pytest.raises(CommandExecutionError, match=f"{SOURCE}: no answer"):
        deploys.missing()
    fleet.silent.clear()
    fleet.fails[SOURCE, "build.inputs"] = "'www' is not built here"
    with pytest.raises(CommandExecutionError, match="'www' is not built here"):
        deploys.missing()
    assert deploys.history() == []


# -- the master's own tree -------------------------------------------------------------

SALT = "salt.sandbox.wpd.internal"
X, Y = "clone-0123456789abcdef", "clone-fedcba9876543210"


class Tree:
    """The master's own tree: deploys of it, and clones that bring others."""

    def __init__(self, deploys, fleet, folder):
        self.deploys, self.fleet, self.folder = deploys, fleet, folder
        fleet.hosts["salt"] = [SALT]
        fleet.there[SALT] = set()
        fleet.release_switch = self.switch
        deploys.configure({APP: SETTINGS | {"roles": ["salt"], "tree": True}})

    def serve(self, name, since):
        (self.folder / "releases" / name).mkdir(parents=True, exist_ok=True)
        link = self.folder / "current"
        link.unlink(missing_ok=True)
        link.symlink_to(f"releases/{name}")
        os.utime(link, (since, since), follow_symlinks=False)
        self.fleet.serves[SALT] = name

    def brought(self, name, since=1000.0, who="ada"):
        """A clone brings its tree; the master need not run for that."""
        self.serve(name, since)
        (self.folder / "releases" / name / ".brought-by").write_text(f"{who}\n")
        self.fleet.there[SALT].add(name)

    @property
    def served(self):
        return (self.folder / "current").readlink().name

    def switch(self, host, app, name, over):
        """What a master's host does: site_release.switch."""
        assert host == SALT and name in self.fleet.there[SALT]
        self.fleet.overs.append(over)
        before = self.served
        if before.startswith("clone-") and before not in (over, name):
            raise CommandExecutionError(f"a clone has brought {before} meanwhile, which stays")
        self.serve(name, 2000.0)
        return before

    def rows(self):
        return [(row["kind"], row["state"], row["release"]) for row in self.deploys.history()]


@pytest.fixture
def tree(deploys, fleet, tmp_path):
    real = fleet.cmd

    def cmd(hosts, function, arguments, **how):
        # A host that refuses to switch returns an error, as Salt does.
        try:
            return real(hosts, function, arguments, **how)
        except CommandExecutionError as error:
            return {hosts[0]: {"ret": f"ERROR: {error}", "retcode": 1}}

    deploys.module.__salt__["saltutil.cmd"] = cmd
    return Tree(deploys, fleet, tmp_path / "release" / APP)


def test_the_tree_of_a_clone_is_written_down_once(tree, deploys):
    assert deploys.history() == [] and deploys.live() == {}
    tree.brought(X)
    for _ in range(2):
        [entry] = deploys.history()
        assert (entry["kind"], entry["who"], entry["state"]) == ("clone", "ada", "live")
        assert (entry["release"], entry["previous"]) == (X, None)
        assert entry["requested"] == entry["ended"] == 1000.0 and "clone" in entry["why"]
        assert deploys.live() == {APP: X}
    tree.brought(Y)
    (tree.folder / "releases" / Y / ".brought-by").unlink()
    entry = deploys.history()[0]
    assert (entry["release"], entry["previous"], entry["who"]) == (Y, X, "")


def test_a_push_replaces_the_tree_of_a_clone_and_says_what_is_next(tree, deploys, fleet):
    tree.brought(X)
    done = deploys.order("b")
    assert (done["state"], done["release"], done["previous"]) == ("live", B, X)
    assert "at their next highstate" in done["why"] and done["hosts"] == {SALT: "serves it"}
    assert tree.served == B and fleet.overs == [X]
    # Nobody was away: there is one master, and a clone may come.
    assert fleet.functions().count("release.switch") == 1
    assert tree.rows() == [("order", "live", B), ("clone", "live", X)]


def test_a_clone_that_comes_later_wins_and_so_does_the_next_push(tree, deploys, fleet):
    tree.brought(X)
    deploys.order("b")
    tree.brought(X)
    assert deploys.history()[0]["kind"] == "clone" and deploys.live() == {APP: X}
    assert deploys.order("c")["previous"] == X and tree.served == C


def test_what_was_asked_for_before_a_clone_came_is_left_out(tree, deploys, fleet):
    tree.brought(X)
    deploys.request(APP, "push")
    tree.brought(Y)
    assert deploys.work() == [] and tree.served == Y
    assert tree.rows() == [("clone", "live", Y), ("push", "superseded", None), ("clone", "live", X)]
    assert deploys.history()[1]["why"] == "a clone came after it"
    assert "build.build" not in fleet.functions()


@pytest.mark.parametrize("function", ["release.fetch", "release.check"])
def test_a_clone_that_comes_meanwhile_stays(tree, deploys, fleet, function):
    tree.brought(X)
    fleet.before[function] = lambda: tree.brought(Y)
    if function == "release.check":
        fleet.fails[SALT, function] = f"the master serves {Y}"
    done = deploys.order("b")
    assert done["state"] == "failed" and Y in done["why"]
    assert tree.served == Y and B not in fleet.there[SALT]
    assert deploys.history()[0]["release"] == Y and deploys.live() == {APP: Y}


def test_a_clone_that_comes_after_the_check_is_written_down(tree, deploys, fleet):
    tree.brought(X)
    fleet.before["release.prune"] = lambda: tree.brought(Y, 3000.0)
    assert deploys.order("b")["state"] == "live"
    assert deploys.history()[0]["release"] == Y and deploys.live() == {APP: Y}


def test_a_tree_that_does_not_render_is_taken_back(tree, deploys, fleet):
    tree.brought(X)
    fleet.fails[SALT, "release.check"] = "the master renders no pillar of this host from it"
    done = deploys.order("b")
    assert (done["state"], done["hosts"]) == ("failed", {SALT: "taken back"})
    assert tree.served == X and fleet.overs == [X, X] and deploys.live() == {APP: X}
    # A clone of which nothing has changed is no news.
    assert [row[0] for row in tree.rows()] == ["order", "clone"]


def test_a_way_back_to_a_clone_is_one_deploy(tree, deploys, fleet):
    tree.brought(X)
    deploys.order("b")
    fleet.before["release.check"] = deploys.history
    deploys.request(APP, "rollback")
    [done] = deploys.work()
    assert (done["kind"], done["state"], done["release"]) == ("rollback", "live", X)
    assert tree.served == X and deploys.live() == {APP: X}
    assert [row[0] for row in tree.rows()] == ["rollback", "order", "clone"]


def test_a_deploy_of_the_tree_that_was_cut_off_is_carried_out_again(tree, deploys, fleet):
    tree.brought(X)

    def stop():
        raise StoppedError

    fleet.before["release.check"] = stop
    with pytest.raises(StoppedError):
        deploys.order("b")
    assert tree.served == B and deploys.live() == {APP: X}
    fleet.before.clear()
    deploys.work()
    assert tree.rows() == [("order", "live", B), ("clone", "live", X)]


def test_the_tree_is_never_missing(tree, deploys, fleet):
    fleet.inputs = {APP: INPUTS}
    assert deploys.missing() == [] and fleet.calls == []


# -- the states ----------------------------------------------------------------------

LIVE = {
    "number": 7,
    "app": APP,
    "state": "live",
    "release": A,
    "ref": "main",
    "why": None,
    "stages": [["build", 1.5], ["fetch", 0.2]],
}
FAILED = {**LIVE, "number": 8, "state": "failed", "release": None, "why": "the build failed"}


@pytest.fixture
def state():
    """The states; `did` is what they called."""

    class States:
        def __call__(
            self, name, *words, work=(), wait=None, missing=(), error=None, test=False, **how
        ):
            def called(function, answer):
                def call(*given):
                    self.did.append((function, *given))
                    if error == function:
                        raise CommandExecutionError("it cannot be")
                    return answer(*given) if callable(answer) else answer

                return call

            self.did = []
            module = load_module(
                "_states/site_deploy.py",
                opts={"test": test},
                salt={
                    f"site_deploy.{function}": called(function, answer)
                    for function, answer in (
                        ("request", 7),
                        ("work", work),
                        ("wait", wait),
                        ("missing", list(missing)),
                    )
                },
            )
            ret = getattr(module, name)(*words, **how)
            assert ret["name"] == words[0]
            return ret["result"], ret["changes"], ret["comment"]

    return States()


def test_done_asks_and_waits(state):
    result, changes, comment = state("done", APP, "order", "main", "ada", work=[LIVE])
    assert (result, changes) == (True, {"7": {"state": "live", "release": A}})
    assert comment == f"{A} is live (build 1.5 s, fetch 0.2 s)"
    assert state.did == [("request", APP, "order", "main", "ada"), ("work", APP)]


@pytest.mark.parametrize("end", ["live", "waiting", "superseded", "failed", "running"])
def test_done_waits_for_what_another_run_carries_out(state, end):
    other = {**LIVE, "state": end, "why": "a reason"}
    result, changes, _ = state("done", APP, "order", "main", "ada", work=[], wait=other)
    assert result == (end in ("live", "waiting", "superseded"))
    assert changes == {"7": {"state": end, "release": A}}
    assert state.did[-1] == ("wait", APP, 7)


def test_done_without_a_kind_takes_what_waits(state):
    assert state("done", APP, work=[LIVE])[0] is True
    assert state.did == [("work", APP)]
    result, changes, comment = state("done", APP)
    assert (result, changes) == (True, {}) and "nothing waits" in comment


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "main: the build failed"),
        ({"ref": None}, "the newest: the build failed"),
        ({"release": B}, f"{B}: the build failed"),
    ],
)
def test_done_is_as_the_newest_is(state, change, said):
    newest = FAILED | change
    result, changes, comment = state("done", APP, work=[newest, LIVE])
    assert result is False and set(changes) == {"7", "8"}
    assert comment.startswith(said)
    assert state("done", APP, work=[LIVE | {"number": 9}, FAILED])[0] is True


@pytest.mark.parametrize("error", ["request", "work"])
def test_done_says_why_it_cannot(state, error):
    assert state("done", APP, "order", error=error) == (False, {}, "it cannot be")


def test_done_says_what_is_left_to_do(state):
    said = state("done", APP, work=[{**LIVE, "why": "a highstate"}])[2]
    assert said == f"{A} is live; a highstate (build 1.5 s, fetch 0.2 s)"


def test_a_test_of_done_predicts(state):
    result, changes, comment = state("done", APP, "order", test=True)
    assert (result, changes) == (None, {}) and "would be" in comment
    assert state.did == []


def test_all_have_releases(state):
    name = "every app has a release"
    assert state("all_have_releases", name) == (True, {}, "every app has its release")
    result, changes, comment = state("all_have_releases", name, work=[LIVE], missing=[APP])
    assert (result, changes) == (True, {APP: A}) and comment.startswith(f"{APP}: {A} is live")
    assert state.did == [("missing",), ("work", APP)]
    # Frozen, or another run does it.
    assert state("all_have_releases", name, missing=[APP])[:2] == (True, {})


def test_one_app_without_a_release_fails(state):
    work = {APP: [LIVE], "blog": [FAILED, LIVE]}.get
    result, changes, comment = state("all_have_releases", "all", work=work, missing=[APP, "blog"])
    assert (result, changes) == (False, {APP: A, "blog": None})
    assert "blog: main: the build failed" in comment


@pytest.mark.parametrize("error", ["missing", "work"])
def test_all_have_releases_says_why_it_cannot(state, error):
    told = state("all_have_releases", "all", missing=[APP], error=error)
    assert told == (False, {}, "it cannot be")


def test_a_test_of_all_have_releases_asks_nobody(state):
    result, changes, _ = state("all_have_releases", "all", test=True)
    assert (result, changes, state.did) == (True, {}, [])
