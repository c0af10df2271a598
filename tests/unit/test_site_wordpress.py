"""WordPress's database: what it needs, and bringing it there."""

import json

import pytest
from salt.exceptions import CommandExecutionError

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
        self.asked = []

    def __call__(self, command, **options):
        assert options["python_shell"] is False
        self.asked.append(command)
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


def test_no_password_is_in_the_command(module):
    tool = Tool('{"done": "install"}')
    done = module(tool).bring("Blog", "BlogAdmin", "/secret/admin", "a@b.test", 300)
    assert done == "install"
    assert json.loads(tool.asked[0][2])["account_password_file"] == "/secret/admin"


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
    there.add("/usr/share/wordpress/wp-includes/version.php")
    assert made.present()


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
