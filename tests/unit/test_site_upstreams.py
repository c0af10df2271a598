"""The code of others: the module and the state that call the program."""

import json

import pytest
from salt.exceptions import CommandExecutionError

NAME = "upstream/wiki"
FOUND = {"changed": {NAME: {"refs/tags/1": "c"}}, "waiting": {}, "failed": {}, "seconds": 1.0}


class Program:
    """Answers as told, and keeps what it was asked."""

    def __init__(self):
        self.answer, self.asked = FOUND, []

    def __call__(self, command, **options):
        assert options["python_shell"] is False and options["timeout"] == 90
        self.asked.append(command)
        said = self.answer if isinstance(self.answer, str) else json.dumps(self.answer)
        return {"retcode": 1, "stdout": said, "stderr": "oh dear"}


@pytest.fixture
def program():
    return Program()


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"seconds": 60}', encoding="utf-8")
    return str(path)


@pytest.fixture
def module(load, program):
    return load("_modules/site_upstreams.py", salt={"cmd.run_all": program})


def test_the_program_runs_as_the_owner_of_the_repositories(module, program, config):
    program.answer = [NAME]
    assert module.lacking(config=config) == [NAME]
    words = ["runuser", "-u", "git", "--", module.PROGRAM, "--config", config]
    assert program.asked == [[*words, "lacking"]]
    program.answer = FOUND
    assert module.bring(NAME, config=config) == FOUND
    assert program.asked[-1] == [*words, "missing", NAME]


def test_without_a_configuration_all_that_is_asked_for_lacks(module, tmp_path):
    missing = str(tmp_path / "none.json")
    assert module.lacking(NAME, config=missing) == [NAME]
    with pytest.raises(CommandExecutionError, match=r"Remedy: salt-call state\.apply upstreams"):
        module.lacking(config=missing)


def test_a_program_that_does_not_run_is_told(module, program, config):
    program.answer = ""
    with pytest.raises(CommandExecutionError, match="update failed:\noh dear"):
        module.update(config=config)


def test_an_update_says_what_changed_and_raises_what_failed(module, program, config):
    assert module.update(NAME, config=config) == {
        key: value for key, value in FOUND.items() if key != "failed"
    }
    program.answer = FOUND | {"failed": {"upstream/x": "gone. Remedy: none"}}
    with pytest.raises(CommandExecutionError) as error:
        module.update(config=config)
    assert str(error.value) == f"upstream/x: gone. Remedy: none\n{NAME}: up to date"


# -- the state -------------------------------------------------------------------


@pytest.fixture
def state(load):
    """The state, with what the module answers: what lacks, and what came."""

    def make(lacking, found=FOUND, test=False):
        def answer(value):
            def function(_):
                if isinstance(value, Exception):
                    raise value
                return value

            return function

        salt = {
            "site_upstreams.lacking": answer(lacking),
            "site_upstreams.bring": answer(found),
        }
        return load("_states/site_upstreams.py", salt=salt, opts={"test": test})

    return make


def test_what_is_there_is_left_alone(state):
    assert state([]).imported(NAME)["changes"] == {}
    assert state([]).imported(NAME)["result"] is True


def test_a_prediction_imports_nothing(state):
    ret = state([NAME], RuntimeError("called"), test=True).imported(NAME)
    assert ret["result"] is None and ret["changes"]


@pytest.mark.parametrize(
    ("found", "result", "words"),
    [
        ({}, True, "It was imported"),
        ({"waiting": {NAME: "a mirror is behind"}}, True, "imported; a mirror is behind"),
        ({"failed": {NAME: "disk full"}}, False, "disk full"),
        ({"changed": {}, "waiting": {NAME: "a mirror is behind"}}, False, "a mirror is behind"),
        ({"changed": {}}, False, "Nothing came"),
    ],
)
def test_what_lacks_is_imported(state, found, result, words):
    ret = state([NAME], FOUND | found).imported(NAME)
    assert ret["result"] is result and words in ret["comment"]
    assert ret["changes"] == (FOUND | found)["changed"].get(NAME, {})


def test_an_error_is_said(state):
    ret = state(CommandExecutionError("no program")).imported(NAME)
    assert ret["result"] is False and ret["comment"] == "no program"
