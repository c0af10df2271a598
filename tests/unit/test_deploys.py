"""The commands `./fleet deploy`, `rollback` and `releases`: what they ask and what they show."""

import json
import subprocess

import pytest

from tools import deploys
from tools.errors import FleetError

RELEASE = "0123456789" * 4 + "-89abcdef"
DEPLOY = {
    "number": 7,
    "app": "www",
    "kind": "push",
    "who": "ada",
    "requested": 1000.0,
    "ended": 1012.34,
    "state": "live",
    "release": RELEASE,
    "why": None,
    "stages": [["build", 1.5], ["fetch", 0.2]],
}


@pytest.fixture
def master(monkeypatch):
    """The master: `steps` and `said` are what it answers, `asked` what it was asked."""

    class Master:
        steps, said, asked = [], "[]", []

        def __init__(self, sandbox):
            assert sandbox == "the sandbox"

        def orchestrate(self, name, progress, pillar):
            self.asked.append((name, pillar))
            return self.steps

        def inside(self, *words, check):
            assert check is False
            self.asked.append(words)
            return subprocess.CompletedProcess(words, 0, self.said, "it is broken")

    Master.asked = []
    monkeypatch.setattr(deploys, "Master", Master)
    monkeypatch.setenv("SUDO_USER", "ada")
    return Master


def test_a_deploy_is_asked_for_and_waited_for(master):
    master.steps = [{"result": True, "comment": "it is live"}]
    assert deploys.carry_out("the sandbox", "www", "order", "", None) == "it is live"
    assert deploys.carry_out("the sandbox", "www", "rollback", RELEASE, None) == "it is live"
    wanted = {"app": "www", "kind": "order", "who": "ada"}
    assert master.asked == [
        ("orch.deploy", wanted),
        ("orch.deploy", wanted | {"kind": "rollback", "ref": RELEASE}),
    ]


def test_one_that_failed_ends_with_the_reason_and_a_remedy(master):
    master.steps = [{"result": False, "comment": "the build failed"}]
    with pytest.raises(FleetError, match="www: the build failed") as raised:
        deploys.carry_out("the sandbox", "www", "order", "main", None)
    assert "./fleet releases www" in str(vars(raised.value))


def test_who_sits_there(monkeypatch):
    monkeypatch.setattr(deploys.getpass, "getuser", lambda: "bob")
    monkeypatch.setenv("SUDO_USER", "ada")
    assert deploys.who() == "ada"
    monkeypatch.delenv("SUDO_USER")
    assert deploys.who() == "bob"


def test_history_of_one_app_and_of_all(master):
    master.said = json.dumps([DEPLOY])
    assert deploys.history("the sandbox", "www", 5) == [DEPLOY]
    assert deploys.history("the sandbox", "", 20) == [DEPLOY]
    one, every = master.asked
    assert one[-3:] == ("site_deploy.history", "app=www", "limit=5")
    assert every[-2:] == ("site_deploy.history", "limit=20")


def test_a_master_that_does_not_say_it(master):
    master.said = "No such function"
    with pytest.raises(FleetError, match=r"No such function.*it is broken"):
        deploys.history("the sandbox", "", 20)


def test_rows():
    waits = {**DEPLOY, "state": "waiting", "ended": None, "release": None, "stages": [], "who": ""}
    failed = {**DEPLOY, "state": "failed", "why": "[red] did not build", "who": "[ada]"}
    gone = {**DEPLOY, "state": "superseded", "why": "number 8 is newer"}
    live, waiting, refused, superseded = deploys.rows([DEPLOY, waits, failed, gone])
    assert live[:2] == ("7", "www") and live[2].startswith("1970-01-01")
    assert live[3:] == (
        "12.3",
        "push",
        "ada",
        "0123456789-89abcdef",
        "[green]live[/green]",
        "build 1.5 s, fetch 0.2 s",
    )
    assert waiting[3:] == ("-", "push", "-", "-", "[yellow]waiting[/yellow]", "")
    # What other people wrote is no markup.
    assert (refused[5], refused[8]) == (r"\[ada]", r"\[red] did not build")
    assert superseded[7] == "[dim]superseded[/dim]"


@pytest.mark.parametrize("release", [None, "", "-"])
def test_no_release_is_a_dash(release):
    assert deploys.short(release) == "-"


def test_a_release_is_shown_short():
    assert deploys.short(RELEASE) == "0123456789-89abcdef"
