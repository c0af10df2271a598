"""WordPress's database: what it needs, and bringing it there."""

import json

import pytest
from salt.exceptions import CommandExecutionError

SERVED = "/srv/release/wordpress/current"
CURRENT = {"tables": ["wp_options"], "version": 60421, "code": 60421}
GIVEN = {
    "name": "Blog",
    "account": "BlogAdmin",
    "account_password_file": "/etc/wordpress/secrets/admin",
    "email": "blog@webplatform.test",
}


class Tool:
    """Answers in the script's place, and keeps what was asked."""

    def __init__(self, stdout="", retcode=0, stderr=""):
        self.answer = {"stdout": stdout, "retcode": retcode, "stderr": stderr}
        self.asked, self.codes = [], []

    def __call__(self, command, **options):
        assert options["python_shell"] is False
        self.asked.append(command)
        self.codes.append(options["env"]["SITE_WORDPRESS_CODE"])
        return self.answer


@pytest.fixture
def module(load):
    def make(tool):
        return load("_modules/site_wordpress.py", salt={"cmd.run_all": tool})

    return make


def test_the_tool_is_asked_what_the_database_holds(module):
    tool = Tool("a warning\n" + json.dumps(CURRENT))
    assert module(tool).holds(5) == CURRENT
    assert tool.asked == [["/usr/local/lib/saltworks/wordpress-database", "ask", '{"wait": 5}']]
    # The code that is served says which version it wants.
    assert tool.codes == [SERVED]


def test_no_password_is_in_the_command(module):
    tool = Tool('{"done": "install"}')
    done = module(tool).bring("Blog", "BlogAdmin", "/secret/admin", "a@b.test", 300)
    assert done == "install"
    assert json.loads(tool.asked[0][2])["account_password_file"] == "/secret/admin"
    assert tool.codes == [SERVED]


def test_the_tool_s_own_words_are_told(module):
    with pytest.raises(CommandExecutionError, match="does not let blog_admin in"):
        module(Tool(retcode=1, stderr="the database does not let blog_admin in")).holds()


@pytest.mark.parametrize("stdout", ["", "<html>"])
def test_an_answer_that_is_none_is_an_error(module, stdout):
    with pytest.raises(CommandExecutionError, match="gave no answer"):
        module(Tool(stdout)).holds()


@pytest.mark.parametrize(
    ("holds", "task"),
    [
        ({"tables": [], "version": None, "code": 2}, "install"),
        (
            {"tables": ["saltworks_installation_begun", "wp_options"], "version": 2, "code": 2},
            "install",
        ),
        ({"tables": ["wp_options"], "version": 1, "code": 2}, "upgrade"),
        ({"tables": ["wp_options"], "version": 2, "code": 2}, None),
        ({"tables": ["wp_options"], "version": 3, "code": 2}, None),
    ],
)
def test_what_a_database_needs(module, holds, task):
    assert module(Tool()).needed(holds) == task


def test_somebody_else_s_tables_are_left_alone(module):
    with pytest.raises(CommandExecutionError, match="not WordPress's"):
        module(Tool()).needed({"tables": ["page"], "version": None, "code": 2})


def test_present_takes_the_tool_and_the_code(module, monkeypatch):
    made = module(Tool())
    there = set()
    monkeypatch.setattr(made.Path, "exists", lambda path: str(path) in there)
    assert not made.present()
    there.add(made.TOOL)
    assert not made.present()
    there.add(f"{SERVED}/wp-includes/version.php")
    assert made.present()


# -- another release ---------------------------------------------------------------


class Migration(Tool):
    """Answers what the database holds, and then what was done."""

    def __init__(self, holds, done="upgrade"):
        super().__init__()
        self.answers = {"ask": holds, "bring": {"done": done}}

    def __call__(self, command, **options):
        self.answer["stdout"] = json.dumps(self.answers[command[1]])
        return super().__call__(command, **options)


@pytest.fixture
def tree(tmp_path):
    """A release of WordPress that is not served."""
    (tmp_path / "wp-includes").mkdir()
    (tmp_path / "wp-includes/version.php").write_text("<?php\n$wp_db_version = 60421;\n")
    return str(tmp_path)


@pytest.mark.parametrize("done", ["upgrade", None], ids=["by this host", "by a faster one"])
def test_another_wordpress_upgrades_the_database_with_its_own_code(module, tree, done):
    tool = Migration(CURRENT | {"version": 60000}, done)
    made = module(tool)
    assert made.migrate(tree) == done
    assert [command[1:] for command in tool.asked] == [
        ["ask", '{"wait": 0}'],
        ["bring", json.dumps({"lock_wait": made.LOCK_WAIT})],
    ]
    assert tool.codes == [tree, tree]


@pytest.mark.parametrize(
    "holds",
    [
        CURRENT,
        CURRENT | {"version": 70000},
        CURRENT | {"tables": [], "version": None},
        CURRENT | {"tables": ["saltworks_installation_begun", "wp_options"]},
    ],
    ids=["current", "newer", "empty", "half made"],
)
def test_a_database_that_needs_no_upgrade_is_left_as_it_is(module, tree, holds):
    """What is empty, hosts install: they know the first account."""
    tool = Migration(holds)
    assert module(tool).migrate(tree) is None
    assert [command[1] for command in tool.asked] == ["ask"]


def test_a_migration_leaves_somebody_else_s_tables_alone(module, tree):
    tool = Migration({"tables": ["page"], "version": None, "code": 2})
    with pytest.raises(CommandExecutionError, match="not WordPress's"):
        module(tool).migrate(tree)
    assert [command[1] for command in tool.asked] == ["ask"]


def test_a_folder_without_wordpress_is_no_release_of_it(module, tmp_path):
    tool = Migration(CURRENT | {"version": 1})
    with pytest.raises(CommandExecutionError, match=f"{tmp_path} holds no WordPress"):
        module(tool).migrate(str(tmp_path))
    assert tool.asked == []


def test_a_migration_that_fails_is_told_in_the_tool_s_own_words(module, tree):
    with pytest.raises(CommandExecutionError, match="WordPress stopped: no memory"):
        module(Tool(retcode=1, stderr="WordPress stopped: no memory")).migrate(tree)


# -- the state -------------------------------------------------------------------


class Site:
    """The execution module as the state sees it."""

    def __init__(self, *, test=False, present=True, holds=CURRENT, needed=None, done="upgrade"):
        self.test, self.calls = test, []
        self.salt = {
            "site_wordpress.present": lambda: present,
            "site_wordpress.holds": self._tell(holds),
            "site_wordpress.needed": lambda _: needed,
            "site_wordpress.bring": self._tell(done),
        }

    def _tell(self, answer):
        def tell(*arguments):
            self.calls.append(arguments)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return tell

    def run(self, load):
        state = load("_states/site_wordpress.py", salt=self.salt, opts={"test": self.test})
        return state.database_current(**GIVEN)


OLD = {"tables": ["wp_options"], "version": 1, "code": 2}


@pytest.mark.parametrize(
    ("site", "result", "changes", "comment"),
    [
        (Site(), True, False, "current: version 60421"),
        (Site(test=True, present=False), None, False, "once WordPress is installed"),
        (Site(present=False), False, False, "not installed on this host"),
        (Site(test=True, holds=OLD, needed="upgrade"), None, True, "needs: upgrade"),
        (Site(holds=OLD, needed="upgrade"), True, True, "upgrade done"),
        (Site(holds=OLD, needed="upgrade", done=None), True, False, "Another host"),
        (Site(holds=CommandExecutionError("away")), False, False, "away"),
    ],
)
def test_the_state(load, site, result, changes, comment):
    ret = site.run(load)
    assert ret["result"] is result
    assert bool(ret["changes"]) is changes
    assert comment in ret["comment"]


def test_a_test_run_does_not_wait(load):
    site = Site(test=True)
    site.run(load)
    assert site.calls == [(0,)]
