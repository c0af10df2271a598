"""The drills' command, their journal of faults, and their verbs, without any host."""

import json
import shlex
import signal
import subprocess
import sys
import time
from types import SimpleNamespace
from unittest import mock

import pytest

from tests.support import database
from tests.support import drill as verbs
from tests.support.waiting import wait_for
from tests.unit.conftest import load_module
from tools import cli, drills, ladder, up
from tools.errors import FleetError
from tools.faults import HOST, Faults

DB1, DB2 = (
    SimpleNamespace(name=f"db{n}", id=f"db{n}.demo.wpd.internal", roles=("db",)) for n in (1, 2)
)
TEXT = "A title.\n\nA\nstory.\n\nNoticed: so.\n\nMore of it.\n\nHeals: itself.\n\nDo: nothing."


class Podman:
    """Keeps what is run inside hosts; what contains a word that fails, fails."""

    def __init__(self, fails=""):
        self.ran, self.fails = [], fails

    def inside(self, host_id, *words, **_):
        self.ran.append((host_id, words[-1]))
        if self.fails and self.fails in words[-1]:
            raise FleetError("it fails", "see there")


@pytest.fixture
def sandbox(tmp_path):
    """A sandbox of two hosts that run."""
    there = {host.id: {"running": True, "address": "192.0.2.1"} for host in (DB1, DB2)}
    there[DB2.id]["address"] = "192.0.2.2"
    started, killed = [], []
    return SimpleNamespace(
        state=tmp_path,
        podman=Podman(),
        there=there,
        started=started,
        killed=killed,
        containers=lambda: there,
        running=lambda id_: there[id_]["running"],
        start=lambda *names: started.append(names),
        kill=lambda *names: killed.append(names),
    )


@pytest.fixture
def made(sandbox):
    """A drill on it, without clients; its story is ``made.story``."""
    story = []
    fleet = SimpleNamespace(members=[DB1, DB2], hang_up=lambda name: None)
    drill = verbs.Drill("db-dies", fleet, sandbox, None, story.append)
    drill.story = story
    return drill


# -- the list, and the pages ----------------------------------------------------


def test_every_drill_has_a_name_a_title_and_what_a_page_needs():
    found = drills.known()
    assert len({drill.name for drill in found}) == len(found) > 10
    for drill in found:
        assert drill.title and drill.parts()
        assert drills.name_of(drill.function) == drill.name
    names = {drill.name: drill for drill in found}
    assert names["db-writer-dies"].quick and not names["two-databases-die"].quick


def test_a_docstring_is_told_apart():
    drill = drills.Drill("x", "tests/drills/x.py", "test_x", True, TEXT)
    story, parts = drill.parts()
    assert (drill.title, story) == ("A title", "A story.")
    assert parts == {"Noticed": "So.\n\nMore of it.", "Heals": "Itself.", "Do": "Nothing."}
    assert "## What heals it\n\nItself.\n" in drills.page(drill)


@pytest.mark.parametrize("word", ["Noticed", "Heals", "Do"])
def test_a_docstring_without_a_part_is_refused(word):
    drill = drills.Drill("x", "x.py", "test_x", True, TEXT.replace(f"{word}: ", ""))
    with pytest.raises(FleetError, match=f"lacks {word}"):
        drill.parts()


def test_a_test_without_the_fixture_is_no_drill(tmp_path):
    (tmp_path / "test_x.py").write_text(
        "def test_a(fleet): pass\ndef helper(drill): pass\n"
        "@pytest.mark.long\ndef test_the_b(drill):\n    'B.'\n"
    )
    assert [(one.name, one.quick, one.text) for one in drills.known(tmp_path)] == [
        ("the-b", False, "B.")
    ]


def test_an_unknown_drill_is_told_with_the_known_ones():
    assert drills.find("keystore-dies[redis-cache]").name == "keystore-dies"
    with pytest.raises(FleetError, match="no drill 'nope'") as caught:
        drills.find("nope")
    assert "db-writer-dies" in caught.value.remedy


# -- the command ------------------------------------------------------------------


def test_a_drill_and_all_are_not_asked_for_at_once():
    with pytest.raises(FleetError, match="--all"):
        cli.drill("db-writer-dies", every=True, as_json=False)


def test_without_a_name_the_drills_are_listed(capsys):
    cli.drill("", every=False, as_json=True)
    known = json.loads(capsys.readouterr().out)["known"]
    assert {"name", "title", "quick"} == set(known[0])
    cli.drill("", every=False, as_json=False)
    assert "db-writer-dies" in capsys.readouterr().out


@pytest.mark.parametrize("passed", [True, False])
def test_what_each_drill_came_to_is_one_json(monkeypatch, capfd, passed):
    asked = []

    def run_tests(level, steps, extra, paths):
        import os
        from pathlib import Path

        asked.append((level, steps, extra, paths))
        # What other programs print is no part of it.
        subprocess.run(["echo", "a story"], check=True)
        folder = Path(os.environ[drills.RECORDS])
        record = dict.fromkeys(drills.KEYS, 1) | {"name": "a", "passed": passed, "more": 2}
        (folder / "a.json").write_text(json.dumps(record))
        (folder / "b.json").write_text(json.dumps({"name": "b", "passed": None}))
        return 0 if passed else 1

    monkeypatch.setattr(ladder, "run_tests", run_tests)
    monkeypatch.setattr(cli.machine, "require_root", lambda: None)
    monkeypatch.setitem(cli.CHOSEN, "level", "demo")
    try:
        cli.drill("all-databases-die[forgotten]", every=False, as_json=True)
    except cli.typer.Exit as ended:
        assert ended.exit_code == 1 and not passed
    else:
        assert passed
    said = capfd.readouterr()
    wanted = dict.fromkeys(drills.KEYS, 1) | {"name": "a", "passed": passed}
    assert json.loads(said.out) == {"drills": [wanted], "skipped": ["b"]}
    assert "a story" in said.err
    path = "tests/drills/test_database.py::test_all_databases_die[forgotten]"
    assert asked == [("demo", ["drills"], ["-m", ""], [path])]


def test_who_waits_for_interrupted_tests_ends_after_them(tmp_path, capsys):
    program = "import signal, sys; sys.stdin.read(); open(sys.argv[1], 'w').close()"
    heals = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "healed")], stdin=subprocess.PIPE
    )

    def interrupted(*_):
        signal.signal(signal.SIGALRM, lambda *_: heals.stdin.close())
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupted)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            ladder._wait(heals)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert (tmp_path / "healed").exists()
    assert "put right" in capsys.readouterr().err


def test_the_table_of_a_bench_has_the_median_and_the_worst():
    bench = load_module("bench/drills.py")
    row = dict.fromkeys(drills.KEYS, None) | {"name": "a", "passed": True, "lost": 0}
    rounds = [[row | {"detect_s": at}] for at in (1.5, 2, 9)]
    rounds[2][0]["passed"] = False
    assert bench.table(rounds)[2:] == ["| a | 2 of 3 | 2 (9) | - | - | 0 |"]


# -- the journal ----------------------------------------------------------------


def test_the_last_fault_is_healed_first_and_then_forgotten(sandbox):
    faults, said = Faults(sandbox), []
    faults.heal(said.append)
    faults.begin(DB1.id, "one", [[HOST, "a"], [HOST, "b"]])
    Faults(sandbox).begin(DB2.id, "two", [[HOST, "c"]])
    faults.heal(said.append)
    assert sandbox.podman.ran == [(DB2.id, "c"), (DB1.id, "a"), (DB1.id, "b")]
    assert said == ["healed db2: two", "healed db1: one"]
    assert faults.known() == [] and not faults.path.exists()


def test_what_cannot_be_healed_stays_and_the_rest_is_healed(sandbox):
    faults = Faults(sandbox)
    sandbox.podman.fails = "never"
    for number, script in enumerate(["a", "never", "b"]):
        faults.begin(DB1.id, str(number), [[HOST, script]])
    with pytest.raises(FleetError, match="not healed") as caught:
        faults.heal(lambda _: None)
    assert "restart" in caught.value.remedy
    assert [fault["what"] for fault in faults.known()] == ["1"]
    # `up` goes on: it asks for everybody's health in the end.
    said = []
    up.heal(sandbox, [], said.append)
    assert "not healed" in said[0] and faults.known()
    up.heal(sandbox, ["db1"], said.append)
    assert faults.known() == []


def test_a_host_that_does_not_run_has_lost_its_faults(sandbox):
    faults = Faults(sandbox)
    faults.begin(DB1.id, "one", [[HOST, "a"]])
    sandbox.there[DB1.id]["running"] = False
    faults.heal(lambda _: None)
    assert faults.known() == sandbox.podman.ran == []


# -- the verbs ------------------------------------------------------------------


def undone(drill):
    return [script for fault in drill.faults.known() for _, script in fault["undo"]]


def test_each_fault_is_written_down_before_it_is_made(made, sandbox):
    sandbox.podman.fails = " "
    for fault in (
        lambda: made.cut(DB1, DB2),
        lambda: made.slow(DB1, 64),
        lambda: made.stop(DB1, "mariadb"),
        lambda: made.fill_disk(DB1, "/var/lib/x", "mariadb"),
    ):
        before = len(made.faults.known())
        with pytest.raises(FleetError):
            fault()
        assert len(made.faults.known()) == before + 1
    sandbox.podman.fails = ""
    found = " ".join(undone(made))
    for word in ("nft destroy table", "tc qdisc del", "systemctl start mariadb", "umount"):
        assert word in found


def test_a_cut_says_between_whom_and_leaves_the_rest(made, sandbox):
    made.cut(DB1, DB2)
    made.cut(DB1, port=53)
    (_, between), (_, names) = sandbox.podman.ran
    assert "ip daddr { 192.0.2.2 } drop" in between and "ip saddr { 192.0.2.2 } drop" in between
    assert "hook input" not in names and 'oifname != "lo"' in names and "dport 53 drop" in names
    assert undone(made) == [f"nft destroy table inet drill_{n}" for n in (1, 2)]


def test_at_the_end_all_is_healed_and_told(made, sandbox):
    made.begin("a title")
    made.kill(DB1)
    made.cut(DB2, DB1)
    sandbox.there[DB1.id]["running"] = False
    made.detected("seen")
    made.recovered("again", 1, lambda: True)
    made.finish()
    assert sandbox.killed == sandbox.started == [("db1",)]
    assert made.faults.known() == []
    record = made.record(True)
    assert tuple(record) == drills.KEYS
    assert (record["requests_failed"], record["lost"]) == (None, None)
    story = "\n".join(made.story)
    for word in ("a title", "db1 dies", "detected: seen", "recovered: again", "db1 is started"):
        assert word in story


def load(made, reads, writes):
    now = time.monotonic()
    made.readers = SimpleNamespace(
        answers=[("/", status, None, "") for status in reads],
        failed=lambda: [status for status in reads if status != 200],
    )
    made.writer = SimpleNamespace(
        told=[(now, number, error) for number, error in enumerate(writes)],
        failures=lambda: [error for error in writes if error],
    )


GOOD = ([200] * verbs.READS, [None] * verbs.WRITES)


@pytest.mark.parametrize(
    ("reads", "writes", "wanted"),
    [
        (*GOOD, True),
        ([503, *GOOD[0]], ["no", *GOOD[1]], True),
        ([*GOOD[0], 503], GOOD[1], False),
        (GOOD[0], [*GOOD[1], "no"], False),
        (GOOD[0][1:], GOOD[1], False),
        (GOOD[0], [], False),
    ],
)
def test_clients_are_served_when_the_last_answers_were_good(made, reads, writes, wanted):
    load(made, reads, writes)
    assert made.served() is wanted
    assert made.requests_failed == reads.count(503) + writes.count("no")


def test_answers_of_before_the_fault_do_not_count(made):
    load(made, *GOOD)
    made.happens("a fault")
    assert not made.served() and made.refused() == 0
    made.writer.told.append((0, 99, "no"))
    assert made.refused() == 1


def test_clients_that_hang_are_not_served(made):
    load(made, *GOOD)
    made.writer.told = [(at - 5, *more) for at, *more in made.writer.told]
    assert not made.served()


def test_what_is_lost_is_counted_and_told(made):
    made.compare({1, 2}, {1, 2, 3}, {1, 2, 3})
    assert made.lost == 0
    with pytest.raises(AssertionError, match="lost"):
        made.compare({1, 2}, {1})
    assert made.lost == 1
    with pytest.raises(AssertionError):
        made.compare({1}, {1, 2}, {1})


# -- the clients ------------------------------------------------------------------

PYMYSQL = """
class Error(Exception):
    pass
class Line:
    rows = 0
    def cursor(self):
        return self
    def __enter__(self):
        return self
    def __exit__(self, *_):
        pass
    def execute(self, statement, values=()):
        Line.rows += bool(values)
        if Line.rows == 3:
            Line.rows += 1
            raise Error("gone")
        assert values or "hostname" in statement
    def fetchone(self):
        return ("db1",)
def connect(**how):
    assert (how["user"], how["password"]) == ("wiki", "a word")
    return Line()
"""


def test_a_writer_tells_of_each_row_as_it_happens_and_ends_when_told(tmp_path):
    (tmp_path / "pymysql.py").write_text(PYMYSQL)

    def begin(name, command):
        assert name == "app1" and "a word" not in command
        words = [sys.executable, *shlex.split(command)[1:]]
        variables = {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        return subprocess.Popen(words, env=variables, **pipes)

    fleet = SimpleNamespace(begin=begin)
    # The certificate's file is on hosts alone.
    with mock.patch.object(database, "CA", None):
        writer = database.Writer(fleet, "app1", "wiki.x", password="a word")
    with writer:
        wait_for(lambda: len(writer.told) > 5, 10, "rows are told")
    numbers = [number for _, number, _ in writer.told]
    assert numbers == list(range(1, len(numbers) + 1))
    assert writer.failures() == ["gone"] and writer.servers == ["db1", "db1"]
    assert writer.acknowledged() == set(numbers) - {3}
    assert 0 < writer.longest_gap() < 5
