"""The master's engine: each accepted push becomes one event, and nothing else does."""

import json
import sqlite3

import pytest

from tests.unit.conftest import load_module
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


@pytest.fixture
def engine():
    return load_module("_engines/site_hook.py", opts={"sock_dir": "/nowhere"})


@pytest.fixture
def queue(tmp_path):
    return load_module("salt/hook/files/hook.py").Queue(str(tmp_path / "pushes.sqlite"))


@pytest.fixture
def config(tmp_path):
    return {"queue": str(tmp_path / "pushes.sqlite"), "repositories": REPOSITORIES}


@pytest.fixture
def told(engine, config):
    """Tell, and return the events."""

    def tell():
        events = []
        number = engine.tell(config, lambda data, tag: events.append((tag, data)), 5.0)
        assert number == len(events)
        return events

    return tell


def test_each_push_is_told_once_in_order(queue, told):
    queue.add(PUSH, 1.0)
    queue.add(PUSH | {"delivery": "2", "digest": "d2", "commit": "b" * 40}, 2.0)
    events = told()
    assert [tag for tag, _ in events] == ["site/push/accepted"] * 2
    assert [data["commit"] for _, data in events] == [COMMIT, "b" * 40]
    assert events[0][1] == {
        "delivery": "1",
        "app": APP,
        "repository": NAME,
        "branch": "main",
        "commit": COMMIT,
        "pusher": "ada",
        "received": 1.0,
    }
    assert told() == []


@pytest.mark.parametrize(
    "change",
    [
        {"repository": "webplatform/elsewhere"},
        {"app": "other"},
        {"branch": "topic"},
        {"commit": "main"},
    ],
)
def test_what_is_not_configured_is_left_out(queue, told, change, caplog):
    queue.add(PUSH | change, 1.0)
    assert told() == []
    assert "left out" in caplog.text
    assert told() == [] and caplog.text.count("left out") == 1


def test_no_table_is_no_push(told, config, tmp_path):
    assert told() == []
    (tmp_path / "elsewhere").write_text("", encoding="utf-8")
    (tmp_path / "pushes.sqlite").symlink_to(tmp_path / "elsewhere")
    assert told() == []


class Stopped(BaseException):
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
        self.events.append((tag, data["commit"]))


def test_it_tells_until_the_master_stops(engine, queue, config, tmp_path, monkeypatch, caplog):
    path = tmp_path / "hook.json"
    looks, bus = [], Bus()

    def sleep(seconds):
        looks.append(seconds)
        if len(looks) == 1:
            path.write_text("no JSON", encoding="utf-8")
        elif len(looks) == 2:
            path.write_text(json.dumps(config), encoding="utf-8")
            queue.add(PUSH, 1.0)
        else:
            raise Stopped

    monkeypatch.setattr(engine.time, "sleep", sleep)
    monkeypatch.setattr(engine.salt.utils.event, "get_event", lambda *words, **how: bus)
    with pytest.raises(Stopped):
        engine.start(str(path), pause=3)
    assert bus.events == [("site/push/accepted", COMMIT)]
    assert looks == [3] * 3 and "pushes wait" in caplog.text
    with sqlite3.connect(config["queue"]) as base:
        assert base.execute("SELECT count(*) FROM pushes WHERE told IS NULL").fetchone() == (0,)
