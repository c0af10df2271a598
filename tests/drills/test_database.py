"""The database loses the node that takes writes, and all of its nodes at once."""

import json
import time

import pytest

from tests.support import database
from tests.support.waiting import wait_for

RESUME_SECONDS = 15
RECOVER = "salt-run --out=json state.orchestrate orch.db_recover"


@pytest.fixture(scope="module")
def secrets(fleet):
    return database.secrets_of(fleet)


@pytest.fixture(scope="module")
def app(fleet):
    """The name of one app host."""
    return fleet.with_role("app")[0].name


@pytest.fixture
def nodes(fleet, sandbox):
    """The database hosts; whatever a drill does, all of them run at its end."""
    hosts = fleet.with_role("db")
    database.wait_until_whole(hosts)
    yield hosts
    there = sandbox.containers()
    sandbox.start(*[host.name for host in hosts if not there[host.id]["running"]])
    for host in hosts:
        host.run_expect([0], "systemctl unmask mariadb")
    recover(fleet)
    database.wait_until_whole(hosts)


@pytest.fixture
def table(nodes):
    """A table of the drill's own."""
    name = f"wiki.drill_{int(time.time())}"
    database.as_root(nodes[0], f"CREATE TABLE {name} (number INT PRIMARY KEY)")
    yield name
    database.wait_until_whole(nodes)
    database.as_root(nodes[0], f"DROP TABLE {name}")


def recover(fleet):
    """Run the recovery; return its steps as ``{sentence: state's result}``."""
    done = fleet.shell("salt", RECOVER, seconds=900)
    assert done.returncode == 0, done.stdout[-3000:]
    (steps,) = json.loads(done.stdout)["data"].values()
    return {step["__id__"]: step for step in steps.values()}


def numbers_on(host, table):
    found = database.as_root(host, f"SELECT number FROM {table}")  # noqa: S608 - its own table
    return {int(line) for line in found.splitlines()}


def wait_until_written(node, table):
    """Wait until the client is well under way."""
    wait_for(lambda: len(numbers_on(node, table)) > 60, 30, "a client writes")


def assert_nothing_is_lost(nodes, table, writer):
    acknowledged = writer.numbers()
    assert len(acknowledged) > 50
    held = [numbers_on(node, table) for node in nodes]
    for found in held:
        assert acknowledged <= found, sorted(acknowledged - found)[:10]
    # One that was not acknowledged may have been written, but then everywhere.
    assert all(found == held[0] for found in held)


def test_the_writer_dies(fleet, sandbox, nodes, table, app, secrets):
    with database.Writer(fleet, app, table, seconds=40, password=secrets["mariadb-wiki"]) as writer:
        wait_until_written(nodes[1], table)
        first = nodes[0].name
        sandbox.kill(first)
    assert writer.result["servers"][0] == nodes[0].id
    assert writer.result["servers"][-1] == nodes[1].id
    assert writer.longest_gap() < RESUME_SECONDS
    sandbox.start(first)
    database.wait_until_whole(nodes)
    assert_nothing_is_lost(nodes, table, writer)


def test_a_node_that_has_left_for_good_is_started_again(nodes, table):
    """As after a transfer that failed: the daemon runs, and waits to be started again."""
    node = nodes[-1]
    database.as_root(node, "SET GLOBAL wsrep_cluster_address = ''")
    wait_for(
        lambda: database.status(node, "wsrep_cluster_status") == "Disconnected", 20, "it has left"
    )
    database.as_root(nodes[0], f"INSERT INTO {table} VALUES (1)")  # noqa: S608 - its own table
    database.wait_until_whole(nodes)
    assert numbers_on(node, table) == {1}


@pytest.mark.parametrize("remembered", [True, False], ids=["remembered", "forgotten"])
def test_all_nodes_die_at_once(fleet, sandbox, nodes, table, app, secrets, remembered):
    """
    Nodes that remember who was there find each other again. Where they do not,
    only a look at all of them tells which one holds the last write.
    """
    names = [node.name for node in nodes]
    with database.Writer(fleet, app, table, seconds=15, password=secrets["mariadb-wiki"]) as writer:
        wait_until_written(nodes[1], table)
        if not remembered:
            # Nobody finds anybody before the look at all of them.
            for node in nodes:
                node.run_expect([0], "systemctl mask mariadb")
        sandbox.kill(*names)
    assert writer.result["failures"]
    sandbox.start(*names)
    if not remembered:
        for node in nodes:
            node.run_expect([0], "rm -f /var/lib/mysql/gvwstate.dat && systemctl unmask mariadb")
    steps = recover(fleet)
    running = steps["the databases run from the last write that any of them holds"]
    if not remembered:
        assert any(
            step.startswith("started first: ") for step in next(iter(running["changes"].values()))
        )
    database.wait_until_whole(nodes)
    assert_nothing_is_lost(nodes, table, writer)


def test_a_recovery_without_all_hosts_is_refused(fleet, sandbox, nodes):
    """The silent host might hold the last write, so nobody is started."""
    sandbox.kill(nodes[-1].name)
    done = fleet.shell("salt", RECOVER, seconds=300)
    assert done.returncode != 0
    assert f"no answer from {nodes[-1].id}" in done.stdout
    assert all(database.status(node, "wsrep_cluster_status") == "Primary" for node in nodes[:-1])


def test_a_recovery_of_a_well_cluster_changes_nothing(fleet, nodes):
    before = [database.status(node, "wsrep_cluster_conf_id") for node in nodes]
    assert not any(step["changes"] for step in recover(fleet).values())
    assert [database.status(node, "wsrep_cluster_conf_id") for node in nodes] == before
