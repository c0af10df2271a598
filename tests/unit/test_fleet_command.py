"""The command ./fleet: what can be known of it without a sandbox."""

import ipaddress
import itertools
import subprocess
from types import SimpleNamespace

import pytest
from rich.console import Console

from tools import cli, inventory, ladder, machine, progress, remote, sandbox, tree, up
from tools.errors import FleetError


def write_level(tmp_path, text, level="demo"):
    for folder in ("inventory", "pillar/level"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / "pillar/registry.yaml").write_text(
        (inventory.TREE / "pillar/registry.yaml").read_text("utf-8")
    )
    (tmp_path / "pillar/level/demo.sls").write_text("{}\n")
    (tmp_path / f"inventory/{level}.yaml").write_text(text)
    return tmp_path


def test_inventory_gives_ids_master_first(tmp_path):
    tree_ = write_level(
        tmp_path, "level: demo\nnetwork: 10.9.0.0/24\nhosts: {db2: , db10: , db1: , salt: }\n"
    )
    found = inventory.load("demo", tree_)
    assert [host.name for host in found.hosts] == ["salt", "db1", "db2", "db10"]
    assert found.master.id == "salt.demo.wpd.internal"
    assert found.network == ipaddress.ip_network("10.9.0.0/24")
    assert found.find("db1") is found.find("db1.demo.wpd.internal")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("level: demo\nhosts: {salt: , nosuch1: }\n", "no such role 'nosuch1'"),
        ("level: demo\nhosts: {db1: }\n", "exactly one host with the role salt"),
        (
            "level: demo\nhosts: {salt: , source1: , source2: }\n",
            "2 hosts have the role source, of which a level has at most 1",
        ),
        ("level: other\nhosts: {salt: }\n", "level: demo"),
        ("level: demo\nhost: {salt: }\n", "level and hosts"),
        ("level: demo\nhosts: {salt: }\nnets: 1\n", "unknown key nets"),
        ("level: demo\nhosts: {salt: }\nnetwork: 10.1\n", "network"),
        ("level: [\n", "not YAML"),
    ],
)
def test_a_wrong_inventory_is_refused_by_name(tmp_path, text, word):
    with pytest.raises(FleetError) as caught:
        inventory.load("demo", write_level(tmp_path, text))
    assert "inventory/demo.yaml" in str(caught.value)
    assert word in f"{caught.value} {caught.value.remedy}"
    assert caught.value.remedy


def test_an_unknown_level_names_the_known_ones():
    with pytest.raises(FleetError) as caught:
        inventory.load("qa")
    assert "production" in caught.value.remedy


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["up", "--level", "demo"], ["--level", "demo", "up"]),
        (["down", "--purge", "--level=demo"], ["--level=demo", "down", "--purge"]),
        (["--level", "demo", "up"], ["--level", "demo", "up"]),
        (["test", "fleet", "--level", "demo", "--", "-k", "x"],
         ["--level", "demo", "test", "fleet", "--", "-k", "x"]),
        (["test", "unit", "--", "--level", "x"], ["test", "unit", "--", "--level", "x"]),
        (["exec", "--level", "demo", "db1", "a"], ["--level", "demo", "exec", "db1", "a"]),
        (["exec", "db1", "a", "--level", "3"], ["exec", "db1", "a", "--level", "3"]),
        (["exec", "db1", "--", "a", "--level", "3"], ["exec", "db1", "--", "a", "--level", "3"]),
        (["up", "--level"], ["up", "--level"]),
        ([], []),
    ],
)  # fmt: skip
def test_the_level_may_stand_behind_the_command(words, wanted):
    assert cli.level_first(words) == wanted


def test_a_sandbox_is_known_by_its_network(tmp_path):
    write_level(tmp_path, "level: demo\nnetwork: 10.9.0.0/24\nhosts: {salt: }\n")
    write_level(tmp_path, "level: staging\nhosts: {salt: }\n", "staging")
    assert inventory.is_sandbox("demo", tmp_path)
    assert not inventory.is_sandbox("staging", tmp_path)
    assert not inventory.is_sandbox("nosuch", tmp_path)


def test_sandboxes_of_one_machine_share_nothing():
    names = [level for level in inventory.levels() if inventory.is_sandbox(level)]
    known = {level: sandbox.Sandbox(inventory.load(level)) for level in names}
    for one, other in itertools.combinations(known.values(), 2):
        assert not one.inventory.network.overlaps(other.inventory.network)
        assert one.network != other.network
        assert one.state != other.state and one.authority != other.authority
        ids = [{host.id for host in each.inventory.hosts} for each in (one, other)]
        assert not ids[0] & ids[1]


class Podman:
    """Containers as podman tells of them, without one."""

    def __init__(self, states, with_authority=(), alive=None):
        self.states, self.with_authority, self.removed = states, with_authority, []
        self.living = set(states if alive is None else alive)

    def json(self, *_):
        return [
            {"Names": [id_], "Id": id_, "State": state, "Labels": {}, "Image": "image"}
            for id_, state in self.states.items()
        ]

    def alive(self):
        return self.living

    def run(self, command, *rest, **_):
        if command == "rm":
            if rest[-1] in self.living:
                raise FleetError("killed here", "run again")
            self.removed.append(rest[-1])
        known = command != "cp" or rest[0].partition(":")[0] in self.with_authority
        return subprocess.CompletedProcess([], 0 if known else 1)


@pytest.fixture
def demo(monkeypatch, tmp_path):
    """Makes a sandbox of the level demo whose containers are told: ``demo(states, …)``."""
    monkeypatch.setattr(machine, "STATE", tmp_path)

    def make(states, **more):
        made = sandbox.Sandbox(inventory.load("demo"))
        made.podman = Podman({f"{name}.demo.wpd.internal": how for name, how in states.items()})
        for what, names in more.items():
            setattr(made.podman, what, {f"{name}.demo.wpd.internal" for name in names})
        return made

    return make


def test_a_host_whose_process_has_gone_does_not_run(demo):
    found = demo({"db1": "running", "db2": "running"}, living=["db1"])
    assert found.running("db1.demo.wpd.internal")
    assert not found.running("db2.demo.wpd.internal")


@pytest.mark.parametrize("master", [{}, {"salt": "created"}])
def test_hosts_without_their_master_are_no_level(demo, master):
    found = demo({"db1": "running", "db2": "exited"} | master, with_authority=["db2"])
    with pytest.raises(FleetError) as caught:
        found.refuse_orphans()
    assert "db2" in str(caught.value) and "db1" not in str(caught.value)
    assert "--purge" in caught.value.remedy


@pytest.mark.parametrize(
    ("states", "joined"),
    [
        ({"salt": "exited", "db1": "running"}, ["salt", "db1"]),
        # The first run was killed: no host had joined.
        ({"db1": "running"}, []),
        ({}, []),
    ],
)
def test_a_level_with_its_master_or_without_a_past_goes_on(demo, states, joined):
    demo(states, with_authority=joined).refuse_orphans()


def test_a_purge_that_was_interrupted_is_known_and_ended(demo, monkeypatch):
    found = demo({"salt": "exited", "db1": "running"}, living=["db1"])
    assert not found.half_purged
    with pytest.raises(FleetError):
        found.purge()
    assert found.half_purged
    found.podman.living = set()
    monkeypatch.setattr(sandbox, "write_machine_hosts", lambda *_: False)
    found.purge()
    assert not found.half_purged


def test_what_a_deleted_inventory_left_can_be_removed(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "STATE", tmp_path)
    monkeypatch.setattr(sandbox.Sandbox, "containers", lambda self: {})
    monkeypatch.setitem(cli.CHOSEN, "level", "gone")
    with pytest.raises(FleetError, match="no such level"):
        cli._inventory_or_rest()
    (tmp_path / "gone").mkdir()
    assert cli._inventory_or_rest().hosts == ()
    # A word that is no level is no path either.
    monkeypatch.setitem(cli.CHOSEN, "level", "../gone")
    with pytest.raises(FleetError):
        cli._inventory_or_rest()


def test_the_release_has_real_files_and_no_git():
    import io
    import tarfile

    content, release = tree.pack()
    names = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        names = {member.name: member for member in archive}
    assert "salt/_modules/site_hosts.py" in names
    assert all(member.isreg() for member in names.values())
    assert not [name for name in names if name.startswith((".git", "tests", "tools"))]
    assert tree.pack()[1] == release


def test_hosts_block_comes_and_goes_without_a_trace(tmp_path):
    path = tmp_path / "hosts"
    path.write_text("127.0.0.1 localhost\n")
    assert sandbox.write_machine_hosts("demo", ["10.9.0.4 docs.demo.test"], path)
    assert "10.9.0.4 docs.demo.test" in path.read_text()
    assert not sandbox.write_machine_hosts("demo", ["10.9.0.4 docs.demo.test"], path)
    assert sandbox.write_machine_hosts("demo", ["10.9.0.5 docs.demo.test"], path)
    assert "10.9.0.4" not in path.read_text()
    assert sandbox.write_machine_hosts("demo", [], path)
    assert path.read_text() == "127.0.0.1 localhost\n"


def test_without_root_it_says_so(monkeypatch):
    monkeypatch.setattr(machine.os, "geteuid", lambda: 1000)
    with pytest.raises(FleetError, match="root") as caught:
        machine.require_root()
    assert "sudo" in caught.value.remedy


def test_a_full_disk_is_said_before_anything_is_made(tmp_path):
    with pytest.raises(FleetError, match="GiB free") as caught:
        machine.check_room(tmp_path, gib=10**6)
    assert "--purge" in caught.value.remedy


def test_steps_and_pytest_arguments_are_told_apart():
    assert ladder.split(["render", "unit", "--", "-k", "x"]) == (["unit", "render"], ["-k", "x"])
    assert ladder.split([]) == (list(ladder.STEPS), [])
    with pytest.raises(FleetError) as caught:
        ladder.split(["units"])
    assert "unit" in caught.value.remedy


def test_failures_name_host_state_comment_and_remedy():
    steps = [
        {
            "id": "the keystores are as their names say",
            "result": False,
            "comment": "Run failed on minions: memcache-cache1",
            "seconds": 1.0,
            "changes": {
                "ret": {
                    "memcache-cache1.sandbox.wpd.internal": {
                        "a": {"__id__": "memcached-config", "result": False, "comment": "no room"},
                        "b": {
                            "__id__": "memcached-service",
                            "result": False,
                            "comment": "One or more requisite failed: memcached-config",
                        },
                        "c": {"__id__": "memcached-packages", "result": True, "comment": ""},
                    },
                    "memcache-cache2.sandbox.wpd.internal": ["Rendering SLS failed: 0 hosts"],
                }
            },
        },
        {
            "id": "the apps are as their names say",
            "result": False,
            "changes": {},
            "seconds": 0,
            "comment": "One or more requisite failed: …",
        },
        {
            "id": "every accepted host answers",
            "result": False,
            "changes": {},
            "seconds": 0,
            "comment": "no answer from db3",
        },
        {"id": "fine", "result": True, "changes": {}, "seconds": 0, "comment": ""},
    ]
    found = up.failures_of(steps)
    assert [(item["host"].split(".")[0], item["state"]) for item in found] == [
        ("memcache-cache1", "memcached-config"),
        ("memcache-cache2", "the keystores are as their names say"),
        ("salt", "every accepted host answers"),
    ]
    assert all(item["remedy"] for item in found)
    assert found[0]["comment"] == "no room"


def test_limits_are_never_higher_than_the_machines(monkeypatch):
    monkeypatch.setattr(machine.resource, "getrlimit", lambda kind: (100, 200))
    assert machine.limits() == ["--ulimit", "nofile=200:200", "--ulimit", "nproc=200:200"]
    monkeypatch.setattr(machine.resource, "getrlimit", lambda kind: (-1, -1))
    assert machine.limits() == ["--ulimit", "nofile=65536:65536", "--ulimit", "nproc=4096:4096"]


def test_what_is_made_already_asks_for_no_room(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "MEMORY_GIB", 10**6)
    with pytest.raises(FleetError, match="GiB of memory"):
        machine.check_memory(1 / 12)
    machine.check_memory(0)
    machine.check_room(tmp_path, gib=10**6, share=0)


def test_a_target_of_apply_is_known_before_anything_waits():
    level = inventory.load("sandbox")
    assert {host.roles[0] for host in up.chosen(level, "memcache")} == {"memcache"}
    assert [host.name for host in up.chosen(level, "db1")] == ["db1"]
    assert up.chosen(level, "") == level.hosts
    with pytest.raises(FleetError, match="no host 'nope'"):
        up.chosen(level, "nope")


def test_a_level_that_is_not_here_is_said_with_the_way_to_raise_it(monkeypatch):
    level = inventory.load("staging")
    here = SimpleNamespace(inventory=level, level="staging", containers=dict)
    monkeypatch.setattr(cli, "_sandbox", lambda: here)
    with pytest.raises(FleetError, match="no host of level staging") as caught:
        cli.status(as_json=False)
    assert "no network" in caught.value.remedy


def test_adopting_needs_a_configuration_that_is_there(tmp_path):
    with pytest.raises(FleetError, match="does not exist") as caught:
        remote.Machines(inventory.load("sandbox"), tmp_path / "none")
    assert caught.value.remedy


@pytest.mark.parametrize(
    "error",
    [
        FleetError("the master said [/wrong] and [bold]", "see [salt]"),
        OSError(28, "No space left on device"),
        FileNotFoundError(2, "No such file or directory", "git"),
    ],
)
def test_every_error_is_a_sentence_and_a_remedy(monkeypatch, capsys, error):
    def fails(*_words, **_more):
        raise error

    monkeypatch.setattr(cli, "app", fails)
    monkeypatch.setattr(cli, "err", Console(stderr=True, highlight=False))
    with pytest.raises(SystemExit) as caught:
        cli.main()
    cli.HELD.close()
    said = capsys.readouterr().err
    assert caught.value.code == 2
    assert str(error) in said
    assert "remedy: " in said
    assert "Traceback" not in said


def test_a_log_holds_no_markup(capsys):
    shown = progress.Progress("a test")
    shown.step("db1", "highstate")
    shown.done("db1", "[red]no answer[/red]")
    said = capsys.readouterr().err
    assert "no answer" in said
    assert "[red]" not in said


def test_purge_removes_environments_but_those_in_use(monkeypatch, tmp_path):
    cache = tmp_path / "cache"
    for name in ("venv-1", "test-venv-2"):
        (cache / name / "bin").mkdir(parents=True)
    (cache / "report-unit.xml").touch()
    monkeypatch.setattr(machine, "CACHE", cache)
    monkeypatch.setattr(machine, "STATE", tmp_path / "state")
    with machine.hold(cache / "test-venv-2"):
        up.remove_caches()
        assert [path.name for path in cache.iterdir()] == ["test-venv-2"]
    up.remove_caches()
    assert not cache.exists()


def test_a_lock_that_was_removed_meanwhile_is_no_lock(tmp_path):
    path = tmp_path / "lock"
    with path.open("w") as file:
        assert sandbox._same(path, file)
        path.unlink()
        assert not sandbox._same(path, file)
        path.touch()
        assert not sandbox._same(path, file)


def test_watches_are_raised_once_and_said(tmp_path):
    setting = tmp_path / "max_user_instances"
    setting.write_text("128\n", "ascii")
    said = []
    machine.allow_watches(said.append, setting)
    machine.allow_watches(said.append, setting)
    assert setting.read_text("ascii") == f"{machine.INOTIFY_INSTANCES}\n"
    assert len(said) == 1


def test_watches_that_cannot_be_raised_end_with_the_remedy(monkeypatch, tmp_path):
    setting = tmp_path / "max_user_instances"
    setting.write_text("128\n", "ascii")

    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(type(setting), "write_text", refuse)
    with pytest.raises(FleetError, match="cannot be raised"):
        machine.allow_watches(print, setting)
