"""The command that prints the newest mail of the level's mailbox."""

import itertools
import os
import time
from pathlib import Path

import pytest

from tests.unit.conftest import load_module


@pytest.fixture
def script(monkeypatch, tmp_path):
    module = load_module("salt/postfix/files/sink-mail.py")
    for place in ("new", "cur", "tmp"):
        (tmp_path / place).mkdir()
    monkeypatch.setattr(module, "MAILDIR", tmp_path)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    return module


@pytest.fixture
def deliver(script):
    numbers = itertools.count(1)

    def mail(headers, *, at, place="new"):
        path = script.MAILDIR / place / str(next(numbers))
        path.write_bytes(f"{headers}\n\nhello\n".encode())
        os.utime(path, (at, at))
        return path

    return mail


@pytest.mark.parametrize(
    "headers",
    [
        "X-Original-To: a@example.org",
        "Delivered-To: A@Example.org",
        "To: Somebody <a@example.org>, b@example.org",
        "Cc: a@example.org",
    ],
)
def test_who_a_mail_is_for(script, deliver, headers):
    deliver(headers, at=1)
    assert script.newest(script.MAILDIR, "a@example.org")
    assert script.newest(script.MAILDIR, "c@example.org") is None


def test_the_newest_wins_read_or_not(script, deliver, capsysbinary):
    deliver("To: a@example.org\nSubject: two", at=2, place="cur")
    deliver("To: a@example.org\nSubject: one", at=1)
    assert script.main(["--to", "a@example.org"]) == 0
    assert b"Subject: two" in capsysbinary.readouterr().out


def test_a_subject_is_searched(script, deliver):
    deliver("To: a@example.org\nSubject: Confirm your address", at=1)
    deliver("To: a@example.org", at=2)
    found = script.newest(script.MAILDIR, "a@example.org", "^Confirm")
    assert b"Confirm your address" in found


def test_what_is_old_is_left_out(script, deliver):
    deliver("To: a@example.org", at=5)
    assert script.newest(script.MAILDIR, "a@example.org", since=5)
    assert script.newest(script.MAILDIR, "a@example.org", since=6) is None


def test_mail_that_is_taken_away_meanwhile_is_no_error(script, deliver, monkeypatch):
    gone = deliver("To: a@example.org", at=2)
    deliver("To: a@example.org\nSubject: here", at=1)
    read = Path.read_bytes

    def vanish(path):
        if path == gone:
            path.unlink(missing_ok=True)
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", vanish)
    assert b"here" in script.newest(script.MAILDIR, "a@example.org")
    (script.MAILDIR / "new" / "dangling").symlink_to("nowhere")
    assert b"here" in script.newest(script.MAILDIR, "a@example.org")


def test_mail_that_somebody_reads_meanwhile_is_found(script, deliver, monkeypatch):
    moved = deliver("To: a@example.org\nSubject: newest", at=2)
    deliver("To: a@example.org\nSubject: older", at=1)
    read = Path.read_bytes

    def move(path):
        if path == moved and path.exists():
            path.rename(script.MAILDIR / "cur" / f"{path.name}:2,")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", move)
    assert b"newest" in script.newest(script.MAILDIR, "a@example.org")


def test_without_a_mail_it_says_so(script, capsys):
    assert script.main(["--to", "a@example.org"]) == 1
    assert capsys.readouterr().err == "no mail to a@example.org\n"


def test_it_waits(script, deliver, capsysbinary, monkeypatch):
    monkeypatch.setattr(
        time, "sleep", lambda seconds: deliver("To: a@example.org\nSubject: late", at=1)
    )
    assert script.main(["--to", "a@example.org", "--wait", "60"]) == 0
    assert b"late" in capsysbinary.readouterr().out
