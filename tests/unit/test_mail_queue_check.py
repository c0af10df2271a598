"""The script by which monit asks whether mail goes out."""

import json
import subprocess
import time

import pytest

from tests.unit.conftest import load_module

NOW = 10_000


@pytest.fixture
def script(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: NOW)
    return load_module("salt/postfix/files/mail-queue-check.py")


@pytest.fixture
def said(script, monkeypatch):
    """What the programs print: the queue, and the journal."""
    answers = {"postqueue": "", "journalctl": ""}

    def run(command, **_):
        name = command[0].rpartition("/")[2]
        return subprocess.CompletedProcess(command, 0, stdout=answers[name], stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    return answers


def mail(queue_id, age, *reasons):
    return json.dumps(
        {
            "queue_id": queue_id,
            "arrival_time": NOW - age,
            "recipients": [{"address": "a@example.org", "delay_reason": why} for why in reasons],
        }
    )


def test_an_empty_queue_is_well(script, said, capsys):
    assert script.main([]) == 0
    assert capsys.readouterr().out == "mail goes out\n"


def test_young_mail_is_well(script, said):
    said["postqueue"] = mail("A1", 900, "refused") + "\n"
    assert script.main([]) == 0


def test_the_oldest_mail_is_named_with_its_reason(script, said, capsys):
    said["postqueue"] = "\n".join(
        [mail("A1", 10), mail("B2", 1000, "refused", "refused"), mail("C3", 950, "other")]
    )
    assert script.main([]) == 1
    assert capsys.readouterr().out == "3 mails wait, B2 for 1000 s: refused\n"


def test_a_mail_without_a_reason(script, said, capsys):
    said["postqueue"] = mail("A1", 1) + "\n"
    assert script.main(["--age", "0"]) == 1
    assert capsys.readouterr().out == "1 mails wait, A1 for 1 s: no reason yet\n"


def test_bounces_are_counted(script, said, capsys):
    said["journalctl"] = "status=bounced\n" * 5
    assert script.main([]) == 0
    said["journalctl"] = "status=bounced\n" * 6
    assert script.main(["--minutes", "7"]) == 1
    assert capsys.readouterr().out == "mail goes out\n6 mails came back in 7 minutes\n"


def test_a_queue_that_cannot_be_read_is_one_sentence(script, monkeypatch, capsys):
    def run(command, **_):
        raise subprocess.CalledProcessError(
            69, command, stderr="postqueue: fatal: mail is\n down\n"
        )

    monkeypatch.setattr(subprocess, "run", run)
    assert script.main([]) == 1
    assert capsys.readouterr().out == "the queue cannot be read: postqueue: fatal: mail is down\n"
