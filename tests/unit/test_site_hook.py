"""The master's engine: each accepted push becomes one deploy, and nothing else does."""

import json
import os
import pwd
import sqlite3
import subprocess
import sys
from types import SimpleNamespace

import pytest
from salt.exceptions import CommandExecutionError

from tests.unit.conftest import ROOT, load_module
from tests.unit.test_hook import APP, COMMIT, NAME, REPOSITORIES

PUSH = {
    "delivery": "1",
    "digest": "d1",
    "app": APP,
    "repository": NAME,
    "branch": "main",
    "commit": COMMIT,
    "pusher": "ada",
}
OTHER = {"delivery": "2", "digest": "d2", "app": "other", "repository": "webplatform/other"}
ACCEPTED, WANTED = "site/push/accepted", "site/deploy/wanted"


@pytest.fixture
def engine():
    made = load_module("_engines/site_hook.py", opts={"sock_dir": "/nowhere"})
    # The receiver's own program, and nobody else's account.
    made.PROGRAM = (sys.executable, str(ROOT / "salt/hook/files/hook.py"))
    made.USER = None
    return made


@pytest.fixture
def queue(tmp_path):
    return load_module("salt/hook/files/hook.py").Queue(str(tmp_path / "pushes.sqlite"))


@pytest.fixture
def config(tmp_path):
    return {"queue": str(tmp_path / "pushes.sqlite"), "repositories": REPOSITORIES}


def untold(config):
    """How many pushes were not told yet."""
    with sqlite3.connect(config["queue"]) as base:
        return base.execute("SELECT count(*) FROM pushes WHERE told IS NULL").fetchone()[0]


class Master:
    """What the engine tells: what was asked for, and the events, in one order."""

    def __init__(self, engine, config):
        self.engine, self.config = engine, config
        self.did = []
        # An app that nothing is deployed of: it is asked for, and nothing waits.
        self.without = set()

    def ask(self, app, kind, who):
        self.did.append(("ask", app, kind, who))
        return None if app in self.without else 7

    def fire(self, data, tag):
        self.did.append((tag, data))

    def tell(self):
        path = f"{self.config['queue']}.json"
        with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123
            json.dump(self.config, file)
        return self.engine.tell(path, self.config["repositories"], self.ask, self.fire)

    def events(self):
        return [act for act in self.did if act[0] != "ask"]


@pytest.fixture
def master(engine, config):
    return Master(engine, config)


def test_each_push_is_told_once_in_order(queue, master):
    queue.add(PUSH, 1.0)
    queue.add(PUSH | {"delivery": "2", "digest": "d2", "commit": "b" * 40}, 2.0)
    assert master.tell() == [APP]
    assert [act[0] for act in master.did] == ["ask", ACCEPTED] * 2
    assert master.did[0] == ("ask", APP, "push", "ada")
    assert [data["commit"] for _, data in master.events()] == [COMMIT, "b" * 40]
    assert master.events()[0][1] == {
        "delivery": "1",
        "app": APP,
        "repository": NAME,
        "branch": "main",
        "commit": COMMIT,
        "pusher": "ada",
        "received": 1.0,
    }
    master.did.clear()
    assert master.tell() == [] and master.did == []


def test_each_app_that_waits_is_named_once(queue, master):
    queue.add(PUSH | OTHER, 1.0)
    queue.add(PUSH, 2.0)
    queue.add(PUSH | OTHER | {"delivery": "3", "digest": "d3"}, 3.0)
    assert master.tell() == ["other", APP]


def test_a_push_that_nothing_is_deployed_of_is_an_event_alone(queue, master):
    master.without.add(APP)
    queue.add(PUSH, 1.0)
    assert master.tell() == []
    assert [tag for tag, _ in master.events()] == [ACCEPTED]


@pytest.mark.parametrize(
    "change",
    [
        {"repository": "webplatform/elsewhere"},
        {"app": "other"},
        {"branch": "topic"},
        {"commit": "main"},
    ],
)
def test_what_is_not_configured_is_left_out(queue, master, change, caplog):
    queue.add(PUSH | change, 1.0)
    assert master.tell() == [] and master.did == []
    assert "left out" in caplog.text
    assert master.tell() == [] and caplog.text.count("left out") == 1


@pytest.mark.parametrize(
    "change",
    [{"commit": 7}, {"pusher": "x" * 201}, {"app": None}, {"number": "one"}, {"received": None}],
)
def test_a_row_that_is_no_push_is_an_error_and_nothing_else(master, monkeypatch, change):
    row = {name: text for name, text in PUSH.items() if name != "digest"}
    row |= {"number": 1, "received": 1.0} | change
    monkeypatch.setattr(master.engine, "_asked", lambda *words: json.dumps([row]))
    with pytest.raises((ValueError, TypeError)):
        master.tell()
    assert master.did == []


def test_the_table_is_opened_by_the_receiver_s_user_alone(engine, tmp_path):
    """Not by root: it could be made to harm whoever opens it."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nid -un\nid -Gn\n", encoding="ascii")
    for path in (program, tmp_path, *tmp_path.parents[:3]):
        path.chmod(0o755)
    engine.PROGRAM, engine.USER = (str(program),), "nobody"
    if os.geteuid() == 0:
        # nobody's group has another name.
        engine.subprocess = Nobody()
        assert engine._asked("x").split()[0] == b"nobody"
    else:
        with pytest.raises(PermissionError):
            engine._asked("x")


class Nobody:
    """`subprocess`, where the group of a user has its name."""

    PIPE, DEVNULL = subprocess.PIPE, subprocess.DEVNULL

    def run(self, words, group, user, check, **how):
        assert group == user
        return subprocess.run(words, user=user, group=pwd.getpwnam(user).pw_gid, check=True, **how)


def test_a_push_counts_as_told_only_once_it_was_asked_for(queue, master, config, monkeypatch):
    queue.add(PUSH, 1.0)
    seen = []
    monkeypatch.setattr(master, "ask", lambda app, kind, who: seen.append(untold(config)))
    master.tell()
    assert seen == [1] and untold(config) == 0


def test_what_could_not_be_asked_for_is_told_the_next_time(queue, master, config, monkeypatch):
    queue.add(PUSH | OTHER, 1.0)
    queue.add(PUSH, 2.0)

    def ask(app, kind, who):
        if app == APP:
            raise CommandExecutionError("the disk is full")
        return 1

    with monkeypatch.context() as patch:
        patch.setattr(master, "ask", ask)
        with pytest.raises(CommandExecutionError, match="disk is full"):
            master.tell()
    # The one before it is done with; of the one that failed nobody heard.
    assert [data["app"] for _, data in master.events()] == ["other"]
    assert untold(config) == 1
    master.did.clear()
    assert master.tell() == [APP]
    assert master.did[0][:2] == ("ask", APP) and untold(config) == 0


# -- in the master ---------------------------------------------------------------


class StoppedError(BaseException):
    """The master stops."""


class Bus:
    """Stands in for the master's bus."""

    def __init__(self):
        self.events = []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def fire_event(self, data, tag):
        self.events.append((tag, data.get("app")))


class Started:
    """An engine that runs; before each of its looks one of `turns` happens, then it stops."""

    def __init__(self, engine, path, monkeypatch):
        self.engine, self.path, self.bus = engine, path, Bus()
        self.slept, self.unfinished, self.asked, self.clock = [], [], [], 1000.0
        self.turns = iter(())
        engine.__salt__ = {
            "site_deploy.request": self.request,
            "site_deploy.unfinished": self.look,
        }
        # Of its own: the program that it asks needs a true one.
        engine.time = SimpleNamespace(sleep=self.sleep, monotonic=lambda: self.clock)
        monkeypatch.setattr(engine.salt.utils.event, "get_event", lambda *_, **how: self.bus)

    def request(self, app, kind, who):
        self.unfinished.append(app)
        return 1

    def look(self):
        self.asked.append(self.clock)
        return list(self.unfinished)

    def sleep(self, seconds):
        self.slept.append(seconds)
        if seconds == 3:
            turn = next(self.turns, None)
            if turn is None:
                raise StoppedError
            turn()

    def run(self, *turns):
        self.turns = iter(turns)
        with pytest.raises(StoppedError):
            self.engine.start(str(self.path), pause=3)
        return self.bus.events


@pytest.fixture
def started(engine, tmp_path, monkeypatch):
    return Started(engine, tmp_path / "hook.json", monkeypatch)


def test_it_tells_until_the_master_stops(started, queue, config, caplog):
    def write(text):
        started.path.write_text(text, encoding="utf-8")

    def push():
        write(json.dumps(config))
        queue.add(PUSH, 1.0)

    events = started.run(lambda: write("no JSON"), push, lambda: None, lambda: None)
    assert events == [(ACCEPTED, APP), (WANTED, APP)]
    # After an error it waits longer.
    assert started.slept == [3, 30, 3, 3, 3, 3] and caplog.text.count("pushes wait") == 1
    assert untold(config) == 0


def test_the_program_is_asked_only_where_the_table_was_written(started, queue, config, monkeypatch):
    asked = []
    real = started.engine._asked

    def count(*words):
        asked.append(words[1])
        return real(*words)

    monkeypatch.setattr(started.engine, "_asked", count)
    started.path.write_text(json.dumps(config), encoding="utf-8")
    queue.add(PUSH, 1.0)
    started.run(*[lambda: None] * 4)
    # Once more after it was told of, as that is written, too.
    assert asked == ["--waiting", "--told", "--waiting"]


def test_where_there_is_no_table_yet_nobody_is_asked(started, config, monkeypatch):
    monkeypatch.setattr(started.engine, "PROGRAM", ("/nowhere",))
    started.path.write_text(json.dumps(config), encoding="utf-8")
    assert started.run(lambda: None) == [] and started.slept == [3, 3]


def test_an_error_of_the_queue_of_deploys_does_not_end_it(started, caplog):
    def look():
        raise CommandExecutionError("the table is locked")

    started.engine.__salt__["site_deploy.unfinished"] = look
    assert started.run(lambda: None) == []
    assert "deploys wait: the table is locked" in caplog.text


@pytest.mark.parametrize("error", [CommandExecutionError("no app"), KeyError("x"), OSError("y")])
def test_an_error_does_not_end_it(started, queue, config, error, caplog):
    started.path.write_text(json.dumps(config), encoding="utf-8")
    queue.add(PUSH, 1.0)

    def request(app, kind, who):
        started.engine.__salt__["site_deploy.request"] = started.request
        raise error

    started.engine.__salt__["site_deploy.request"] = request
    assert started.run(lambda: None) == [(ACCEPTED, APP), (WANTED, APP)]
    assert "pushes wait" in caplog.text and started.slept == [30, 3, 3]


def test_it_reminds_of_what_is_unfinished(started):
    def later(seconds):
        started.clock += seconds

    started.unfinished = [APP, "other"]
    pause = started.engine.REMIND_SECONDS
    both = [(WANTED, APP), (WANTED, "other")]
    # At once, and then only after a while.
    assert started.run() == both and started.asked == [1000.0]
    started.bus.events.clear()
    started.asked.clear()
    assert started.run(lambda: later(pause - 1)) == both
    assert started.asked == [1000.0]
    started.bus.events.clear()
    assert started.run(lambda: later(pause - 1), lambda: later(1)) == both * 2


def test_just_after_the_machine_has_started_it_reminds_too(started):
    started.clock, started.unfinished = 0.5, [APP]
    assert started.run() == [(WANTED, APP)]
