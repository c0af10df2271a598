"""The database: one cluster, one writer at a time, and no more rights than needed."""

import pytest

from tests.support import database
from tests.support.waiting import wait_for

STATS = """
import socket
with socket.socket(socket.AF_UNIX) as line:
    line.connect("/run/haproxy/admin.sock")
    line.sendall(b"show stat\\n")
    print("".join(iter(lambda: line.recv(65536).decode(), "")))
"""


@pytest.fixture(scope="module")
def nodes(fleet):
    return fleet.with_role("db")


@pytest.fixture(scope="module")
def app(fleet):
    """The name of one app host."""
    return fleet.with_role("app")[0].name


# -- the cluster ---------------------------------------------------------------


def test_all_nodes_are_in_one_cluster(nodes):
    assert len(nodes) >= 3
    assert database.whole(nodes)
    assert len({database.status(node, "wsrep_cluster_state_uuid") for node in nodes}) == 1


@pytest.mark.role("db")
def test_nodes_speak_tls_with_each_other(host):
    options = database.as_root(host, "SELECT @@wsrep_provider_options")
    assert "socket.ssl = YES" in options
    assert "listen_addr = ssl://" in options


@pytest.mark.role("db")
def test_a_node_is_small_and_its_agent_is_nobody(host):
    # Its own memory. What it has mapped of the ring of last writes (gcache) fills with
    # every write, and is the kernel's to drop.
    own = host.check_output("awk '/^RssAnon/ {print $2}' /proc/$(pidof mariadbd)/status")
    assert int(own) < 220 * 1024
    agent = host.process.get(user="galera-health")
    assert "galera-health" in agent.args
    grants = database.as_root(host, "SHOW GRANTS FOR 'galera-health'@'localhost'")
    assert grants.startswith("GRANT USAGE ON *.*")
    assert len(grants.splitlines()) == 1


# -- one writer ----------------------------------------------------------------


def _servers(fleet, name):
    """{server: status} of the broker on a host."""
    done = fleet.shell(name, f"python3 -c '{STATS}'")
    rows = [line.split(",") for line in done.stdout.splitlines()]
    status = rows[0].index("status")
    return {row[1]: row[status] for row in rows if row[0] == "mariadb" and row[1].startswith("db")}


@pytest.mark.role("app")
def test_every_app_host_writes_to_the_same_node(host, fleet, secrets, nodes):
    wait_for(lambda: set(_servers(fleet, host.name).values()) == {"UP"}, 20, "every server is up")
    hosts = {
        database.ask(fleet, host.name, "SELECT @@hostname", password=secrets["mariadb-wiki"])[
            "said"
        ][0][0][0]
        for _ in range(5)
    }
    assert hosts == {nodes[0].id}


@pytest.mark.role("app")
def test_the_broker_is_on_localhost_only(host):
    assert host.socket("tcp://127.0.0.1:3306").is_listening
    assert not host.socket("tcp://0.0.0.0:3306").is_listening


# -- both ways -----------------------------------------------------------------


def test_the_wiki_connects_with_tls_and_does_its_work(fleet, app, secrets):
    answer = database.ask(
        fleet,
        app,
        "SHOW SESSION STATUS LIKE 'Ssl_version'",
        "CREATE TEMPORARY TABLE wiki.of_a_test (n INT)",
        "SELECT COUNT(*) > 0 FROM information_schema.tables WHERE table_schema = 'wiki'",
        password=secrets["mariadb-wiki"],
    )["said"]
    assert answer[0][0][1] in ("TLSv1.2", "TLSv1.3")
    assert answer[1:] == [[], [["1"]]]


@pytest.mark.parametrize("user", ["wiki", "wiki_admin"])
def test_without_tls_nobody_gets_in(fleet, app, secrets, user):
    password = secrets["mariadb-" + user.replace("_", "-")]
    assert "said" in database.ask(fleet, app, "SELECT 1", user=user, password=password)
    answer = database.ask(fleet, app, "SELECT 1", user=user, password=password, tls=False)
    assert "1045" in answer["refused"]


@pytest.mark.parametrize("user", ["wiki", "wiki_admin", "root", "mysql", "galera-health"])
def test_with_another_password_nobody_gets_in(fleet, app, user):
    for password in ("", "sandbox-only-but-not-this-one"):
        answer = database.ask(fleet, app, "SELECT 1", user=user, password=password)
        assert "Access denied" in answer["refused"]


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE wiki.page",
        "ALTER TABLE wiki.page ADD COLUMN of_a_test INT",
        "CREATE TABLE wiki.of_a_test (n INT)",
        "SELECT * FROM mysql.user",
        "SELECT * FROM mysql.global_priv",
        "CREATE DATABASE of_a_test",
        "SET GLOBAL wsrep_on = OFF",
        "SELECT 1 INTO OUTFILE '/tmp/of_a_test'",
    ],
)
def test_the_wiki_may_not(fleet, app, secrets, statement):
    (answer,) = database.ask(fleet, app, statement, password=secrets["mariadb-wiki"])["said"]
    assert "denied" in answer


@pytest.mark.parametrize("statement", ["SELECT * FROM mysql.user", "CREATE DATABASE of_a_test"])
def test_the_wikis_installer_may_not(fleet, app, secrets, statement):
    (answer,) = database.ask(
        fleet, app, statement, user="wiki_admin", password=secrets["mariadb-wiki-admin"]
    )["said"]
    assert "denied" in answer


# -- accounts from pillar --------------------------------------------------------


@pytest.mark.slow
def test_what_was_granted_by_hand_goes_and_absent_users_too(fleet, nodes):
    node = nodes[-1]
    database.as_root(node, "GRANT DROP ON wiki.* TO 'wiki'@'%'")
    database.as_root(node, "CREATE USER 'former'@'%' IDENTIFIED BY 'sandbox-only-former-user'")
    pillar = '{"mariadb": {"users": {"former": {"state": "absent"}}}}'
    done = fleet.shell(
        node.name,
        f"salt-call --retcode-passthrough state.apply mariadb pillar='{pillar}'",
        seconds=180,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "revoked on wiki.*: DROP" in done.stdout
    assert "IDENTIFIED" not in done.stdout
    for each in nodes:
        assert "DROP" not in database.as_root(each, "SHOW GRANTS FOR 'wiki'@'%'")
        found = database.as_root(each, "SELECT COUNT(*) FROM mysql.user WHERE user = 'former'")
        assert found == "0"


def test_passwords_are_nowhere_on_a_database_host(fleet, nodes, secrets):
    # By standard input: sudo logs every command line.
    values = "\n".join(secrets[name] for name in ("mariadb-wiki", "mariadb-wiki-admin"))
    for node in nodes:
        done = fleet.shell(
            node.name, "grep -rlF -f - /etc/mysql /etc/systemd /usr/local /var/log", stdin=values
        )
        assert (done.returncode, done.stdout) == (1, "")


# -- a node that hangs: last, as the broker moves about for a while afterwards ------


@pytest.mark.role("db")
def test_the_agent_says_no_while_the_daemon_hangs(host, fleet, nodes, app):
    """Asked from an app host, as the broker asks."""

    def said():
        ask = (
            "import http.client; line = http.client.HTTPConnection"
            f'("{fleet.address(host.name)}", 9200, timeout=3); '
            'line.request("GET", "/"); print(line.getresponse().status)'
        )
        return fleet.shell(app, f"python3 -c '{ask}'").stdout.strip()

    assert said() == "200"
    process = host.check_output("systemctl show --value --property=MainPID mariadb")
    host.run_expect([0], f"kill -STOP {process}")
    try:
        wait_for(lambda: said() == "503", 20, "the agent says that the daemon hangs")
        # Else it would be given up only after it goes on, and after this test.
        other = next(node for node in nodes if node.id != host.id)
        wait_for(
            lambda: database.status(other, "wsrep_cluster_size") == str(len(nodes) - 1),
            30,
            "the others have given it up",
        )
    finally:
        host.run_expect([0], f"kill -CONT {process}")
    database.wait_until_whole(nodes)
    wait_for(lambda: said() == "200", 20, "the agent says that the node is synced")
