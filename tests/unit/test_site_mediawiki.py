"""MediaWiki's database: what it needs, and bringing it there."""

import json
import ssl
import time
from types import SimpleNamespace

import pytest
from salt.exceptions import CommandExecutionError

CODE_VERSION = "1.43.9"
EMPTY = {"tables": [], "record": None}
CURRENT = {"tables": ["page", "updatelog"], "record": {"version": "1.43.9", "extensions": ["Cite"]}}


class OperationalError(Exception):
    """Stands in for the driver's."""


class Database:
    """A database that understands just what the module says to it."""

    def __init__(self, tables=(), record=None, engines=(), locks=(1,), log_as_bytes=True):
        self.tables = list(tables)
        self.record = record
        self.engines = list(engines)
        self.locks = list(locks)
        self.as_bytes = log_as_bytes
        self.said, self.pings, self.closed, self.answer = [], 0, False, []

    def cursor(self):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False

    def ping(self, reconnect):
        assert reconnect is False
        self.pings += 1

    def close(self):
        self.closed = True

    def execute(self, statement, values=()):
        self.said.append((statement, values) if values else statement)
        if statement == "SHOW TABLES":
            self.answer = [(table.encode() if self.as_bytes else table,) for table in self.tables]
        elif statement.startswith("SELECT ul_value"):
            self.answer = [(json.dumps(self.record).encode(),)] if self.record else []
        elif statement.startswith("SELECT GET_LOCK"):
            self.answer = [(self.locks.pop(0),)]
        elif statement.startswith("SELECT table_name"):
            self.answer = [(engine,) for engine in self.engines]
        elif statement.startswith("DROP TABLE"):
            self.tables.remove(statement.split()[-1].strip("`"))
        elif statement.startswith("CREATE TABLE"):
            self.tables.append(statement.split()[2])
        elif statement.startswith("REPLACE INTO updatelog"):
            self.record = json.loads(values[1])

    def fetchone(self):
        return self.answer[0] if self.answer else None

    def fetchall(self):
        return self.answer


@pytest.fixture
def module(load, monkeypatch):
    found = load("_modules/site_mediawiki.py")
    found.pymysql = SimpleNamespace(err=SimpleNamespace(OperationalError=OperationalError))
    monkeypatch.setattr(found, "version", lambda: CODE_VERSION)
    return found


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """How the database is reached; a context that needs no certificate."""
    monkeypatch.setattr(
        ssl, "create_default_context", lambda cafile: SimpleNamespace(cafile=cafile, verify_flags=0)
    )
    (tmp_path / "password").write_text("the-password\n")
    return {
        "host": "127.0.0.1",
        "port": 3306,
        "name": "wiki",
        "user": "wiki_admin",
        "password_file": str(tmp_path / "password"),
        "ca": "/ca.crt",
    }


@pytest.fixture
def php_runs(module):
    """MediaWiki's own commands: what was run, and their outcome."""
    runs = SimpleNamespace(commands=[], environments=[], retcode=0)

    def run_all(command, **given):
        assert given["python_shell"] is False
        runs.commands.append(command)
        runs.environments.append(given["env"])
        return {"retcode": runs.retcode, "stdout": "said so", "stderr": ""}

    module.__salt__ = {"cmd.run_all": run_all}
    return runs


def bring(module, settings, **other):
    given = {
        "wiki": "docs",
        "name": "Docs",
        "server": "https://docs.example.org",
        "language": "en",
        "extensions": ["Cite"],
        "skins": ["Vector"],
        "account": "WikiAdmin",
        "account_password_file": "/secrets/admin",
        "database": settings,
        "lock_wait": 0,
    }
    return module.bring(**(given | other))


# -- loading -------------------------------------------------------------------


def test_without_the_driver_it_does_not_load(module):
    assert module.__virtual__() is True
    module.pymysql = None
    loaded, reason = module.__virtual__()
    assert loaded is False and "PyMySQL" in reason


def test_the_file_itself_can_be_read_without_the_driver(load, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pymysql", None)
    assert load("_modules/site_mediawiki.py").pymysql is None


# -- PHP literals --------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (3, "3"),
        (0.5, "0.5"),
        ("plain", "'plain'"),
        ("it's $5 \\ \n", "'it\\'s $5 \\\\ \n'"),
        ([], "[]"),
        (["a", 1], "[ 'a', 1 ]"),
        ({}, "[]"),
        ({"a": [True]}, "[ 'a' => [ true ] ]"),
    ],
)
def test_php(module, value, literal):
    assert module.php(value) == literal


def test_php_refuses_what_it_does_not_know(module):
    with pytest.raises(CommandExecutionError, match="no PHP literal for a set"):
        module.php({1, 2})


# -- the family ----------------------------------------------------------------


def family(**test):
    """Pillar with two wikis; what is given is said by the second."""
    return {
        "indexed": True,
        "skins": ["Vector", "Timeless"],
        "search": {"peers": "elastic", "index": "wiki"},
        "database": {"host": "127.0.0.1"},
        "secrets": {"sessions": "not to be handed on"},
        "wikis": {
            "test": {
                "pool": "testwiki",
                "database": {"name": "testwiki", "user": "testwiki", "admin": "testwiki_admin"},
                "indexed": False,
                "skins": ["Vector"],
                "search": {"peers": ""},
            }
            | test,
            "docs": {
                "pool": "wiki",
                "database": {"name": "wiki", "user": "wiki", "admin": "wiki_admin"},
            },
        },
    }


def test_wikis_have_what_is_common_and_what_is_their_own(module):
    given = family()
    docs, test = module.wikis(given, "example.org")
    assert (docs["site"], docs["server"]) == ("docs", "https://docs.example.org")
    assert (test["site"], test["domain_name"]) == ("test", "test.example.org")
    assert (docs["indexed"], test["indexed"]) == (True, False)
    assert (docs["skins"], test["skins"]) == (["Vector", "Timeless"], ["Vector"])
    assert test["search"] == {"peers": "", "index": "wiki"}
    assert docs["database"]["host"] == test["database"]["host"] == "127.0.0.1"
    assert not {"secrets", "wikis"} & {*docs, *test}
    assert given == family()


@pytest.mark.parametrize(
    ("shared", "said"),
    [
        ({"pool": "wiki"}, "pool 'wiki'"),
        ({"database": {"name": "wiki", "user": "a", "admin": "b"}}, "database 'wiki'"),
        ({"database": {"name": "a", "user": "wiki", "admin": "b"}}, "account 'wiki'"),
        ({"database": {"name": "a", "user": "b", "admin": "wiki_admin"}}, "account 'wiki_admin'"),
        ({"search": {}}, "search index 'wiki'"),
    ],
)
def test_two_wikis_may_not_share(module, shared, said):
    with pytest.raises(CommandExecutionError, match=f"wikis docs and test have the same .*{said}"):
        module.wikis(family(**shared), "example.org")


def test_an_account_for_all_purposes_is_refused(module):
    both = {"database": {"name": "a", "user": "one", "admin": "one"}}
    with pytest.raises(CommandExecutionError, match="test and test have the same"):
        module.wikis(family(**both), "example.org")


def test_a_family_without_a_wiki(module):
    with pytest.raises(CommandExecutionError, match="no wiki"):
        module.wikis(family() | {"wikis": {}}, "example.org")


# -- version -------------------------------------------------------------------


@pytest.fixture
def code(tmp_path):
    (tmp_path / "includes").mkdir()
    return tmp_path


def test_version_of_the_code(load, code):
    (code / "includes/Defines.php").write_text("<?php\ndefine( 'MW_VERSION', '1.43.9' );\n")
    assert load("_modules/site_mediawiki.py").version(str(code)) == "1.43.9"


def test_no_code_no_version(load, code):
    assert load("_modules/site_mediawiki.py").version(str(code)) is None


def test_code_that_does_not_say_its_version(load, code):
    (code / "includes/Defines.php").write_text("<?php\n")
    with pytest.raises(CommandExecutionError, match="does not say MW_VERSION"):
        load("_modules/site_mediawiki.py").version(str(code))


# -- what is needed ------------------------------------------------------------


@pytest.mark.parametrize(
    ("holds", "version", "extensions", "expected"),
    [
        (EMPTY, "1.43.9", [], "install"),
        (
            {"tables": ["page", "saltworks_installation_begun"], "record": None},
            "1.43.9",
            [],
            "install",
        ),
        ({"tables": ["updatelog"], "record": None}, "1.43.9", [], "update"),
        (CURRENT, "1.43.9", ["Cite"], None),
        (CURRENT, "1.43.9", [], None),
        (CURRENT, "1.43.9", ["Cite", "Echo"], "update"),
        (CURRENT, "1.43.10", ["Cite"], "update"),
        (CURRENT, "1.43.8", ["Cite", "Echo"], None),
    ],
)
def test_needed(module, holds, version, extensions, expected):
    assert module.needed(holds, version, extensions) == expected


def test_a_database_of_something_else_is_never_touched(module):
    with pytest.raises(CommandExecutionError, match="2 tables that are not MediaWiki's"):
        module.needed({"tables": ["a", "b"], "record": None}, "1.43.9", [])


# -- asking --------------------------------------------------------------------


@pytest.mark.parametrize("as_bytes", [True, False])
def test_holds(module, settings, as_bytes):
    database = Database(["page", "updatelog"], CURRENT["record"], log_as_bytes=as_bytes)
    asked = {}
    module.pymysql.connect = lambda **given: asked.update(given) or database
    assert module.holds(settings) == CURRENT
    assert database.closed
    assert asked["password"] == "the-password"
    assert asked["ssl"].cafile == "/ca.crt"


def test_holds_of_an_empty_database_and_of_one_without_a_record(module, settings):
    module.pymysql.connect = lambda **_: Database()
    assert module.holds(settings) == EMPTY
    module.pymysql.connect = lambda **_: Database(["updatelog"])
    assert module.holds(settings) == {"tables": ["updatelog"], "record": None}


def test_it_waits_for_a_database_that_is_not_there_yet(module, settings, monkeypatch):
    tries = []
    monkeypatch.setattr(time, "sleep", tries.append)

    def connect(**_):
        if len(tries) < 2:
            raise OperationalError("refused")
        return Database()

    module.pymysql.connect = connect
    assert module.holds(settings, wait=60) == EMPTY
    assert tries == [2, 2]


def test_a_database_that_does_not_answer_is_an_error(module, settings):
    def connect(**_):
        raise OperationalError("refused")

    module.pymysql.connect = connect
    with pytest.raises(CommandExecutionError, match=r"wiki at 127\.0\.0\.1:3306.*refused"):
        module.holds(settings)


def test_a_missing_password_file_is_an_error(module, settings):
    with pytest.raises(CommandExecutionError, match="cannot be asked"):
        module.holds(settings | {"password_file": "/does/not/exist"})


# -- bringing ------------------------------------------------------------------


def test_install_then_update_then_remember(module, settings, php_runs):
    database = Database(engines=[b"searchindex"])
    module.pymysql.connect = lambda **_: database
    assert bring(module, settings) == "install"
    install, update = php_runs.commands
    locks = [said[1][0] for said in database.said if "GET_LOCK" in said[0]]
    assert locks == ["saltworks-mediawiki-wiki"]
    assert install[2] == "install" and install[-2:] == ["Docs", "WikiAdmin"]
    assert "--dbssl" in install and "the-password" not in " ".join(install)
    assert update[2:] == ["update", "--wiki=docs", "--quick"]
    assert "MW_CONFIG_FILE" in php_runs.environments[0]
    assert php_runs.environments[1] == {}
    assert module.BEGUN not in database.tables
    assert "ALTER TABLE `searchindex` ENGINE=InnoDB" in database.said
    assert database.record == {"version": "1.43.9", "extensions": ["Cite"]}
    assert database.closed


def test_a_half_made_installation_begins_anew(module, settings, php_runs):
    database = Database(["page", module.BEGUN, "user"])
    module.pymysql.connect = lambda **_: database
    assert bring(module, settings) == "install"
    drops = [said for said in database.said if str(said).startswith("DROP TABLE `")]
    # The mark goes last: a fault in between must leave it.
    assert drops == ["DROP TABLE `page`", "DROP TABLE `user`", f"DROP TABLE `{module.BEGUN}`"]


def test_a_failed_installation_leaves_its_mark(module, settings, php_runs):
    database = Database()
    module.pymysql.connect = lambda **_: database
    php_runs.retcode = 1
    with pytest.raises(CommandExecutionError, match="install failed:\nsaid so"):
        bring(module, settings)
    assert database.tables == [module.BEGUN]
    assert database.record is None and database.closed


def test_update_keeps_the_extensions_of_other_hosts(module, settings, php_runs):
    database = Database(["updatelog"], {"version": "1.43.8", "extensions": ["Echo"]})
    module.pymysql.connect = lambda **_: database
    assert bring(module, settings) == "update"
    assert [command[2] for command in php_runs.commands] == ["update"]
    assert database.record == {"version": "1.43.9", "extensions": ["Cite", "Echo"]}


def test_another_host_was_faster(module, settings, php_runs):
    database = Database(CURRENT["tables"], CURRENT["record"], locks=[0, 1])
    module.pymysql.connect = lambda **_: database
    assert bring(module, settings, lock_wait=60) is None
    assert php_runs.commands == []


def test_another_host_takes_too_long(module, settings, php_runs):
    module.pymysql.connect = lambda **_: Database(locks=[0])
    with pytest.raises(CommandExecutionError, match="another host"):
        bring(module, settings)
    assert php_runs.commands == []


def test_the_connection_with_the_lock_is_never_silent(module, settings, php_runs):
    module.SILENT_AT_MOST = 0.01
    database = Database()
    with module._kept_alive(database):
        until = time.monotonic() + 5
        while not database.pings and time.monotonic() < until:
            time.sleep(0.01)
    spoken = database.pings
    assert spoken
    time.sleep(0.05)
    assert database.pings == spoken


# -- the state -----------------------------------------------------------------


@pytest.fixture
def state(load, settings):
    """The state, with what it asks; ``calls`` are those that change something."""
    found = load("_states/site_mediawiki.py", opts={"test": False})
    found.calls = []
    found.answers = {
        "version": CODE_VERSION,
        "holds": EMPTY,
        "needed": "install",
        "bring": "install",
    }

    def bring_(**given):
        found.calls.append(given)
        return found.answers["bring"]

    def holds(_database, wait):
        found.waited = wait
        if isinstance(found.answers["holds"], Exception):
            raise found.answers["holds"]
        return found.answers["holds"]

    found.__salt__ = {
        "site_mediawiki.version": lambda: found.answers["version"],
        "site_mediawiki.holds": holds,
        "site_mediawiki.needed": lambda *_: found.answers["needed"],
        "site_mediawiki.bring": bring_,
    }
    return found


def current(state, settings):
    return state.database_current(
        "Docs",
        "docs",
        "https://docs.example.org",
        "en",
        ["Cite"],
        ["Vector"],
        "WikiAdmin",
        "/admin",
        settings,
    )


def test_state_brings(state, settings):
    found = current(state, settings)
    assert found["result"] is True
    assert found["changes"] == {"database": {"old": None, "new": "1.43.9"}}
    assert len(state.calls) == 1 and state.waited == 60
    assert (state.calls[0]["wiki"], state.calls[0]["name"]) == ("docs", "Docs")


def test_state_with_nothing_to_do(state, settings):
    state.answers |= {"holds": CURRENT, "needed": None}
    found = current(state, settings)
    assert (found["result"], found["changes"], state.calls) == (True, {}, [])


def test_state_when_another_host_was_faster(state, settings):
    state.answers["bring"] = None
    found = current(state, settings)
    assert (found["result"], found["changes"]) == (True, {})


def test_state_predicts_and_changes_nothing(state, settings):
    state.__opts__["test"] = True
    state.answers |= {"holds": CURRENT, "needed": "update"}
    found = current(state, settings)
    assert found["result"] is None and found["changes"]
    assert state.calls == [] and state.waited == 0
    state.answers["needed"] = None
    assert current(state, settings)["result"] is True


@pytest.mark.parametrize("missing", ["package", "password"])
def test_state_predicts_on_a_bare_host(state, settings, missing):
    state.__opts__["test"] = True
    if missing == "package":
        state.answers["version"] = None
    else:
        settings = settings | {"password_file": "/does/not/exist"}
    found = current(state, settings)
    assert found["result"] is None and state.calls == []


def test_state_without_the_package_fails(state, settings):
    state.answers["version"] = None
    assert current(state, settings)["result"] is False
    assert state.calls == []


def test_state_tells_why_it_failed(state, settings):
    state.answers["holds"] = CommandExecutionError("no database")
    found = current(state, settings)
    assert (found["result"], found["comment"], found["changes"]) == (False, "no database", {})
