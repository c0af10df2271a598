"""MediaWiki's database: what it needs, and bringing it there."""

import inspect
import json
import re
import ssl
import time
from types import SimpleNamespace

import pytest
from salt.exceptions import CommandExecutionError

from tests.unit.conftest import ROOT

CODE_VERSION = "1.43.9"
# The code that is served, and a release of it that is not.
SERVED = "/srv/release/mediawiki/current"
NEW = "/srv/release/mediawiki/releases/new"
NEW_VERSION = "1.43.10"
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
    # What this machine serves is not looked at.
    monkeypatch.setattr(found, "RELEASE", "/does/not/exist")
    versions = {found.CODE: CODE_VERSION, NEW: NEW_VERSION}
    monkeypatch.setattr(found, "version", versions.get)
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
    assert install[:2] == update[:2] == ["php", f"{SERVED}/maintenance/run.php"]
    assert "MW_CONFIG_FILE" in php_runs.environments[0]
    assert php_runs.environments[1] == {}
    assert module.BEGUN not in database.tables
    assert "ALTER TABLE `searchindex` ENGINE=InnoDB" in database.said
    assert database.record == {"version": "1.43.9", "extensions": ["Cite"]}
    assert database.closed


def test_another_code_does_its_work_itself(module, settings, php_runs):
    for tables, record, task in ([], None, "install"), (*CURRENT.values(), "update"):
        database = Database(tables, record, locks=[1, 1])
        module.pymysql.connect = lambda *_, found=database, **__: found
        assert bring(module, settings, code=NEW) == task
        assert database.record["version"] == NEW_VERSION
        database.tables = CURRENT["tables"]
        # The one that is served finds nothing to do with it.
        assert bring(module, settings) is None
    assert [command[2] for command in php_runs.commands] == ["install", "update", "update"]
    assert {command[1] for command in php_runs.commands} == {f"{NEW}/maintenance/run.php"}
    # Nothing of the authors is meant but what is served.
    assert php_runs.environments[1:] == [{}, {}]


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


# -- what the authors made -------------------------------------------------------


def authors(folder, **extensions):
    """A release of the authors: versions of extensions, or what their file holds."""
    for name, said in extensions.items():
        path = folder / "extensions" / name
        path.mkdir(parents=True)
        text = json.dumps({"name": name, "version": said, "x": 1})
        (path / "extension.json").write_text(said if said[:1] in "{[" else text)
    return str(folder)


def test_extensions_of_a_release_have_versions(module, tmp_path):
    tree = authors(tmp_path, SiteStatus="1.0", Examples="2.1", Other='{"name": "X", "version": 3}')
    # What is no extension is none.
    (tmp_path / "extensions/README").touch()
    (tmp_path / "extensions/empty").mkdir()
    assert module.released(tree) == ["Examples 2.1", "SiteStatus 1.0", "X 3"]


def test_a_release_without_extensions(module, tmp_path):
    assert module.released(str(tmp_path)) == []
    assert module.released(str(tmp_path / "gone")) == []


def test_what_is_served_is_what_is_meant(load):
    module = load("_modules/site_mediawiki.py")
    assert module.released.__defaults__ == ("/srv/release/wiki/current",)
    assert module.version.__defaults__ == (SERVED,)


@pytest.mark.parametrize("text", ["{", "[]", '{"name": "A"}', '{"version": "1"}', "[1]"])
def test_an_extension_that_does_not_say_what_it_is(module, tmp_path, text):
    tree = authors(tmp_path, Broken=text, Good="1.0")
    with pytest.raises(
        CommandExecutionError, match=r"extensions/Broken/extension\.json has no name or version"
    ):
        module.released(tree)


def test_an_extension_whose_file_is_none(module, tmp_path):
    (tmp_path / "extensions/Broken/extension.json").mkdir(parents=True)
    with pytest.raises(CommandExecutionError, match="extensions/Broken"):
        module.released(str(tmp_path))


@pytest.fixture
def database(module):
    """A database that is current without the authors' extensions."""
    found = Database(CURRENT["tables"], dict(CURRENT["record"]), locks=[1] * 3)
    module.pymysql.connect = lambda **_: found
    return found


def test_a_new_extension_of_a_release_brings_its_tables(
    module, settings, php_runs, database, tmp_path
):
    tree = authors(tmp_path / "new", SiteStatus="1.0")
    assert bring(module, settings, release=tree) == "update"
    assert [command[2:] for command in php_runs.commands] == [["update", "--wiki=docs", "--quick"]]
    # MediaWiki loads that release, though another is served.
    assert php_runs.environments == [{"SITE_WIKI_RELEASE": tree}]
    assert database.record["extensions"] == ["Cite", "SiteStatus 1.0"]
    # A second time, or on another host, there is nothing to do.
    assert bring(module, settings, release=tree) is None
    assert len(php_runs.commands) == 1


def test_another_version_of_an_extension_brings_its_tables(
    module, settings, php_runs, database, tmp_path
):
    trees = [authors(tmp_path / version, SiteStatus=version) for version in ("1.0", "1.1")]
    assert [bring(module, settings, release=tree) for tree in trees] == ["update", "update"]
    assert database.record["extensions"] == ["Cite", "SiteStatus 1.0", "SiteStatus 1.1"]
    # The way back changes no tables: the release of before lives with what is there.
    assert bring(module, settings, release=trees[0]) is None
    assert len(php_runs.commands) == 2


def test_a_release_without_news_brings_nothing(module, settings, php_runs, database, tmp_path):
    assert bring(module, settings, release=str(tmp_path)) is None
    assert php_runs.commands == []


def test_without_a_release_that_is_named_it_is_the_one_that_is_served(
    module, settings, php_runs, database, tmp_path
):
    module.RELEASE = authors(tmp_path / "served", SiteStatus="1.0")
    assert bring(module, settings) == "update"
    assert php_runs.environments == [{}]
    assert database.record["extensions"] == ["Cite", "SiteStatus 1.0"]
    # And a release that is named is meant alone.
    other = authors(tmp_path / "other", Examples="1")
    assert bring(module, settings, release=other) == "update"
    assert database.record["extensions"] == ["Cite", "Examples 1", "SiteStatus 1.0"]


def test_an_installation_is_told_of_no_release(module, settings, php_runs, tmp_path):
    module.pymysql.connect = lambda **_: Database()
    tree = authors(tmp_path / "new", SiteStatus="1.0")
    assert bring(module, settings, release=tree) == "install"
    install, update = php_runs.environments
    assert list(install) == ["MW_CONFIG_FILE"] and update == {"SITE_WIKI_RELEASE": tree}


def test_a_release_that_cannot_be_read_is_told_before_the_database_is_asked(
    module, settings, php_runs, tmp_path
):
    def connect(**_):
        raise AssertionError

    module.pymysql.connect = connect
    with pytest.raises(CommandExecutionError, match="has no name or version"):
        bring(module, settings, release=authors(tmp_path / "new", Broken="{"))


def test_the_databases_of_all_wikis_are_brought(module, monkeypatch, tmp_path):
    brought = []
    done = {"docs": "update", "test": None}
    monkeypatch.setattr(module, "bring", lambda **how: brought.append(how) or done[how["wiki"]])
    known = [{"wiki": wiki, "name": wiki.title(), "lock_wait": 5} for wiki in ("docs", "test")]
    (tmp_path / "databases.json").write_text(json.dumps(known))
    assert module.migrate_own("/srv/new", str(tmp_path / "databases.json")) == done
    assert brought == [one | {"release": "/srv/new"} for one in known]


def test_another_mediawiki_brings_the_databases_of_all_wikis(module, monkeypatch, tmp_path):
    brought = []
    done = {"docs": "update", "test": None}
    monkeypatch.setattr(module, "bring", lambda **how: brought.append(how) or done[how["wiki"]])
    known = [{"wiki": wiki, "name": wiki.title(), "lock_wait": 5} for wiki in ("docs", "test")]
    (tmp_path / "databases.json").write_text(json.dumps(known))
    assert module.migrate(NEW, str(tmp_path / "databases.json")) == done
    assert brought == [one | {"code": NEW} for one in known]


def test_a_folder_without_mediawiki_is_no_release_of_it(module, tmp_path):
    needed = ("wiki", "name", "server", "language", "account", "account_password_file")
    wiki = dict.fromkeys(needed, "x") | {"extensions": [], "skins": [], "database": {}}
    (tmp_path / "databases.json").write_text(json.dumps([wiki | {"lock_wait": 1}]))
    with pytest.raises(CommandExecutionError, match=f"^{tmp_path} holds no MediaWiki"):
        module.migrate(str(tmp_path), str(tmp_path / "databases.json"))


@pytest.mark.parametrize("function", ["migrate", "migrate_own"])
def test_a_wiki_that_cannot_be_brought_ends_it(module, monkeypatch, tmp_path, function):
    def fail(**how):
        raise CommandExecutionError(f"no database of {how['wiki']}")

    monkeypatch.setattr(module, "bring", fail)
    (tmp_path / "databases.json").write_text('[{"wiki": "docs"}, {"wiki": "test"}]')
    with pytest.raises(CommandExecutionError, match="no database of docs"):
        getattr(module, function)(NEW, str(tmp_path / "databases.json"))


@pytest.mark.parametrize("function", ["migrate", "migrate_own"])
def test_a_host_that_does_not_know_its_databases_says_so(module, tmp_path, function):
    with pytest.raises(CommandExecutionError, match=r"databases\.json is missing\. Remedy"):
        getattr(module, function)(NEW, str(tmp_path / "databases.json"))


def test_what_the_file_of_databases_says_is_what_bring_takes(load):
    """The state writes it; a word that is not known would fail each push."""
    known = set(inspect.signature(load("_modules/site_mediawiki.py").bring).parameters)
    text = (ROOT / "salt/mediawiki/init.sls").read_text(encoding="utf-8")
    said = text.partition("do databases.append({")[2].partition("}) %}")[0]
    words = set(re.findall(r'^ {8}"(\w+)"|, "(\w+)":', re.sub(r"\{[^}]*\}", "0", said), re.M))
    assert {one or other for one, other in words} == known - {"release", "code"}


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
        "released": ["SiteStatus 1.0"],
    }

    def bring_(**given):
        found.calls.append(given)
        return found.answers["bring"]

    def holds(_database, wait):
        found.waited = wait
        if isinstance(found.answers["holds"], Exception):
            raise found.answers["holds"]
        return found.answers["holds"]

    def released():
        if isinstance(found.answers["released"], Exception):
            raise found.answers["released"]
        return found.answers["released"]

    def needed(_holds, _version, extensions):
        found.wanted = extensions
        return found.answers["needed"]

    found.__salt__ = {
        "site_mediawiki.version": lambda: found.answers["version"],
        "site_mediawiki.holds": holds,
        "site_mediawiki.needed": needed,
        "site_mediawiki.released": released,
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


def test_state_asks_for_the_extensions_of_the_level_and_of_the_authors(state, settings):
    current(state, settings)
    assert state.wanted == ["Cite", "SiteStatus 1.0"]
    # Bringing looks itself, at what is served by then.
    assert state.calls[0]["extensions"] == ["Cite"] and "release" not in state.calls[0]


def test_state_tells_which_extension_cannot_be_read(state, settings):
    state.answers["released"] = CommandExecutionError("extensions/X/extension.json has no name")
    found = current(state, settings)
    assert (found["result"], found["changes"], state.calls) == (False, {}, [])
    assert "extensions/X" in found["comment"]


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
