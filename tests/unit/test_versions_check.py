"""What monit is told of newer versions."""

import json
import time

import pytest

from tests.unit.conftest import load_module

BEHIND = {"say": "mediawiki runs 1.43.8; 1.43.9 is there. Remedy: `./fleet deploy mediawiki`"}


@pytest.fixture
def check(tmp_path, capsys):
    module, path = load_module("salt/deploy/files/versions-check.py"), tmp_path / "versions.json"

    def checked(apps=None, age=0, why=None):
        if apps is not None:
            found = {"compared": age and time.time() - age, "why": why, "apps": apps}
            path.write_text(json.dumps(found))
        return module.main(path), capsys.readouterr().out.strip()

    return checked


def test_the_newest_versions_are_well(check):
    assert check({"mediawiki": {"say": None}}, 60) == (False, "the newest versions run")


def test_a_newer_version_is_told_at_once(check):
    said = check({"mediawiki": BEHIND, "wordpress": {"say": None}}, 60)
    assert said == (True, BEHIND["say"])


def test_a_builder_that_was_away_once_is_no_alarm(check):
    assert check({}, 3700, "source1: no answer")[0] is False


@pytest.mark.parametrize("age", [4 * 3600, None])
def test_that_nobody_compares_is_told(check, age):
    wrong, said = check({"mediawiki": BEHIND}, age, "source1: no answer")
    assert wrong is True and said.splitlines()[0] == BEHIND["say"]
    assert "not compared for hours: source1: no answer. Remedy: " in said
    assert "hours: nobody tried" in check({}, age)[1]


def test_a_master_that_never_compared_is_told(check, tmp_path):
    wrong, said = check()
    assert wrong is True and "versions.json" in said and "deploy-versions" in said
    (tmp_path / "versions.json").write_text("{")
    assert check()[0] is True
