"""The database loses nodes, the network between them, room, and all of its nodes at once."""

import pytest

from tests.support import database
from tests.support.drill import TABLE

RESUME_SECONDS = 15


def has_no_database(drill):
    """A condition: the apps' broker has no database to send anybody to."""
    return drill.left_out(drill.app(), "mariadb", "BACKEND")


def write_at(drill, node):
    """Clients begin to write, and this node takes it."""
    drill.load()
    drill.wait_until(
        f"{node.name} takes the writes", lambda: drill.writer.servers[-1:] == [node.id], 20
    )


def test_db_writer_dies(drill):
    """
    The database host that takes writes dies.

    One of the db hosts takes all writes. It loses its power in the middle of them. The
    others wait some seconds for it, then carry on without it: a cluster of three works
    with two.

    Noticed: writes stand still for about five seconds. haproxy on every app host logs
    `Server mariadb/db1 is DOWN`; `salt 'db*' site_galera.status` has size 2, and no
    answer from one.

    Heals: haproxy sends the apps to the next host. The host that died takes the writes
    that it missed as soon as it starts, and is the one that takes writes again.

    Do: start the host. With one of three gone, the next loss stops all writes: do not
    leave it for the morning. Where it does not start or does not join,
    [db-node-lost](../db-node-lost.md).
    """
    first, *others = drill.hosts("db")
    write_at(drill, first)
    drill.kill(first)
    drill.detected(
        f"the broker has left {first.name} out",
        drill.left_out(drill.app(), "mariadb", first.name),
        RESUME_SECONDS,
    )
    drill.recovered(f"writes go on at {others[0].name}", RESUME_SECONDS)
    assert drill.writer.servers[-1] == others[0].id
    assert drill.writer.longest_gap() < RESUME_SECONDS
    drill.start(first)
    drill.wait_until("every db host is synced", lambda: database.whole([first, *others]), 60)


def test_db_writer_cut_off(drill):
    """
    The database host that takes writes is cut off from the others, and clients reach it.

    The network between this host and the other db hosts is gone. Apps still reach all
    of them, and could be told two truths: one by the host alone, one by the others.

    Noticed: writes stand still for some seconds. haproxy on every app host logs
    `Server mariadb/db1 is DOWN` although the host runs; on it `wsrep_cluster_status` is
    `non-Primary`.

    Heals: the host alone is no majority: it refuses every query, and its health agent
    says so. The others are one, and the apps' writes go there. When the network is back
    it takes what it missed.

    Do: find what is between the db hosts ([port-closed](../port-closed.md)): ports 4567,
    4568 and 4444. Leave the daemon as it is; never found a second cluster on the host
    that is alone.
    """
    first, *others = drill.hosts("db")
    write_at(drill, first)
    drill.cut(first, *others)
    drill.detected(
        f"the broker has left {first.name} out",
        drill.left_out(drill.app(), "mariadb", first.name),
        30,
    )
    drill.recovered(f"writes go on at {others[0].name}", 30)
    assert drill.writer.servers[-1] == others[0].id
    answer = database.ask(
        drill.fleet,
        drill.app(),
        f"INSERT INTO {TABLE} VALUES (1000000, '')",  # noqa: S608 - its own table
        password=drill.fleet.secrets()["mariadb-wiki"],
        address=first.id,
    )
    assert "1047" in str(answer), f"who is alone takes a write: {answer}"
    drill.tell(f"{first.name} refuses a write of a client that still reaches it")
    drill.heal()
    drill.wait_until("every db host is synced", lambda: database.whole([first, *others]), 90)


@pytest.mark.long
def test_db_slow_line(drill):
    """
    A database host sits behind a narrow line.

    A write is acknowledged when every node has it, so one slow node slows all of them.

    Noticed: writes take longer everywhere. `SHOW STATUS LIKE 'wsrep_flow_control%'`
    on the db hosts names who asks the others to wait.

    Heals: nobody is left out for being slow, and nothing is lost. Speed is back with
    the line.

    Do: where it lasts, take the slow host out on purpose
    ([db-node-lost](../db-node-lost.md)): two fast nodes serve people better than three
    of which one is slow.
    """
    *_, last = drill.hosts("db")
    drill.load()
    drill.slow(last, 256)
    drill.recovered("writes go on, slower", 60)
    assert database.whole(drill.hosts("db")), "no node has left"
    drill.heal()


@pytest.mark.long
def test_db_disk_full(drill):
    """
    The disk of the database host that takes writes is full.

    Tables cannot grow any more. The daemon runs, and its cluster is whole.

    Noticed: monit's `filesystem root` alarms long before. Then apps' writes fail with
    `The table … is full` (1114), in the journals of php-fpm and mariadb; pages that only
    read go on.

    Heals: nothing moves the writes elsewhere by itself, for the host is well in all else.
    They go on by themselves once there is room.

    Do: make room: `du -xh / --max-depth=3 | sort -h | tail`, old logs first
    (`journalctl --vacuum-size=200M`). Never delete below `/var/lib/mysql`. If there is
    none to be made at once, `monit unmonitor mariadb; systemctl stop mariadb` on this
    host: the next one takes the writes; look at its disk, too.
    """
    first, *_ = drill.hosts("db")
    filler = drill.fill_disk(first, "/var/lib/mysql", "mariadb", room_mb=64)
    drill.load(bytes_each=20_000)
    drill.fill(first, filler)
    drill.detected("writes are refused", drill.refused, 30)
    drill.make_room(first, filler)
    drill.recovered("writes go on", 60)


@pytest.mark.long
def test_two_databases_die(drill):
    """
    Two of three database hosts die.

    The one that is left cannot know whether the two died, or run without it behind a
    broken network. It does not go on alone.

    Noticed: every page that needs the database fails; haproxy on the app hosts logs
    `backend mariadb has no server available`. On the host that is left
    `wsrep_cluster_status` is `non-Primary`.

    Heals: the three find each other again once the two are started, and go on from the
    last write.

    Do: start the two, then `salt-run state.orchestrate orch.db_recover`. It refuses
    while one does not answer: that host might hold the last write. Where one is gone for
    good, [db-node-lost](../db-node-lost.md), "gone for good".
    """
    first, *others = nodes = drill.hosts("db")
    drill.load()
    drill.kill(*others)
    drill.detected("the broker has no database", has_no_database(drill), 30)
    drill.wait_until(
        f"{first.name} refuses to go on alone",
        lambda: database.status(first, "wsrep_cluster_status") == "non-Primary",
        30,
    )
    done = drill.fleet.shell("salt", database.RECOVER, seconds=300)
    assert done.returncode != 0
    assert f"no answer from {others[0].id}" in done.stdout
    drill.tell("the recovery refuses to guess: two hosts are silent")
    drill.start(*others)
    database.recover(drill.fleet)
    drill.recovered("pages and writes go on", 60)
    assert database.whole(nodes)


@pytest.mark.parametrize(
    "remembered",
    [True, False],
    ids=["remembered", "forgotten"],
)
def test_all_databases_die(drill, remembered):
    """
    All database hosts die at once.

    As by a loss of power, in the middle of writes. Nodes that remember who was there
    find each other again. Where they do not, only a look at all of them tells which one
    holds the last write.

    Noticed: every page that needs the database fails; haproxy on the app hosts logs
    `backend mariadb has no server available`.

    Heals: within a minute by itself, if all of them start and remember each other. Else
    the recovery does: it reads the last write of each, starts the host with the highest
    first, and lets the others join.

    Do: `salt-run state.orchestrate orch.db_recover` on the master; it may be run at any
    time, and changes nothing where all is well. What it refuses, and why:
    [db-recover](../db-recover.md).
    """
    nodes = drill.hosts("db")
    drill.load()
    drill.kill(*nodes)
    drill.detected("the broker has no database", has_no_database(drill), 30)
    if not remembered:
        for node in nodes:
            drill.forget(node, "/var/lib/mysql/gvwstate.dat")
    drill.start(*nodes)
    steps = database.recover(drill.fleet)
    running = steps["the databases run from the last write that any of them holds"]
    if not remembered:
        assert any(
            step.startswith("started first: ") for step in next(iter(running["changes"].values()))
        )
    drill.recovered("pages and writes go on", 60)
    assert drill.writer.failures()


def test_db_node_leaves(drill):
    """
    A database node leaves its cluster for good, and its daemon goes on without it.

    As after a transfer that failed: the daemon says that it must be started again, and
    waits for somebody to do so.

    Noticed: `galera-left` in monit's log of that host; `wsrep_cluster_status` is
    `Disconnected`, the size on the others is one less.

    Heals: monit starts the daemon again within a minute, and the node takes what it
    missed.

    Do: nothing, if it joins. Where it leaves again and again, the others say why:
    `journalctl -u mariadb | grep -i sst`.
    """
    *_, last = nodes = drill.hosts("db")
    drill.load()
    drill.happens(f"{last.name} leaves the cluster, and its daemon runs on")
    database.as_root(last, "SET GLOBAL wsrep_cluster_address = ''")
    drill.detected(
        "it says that it has left",
        lambda: database.status(last, "wsrep_cluster_status") == "Disconnected",
        20,
    )
    drill.recovered("every db host is synced", 120, lambda: database.whole(nodes))


def test_a_recovery_of_a_well_cluster_changes_nothing(fleet):
    nodes = fleet.with_role("db")
    before = [database.status(node, "wsrep_cluster_conf_id") for node in nodes]
    assert not any(step["changes"] for step in database.recover(fleet).values())
    assert [database.status(node, "wsrep_cluster_conf_id") for node in nodes] == before
