"""Databases and accounts of MariaDB: what is wanted, what is there, what would change."""

import sys

import pytest

PASSWORD = "only-a-test-and-long-enough"
HASH = "*" + "0123456789" * 4
SOCKET = {"authentication": "VIA unix_socket", "tls": False, "privileges": {}}


@pytest.fixture
def mariadb(load):
    return load("_modules/site_mariadb.py")


class Server:
    """Answers statements by how they begin, and keeps what it was asked."""

    def __init__(self, module, monkeypatch):
        self.answers = {}
        self.asked = []
        monkeypatch.setattr(module, "rows", self.rows)

    def rows(self, statement, arguments=None):
        text = statement if arguments is None else statement % tuple(map(repr, arguments))
        self.asked.append(text)
        for begin, answer in self.answers.items():
            if text.startswith(begin):
                return answer
        return []

    def account(self, created, *grants):
        self.answers["SELECT 1 FROM mysql.user"] = [{"1": 1}]
        self.answers["SHOW CREATE USER"] = [{"CREATE USER for x": created}]
        self.answers["SHOW GRANTS"] = [{"Grants for x": line} for line in grants]


@pytest.fixture
def server(mariadb, monkeypatch):
    return Server(mariadb, monkeypatch)


# -- the driver ----------------------------------------------------------------


def test_it_needs_a_driver(load, monkeypatch):
    monkeypatch.setitem(sys.modules, "pymysql", None)
    assert load("_modules/site_mariadb.py").__virtual__()[0] is False


class Driver:
    """PyMySQL, as far as it is used."""

    class Error(Exception):
        pass

    class cursors:  # noqa: N801 - its name there
        DictCursor = "dictionaries"

    def __init__(self):
        self.closed = 0
        self.fails = False

    def connect(self, **options):
        if self.fails:
            raise self.Error("(1045, 'Access denied')")
        assert options["unix_socket"] == "/run/mysqld/mysqld.sock"
        return self

    def close(self):
        self.closed += 1

    def cursor(self):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def execute(self, statement, arguments):
        self.said = (statement, arguments)

    def fetchall(self):
        return ({"a": 1},)


def test_rows_come_from_the_socket(mariadb, monkeypatch):
    monkeypatch.setattr(mariadb, "pymysql", Driver())
    assert mariadb.__virtual__() is True
    assert mariadb.rows("SELECT %s", (1,)) == [{"a": 1}]
    assert mariadb.pymysql.said == ("SELECT %s", (1,))
    assert mariadb.pymysql.closed == 1
    mariadb.pymysql.fails = True
    with pytest.raises(mariadb.CommandExecutionError, match="Access denied"):
        mariadb.rows("SELECT 1")


# -- passwords -----------------------------------------------------------------


def test_the_hash_is_the_servers_own(mariadb):
    # What MariaDB's PASSWORD() says of the same text.
    assert mariadb.password_hash("x" * 24, "wiki") == "*A67B520371BDE0A2FD80265D888D7F6B8C2624CC"


@pytest.mark.parametrize("password", [None, "", "x" * 23, 10**30])
def test_a_password_missing_or_guessable_is_refused(mariadb, password):
    with pytest.raises(mariadb.CommandExecutionError, match=r"wiki: .* at least 24"):
        mariadb.password_hash(password, "wiki")


# -- grants --------------------------------------------------------------------


def test_grants_are_read(mariadb):
    assert mariadb.parse_grants(
        [
            "GRANT USAGE ON *.* TO `wiki`@`%` IDENTIFIED BY PASSWORD '*AB' REQUIRE SSL",
            "GRANT SELECT, CREATE TEMPORARY TABLES ON `my\\_wiki`.* TO `wiki`@`%`",
            "GRANT ALL PRIVILEGES ON `other`.* TO `wiki`@`%` WITH GRANT OPTION",
        ]
    ) == {
        "my_wiki.*": ["CREATE TEMPORARY TABLES", "SELECT"],
        "other.*": ["ALL PRIVILEGES", "GRANT OPTION"],
    }


@pytest.mark.parametrize(
    "line",
    [
        "GRANT PROXY ON ''@'%' TO 'root'@'localhost' WITH GRANT OPTION",
        "GRANT SELECT (a) ON `wiki`.`page` TO `wiki`@`%`",
        "GRANT `a_role` TO `wiki`@`%`",
    ],
)
def test_a_grant_of_another_form_is_not_guessed(mariadb, line):
    with pytest.raises(mariadb.CommandExecutionError, match="does not know"):
        mariadb.parse_grants([line])


def test_the_refusal_holds_no_hash(mariadb):
    with pytest.raises(mariadb.CommandExecutionError) as error:
        mariadb.parse_grants([f"GRANT `x` TO y IDENTIFIED BY PASSWORD '{HASH}'"])
    assert HASH not in str(error.value)


def test_wanted_privileges_take_one_form(mariadb):
    assert mariadb.checked(
        "a", "%", {"a_b.*": ["update", "ALL"], "*.*": ["replication client"]}
    ) == {
        "a_b.*": ["ALL PRIVILEGES", "UPDATE"],
        "*.*": ["BINLOG MONITOR"],
    }
    assert mariadb.checked("a-b", "192.0.2.%", None) == {}


@pytest.mark.parametrize(
    ("name", "host", "privileges", "message"),
    [
        ("a'b", "%", {}, "a name is"),
        ("", "%", {}, "a name is"),
        ("a", "x'; DROP", {}, "no such host"),
        ("a", "%", {"wiki.page": ["SELECT"]}, "privileges are for"),
        ("a", "%", {"wi`ki.*": ["SELECT"]}, "privileges are for"),
        ("a", "%", {"wiki": ["SELECT"]}, "privileges are for"),
        ("a", "%", {"wiki.*": []}, "no such privileges"),
        ("a", "%", {"wiki.*": ["SELECT ON x; --"]}, "no such privileges"),
    ],
)
def test_nothing_unsafe_gets_into_a_statement(mariadb, name, host, privileges, message):
    with pytest.raises(mariadb.CommandExecutionError, match=message):
        mariadb.checked(name, host, privileges)


# -- accounts ------------------------------------------------------------------


def test_a_new_account(mariadb, server):
    plan = mariadb.user_plan("wiki", "%", HASH, tls=True, privileges={"my_wiki.*": ["SELECT"]})
    definition = f"'wiki'@'%' IDENTIFIED BY PASSWORD '{HASH}' REQUIRE SSL"
    assert plan == [
        ("account: created", f"CREATE USER IF NOT EXISTS {definition}"),
        ("account: as wanted", f"ALTER USER {definition}"),
        ("granted on my_wiki.*: SELECT", "GRANT SELECT ON `my\\_wiki`.* TO 'wiki'@'%'"),
    ]
    assert not any(HASH in said for said, _ in plan)


def test_an_account_that_is_right_is_left_alone(mariadb, server):
    server.account(
        f"CREATE USER `wiki`@`%` IDENTIFIED BY PASSWORD '{HASH}' REQUIRE SSL",
        f"GRANT USAGE ON *.* TO `wiki`@`%` IDENTIFIED BY PASSWORD '{HASH}' REQUIRE SSL",
        "GRANT SELECT ON `wiki`.* TO `wiki`@`%`",
    )
    assert mariadb.user_plan("wiki", "%", HASH, tls=True, privileges={"wiki.*": ["SELECT"]}) == []


def test_a_local_account_by_socket(mariadb, server):
    server.account(
        "CREATE USER `agent`@`localhost` IDENTIFIED VIA unix_socket",
        "GRANT USAGE ON *.* TO `agent`@`localhost` IDENTIFIED VIA unix_socket",
    )
    assert mariadb.user_plan("agent", "localhost", unix_socket=True) == []


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({**SOCKET, "authentication": ""}, "password: changed"),
        ({**SOCKET, "tls": True}, "required: NONE"),
    ],
)
def test_a_changed_way_to_log_in(mariadb, found, said):
    plan = mariadb.statements("agent", "localhost", SOCKET, found)
    assert plan == [
        (said, "ALTER USER 'agent'@'localhost' IDENTIFIED VIA unix_socket REQUIRE NONE")
    ]


@pytest.mark.parametrize(
    ("wanted", "found", "said"),
    [
        (["SELECT"], ["DROP", "SELECT"], ["revoked on *.*: DROP"]),
        (
            ["SELECT"],
            ["ALL PRIVILEGES", "GRANT OPTION"],
            [
                "revoked on *.*: ALL PRIVILEGES",
                "revoked on *.*: GRANT OPTION",
                "granted on *.*: SELECT",
            ],
        ),
        (
            ["SELECT"],
            ["ALL PRIVILEGES", "SELECT"],
            ["revoked on *.*: ALL PRIVILEGES", "granted on *.*: SELECT"],
        ),
        (["ALL PRIVILEGES"], ["SELECT"], ["granted on *.*: ALL PRIVILEGES"]),
        (["ALL PRIVILEGES"], ["ALL PRIVILEGES", "GRANT OPTION"], ["revoked on *.*: GRANT OPTION"]),
        ([], ["SELECT"], ["revoked on *.*: SELECT"]),
    ],
)
def test_privileges_are_those_wanted_and_no_others(mariadb, wanted, found, said):
    def account(privileges):
        return {**SOCKET, "privileges": {"*.*": privileges} if privileges else {}}

    plan = mariadb.statements("a", "%", account(wanted), account(found))
    assert [each for each, _ in plan] == said
    for each, statement in plan:
        assert ("REVOKE" if each.startswith("revoked") else "GRANT") in statement
        assert "ON *.*" in statement


def test_an_account_without_a_way_to_log_in_is_seen(mariadb, server):
    server.account("CREATE USER `a`@`%`")
    assert mariadb.user("a", "%")["authentication"] == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "one of them"),
        ({"password_hash": HASH, "unix_socket": True}, "one of them"),
        ({"password_hash": "plain"}, "no hash"),
    ],
)
def test_exactly_one_way_to_log_in(mariadb, options, message):
    with pytest.raises(mariadb.CommandExecutionError, match=message):
        mariadb.user_plan("a", "%", **options)


def test_a_plan_is_run_in_order(mariadb, server):
    mariadb.run([("first", "GRANT SELECT ON `a`.* TO 'a'@'%'"), ("second", "x")])
    assert server.asked == ["GRANT SELECT ON `a`.* TO 'a'@'%'", "x"]


def test_an_account_is_removed_once(mariadb, server):
    assert mariadb.removal_plan("former", "%") == []
    server.account("")
    assert mariadb.removal_plan("former", "%") == [
        ("account: removed", "DROP USER IF EXISTS 'former'@'%'")
    ]


# -- databases -----------------------------------------------------------------


def test_databases(mariadb, server):
    text = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    assert mariadb.database_plan("wiki", "utf8mb4", "utf8mb4_bin") == [
        ("database: created", f"CREATE DATABASE IF NOT EXISTS `wiki` {text}")
    ]
    server.answers["SELECT default"] = [{"charset": "utf8mb4", "collation": "utf8mb4_bin"}]
    assert mariadb.database_plan("wiki", "utf8mb4", "utf8mb4_bin") == []
    server.answers["SELECT default"] = [{"charset": "latin1", "collation": "latin1_bin"}]
    assert mariadb.database_plan("wiki", "utf8mb4", "utf8mb4_bin") == [
        ("text: utf8mb4, utf8mb4_bin", f"ALTER DATABASE `wiki` {text}")
    ]
    with pytest.raises(mariadb.CommandExecutionError, match="no such name"):
        mariadb.database_plan("wiki`; --", "utf8mb4", "utf8mb4_bin")


# -- states --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "arguments", "planner"),
    [
        ("user_present", ("wiki", "%", HASH), "user_plan"),
        ("user_absent", ("wiki", "%"), "removal_plan"),
        ("database_present", ("wiki", "utf8mb4", "utf8mb4_bin"), "database_plan"),
    ],
)
def test_states(load, mariadb, function, arguments, planner):
    ran = []
    plans = {"now": [("a change", f"SECRET {HASH}")]}

    def plan(*_):
        if plans["now"] is None:
            raise mariadb.CommandExecutionError("no answer")
        return plans["now"]

    def state(test=False):
        module = load(
            "_states/site_mariadb.py",
            opts={"test": test},
            salt={f"site_mariadb.{planner}": plan, "site_mariadb.run": ran.append},
        )
        return getattr(module, function)(*arguments)

    predicted = state(test=True)
    assert (predicted["result"], ran) == (None, [])
    done = state()
    assert (done["result"], done["changes"]) == (True, {"wiki": ["a change"]})
    assert predicted["changes"] == done["changes"]
    assert HASH not in str(done)
    assert ran == [plans["now"]]
    plans["now"] = []
    assert (state()["result"], state()["changes"]) == (True, {})
    plans["now"] = None
    failed = state()
    assert (failed["result"], failed["comment"], failed["changes"]) == (False, "no answer", {})
