"""Newer versions, as `./fleet status` and `./fleet releases` show them."""

import json
import subprocess

import pytest

from tools import cli
from tools.master import NOT_COMPARED, Master

SAY = "mediawiki runs 1.43.8; 1.43.9 is there. Remedy: `./fleet deploy mediawiki`"
FOUND = {
    "compared": 1000.0,
    "why": None,
    "apps": {"mediawiki": {"say": SAY}, "wordpress": {"say": None}},
}


class Answers(Master):
    """A master whose host says something."""

    def __init__(self, code, said):
        self.answer = subprocess.CompletedProcess([], code, said, "")

    def inside(self, *command, check):
        assert command == ("cat", "/var/lib/deploy/versions.json") and check is False
        return self.answer


def test_what_the_master_found_is_read_where_it_stands():
    assert Answers(0, json.dumps(FOUND)).versions() == FOUND
    assert Answers(1, "").versions() == NOT_COMPARED


@pytest.fixture
def shown(capsys, monkeypatch):
    monkeypatch.setattr(cli.out, "file", None)

    def show(found, *app):
        cli._print_versions(found, *app)
        return capsys.readouterr().out.strip()

    return show


def test_a_newer_version_is_shown_with_the_remedy(shown):
    assert shown(FOUND) == f"version: {SAY}"
    assert shown(FOUND, "mediawiki") == f"version: {SAY}"
    assert shown(FOUND, "wordpress") == ""


def test_that_nobody_could_compare_is_shown(shown):
    said = shown(FOUND | {"why": "source1: no answer"})
    assert SAY in said and "versions: not compared since 19" in said
    assert said.endswith(": source1: no answer")
    assert shown(NOT_COMPARED) == f"versions: not compared: {NOT_COMPARED['why']}"
