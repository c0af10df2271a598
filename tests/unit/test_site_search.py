"""What is asked of the apps when an index is filled."""

import pytest


@pytest.fixture
def asked():
    return []


@pytest.fixture
def search(load, asked):
    def run_all(command, **options):
        asked.append((command, options))
        return dict(answer)

    answer = {"retcode": 0, "stderr": "", "stdout": 'Notice: x\n{"index": "wiki-v2", "written": 3}'}
    module = load("_modules/site_search.py", salt={"cmd.run_all": run_all})
    module.answer = answer
    return module


def test_the_whole_wiki(search, asked):
    assert search.index_wiki("wiki-v2") == {"index": "wiki-v2", "written": 3}
    command, options = asked[0]
    assert command == [*search.WIKI, "--wiki=docs", "--index=wiki-v2"]
    assert options["python_shell"] is False


def test_what_changed_in_the_blog(search, asked):
    search.index_blog("blog", since="1700000000", timeout=5)
    assert asked[0][0] == [*search.BLOG, "--index=blog", "--since=1700000000"]
    assert asked[0][1]["timeout"] == 5


def test_a_time_that_is_none_is_refused(search, asked):
    with pytest.raises(ValueError, match="yesterday"):
        search.index_wiki("wiki", since="yesterday")
    assert not asked


def test_a_failure_is_told_in_the_program_s_words(search):
    search.answer.update(retcode=1, stdout="", stderr="the search server does not answer")
    with pytest.raises(search.CommandExecutionError, match="wiki-v2 failed:\nthe search server"):
        search.index_wiki("wiki-v2")


def test_now_is_whole_seconds(search, monkeypatch):
    monkeypatch.setattr(search.time, "time", lambda: 1700000000.9)
    assert search.now() == 1700000000
