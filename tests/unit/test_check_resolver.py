"""The script by which monit asks whether the resolver answers."""

import ctypes
import os
import socket

import pytest

from tests.unit.conftest import load_module


@pytest.fixture
def script(monkeypatch):
    monkeypatch.setattr(os, "environ", dict(os.environ))
    module = load_module("salt/monit/files/check-resolver.py")
    monkeypatch.setattr(module, "dns_alone", lambda: None)
    return module


def test_one_question_of_two_seconds(script):
    assert os.environ["RES_OPTIONS"] == "timeout:2 attempts:1"


def test_an_address_is_an_answer(script, monkeypatch, capsys):
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *args, **kwargs: [(2, 1, 6, "", ("10.0.0.1", 0))]
    )
    assert script.main(["db1"]) == 0
    assert capsys.readouterr().out == "the resolver answers: db1 is 10.0.0.1\n"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (socket.EAI_NONAME, 0),
        (socket.EAI_NODATA, 0),
        (socket.EAI_AGAIN, 1),
        (socket.EAI_FAIL, 1),
    ],
)
def test_no_such_name_is_an_answer_and_silence_is_none(script, monkeypatch, code, status, capsys):
    def fail(*args, **kwargs):
        raise socket.gaierror(code, "as the C library says")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert script.main(["db1"]) == status
    assert "db1" in capsys.readouterr().out


class Library:
    """A C library that takes the request, or does not."""

    def __init__(self, status):
        self.status, self.asked = status, None

    def __getattr__(self, name):
        def call(*args):
            self.asked = (name, *args)
            return self.status

        return call


def test_the_hosts_file_is_left_out(monkeypatch):
    module = load_module("salt/monit/files/check-resolver.py")
    library = Library(0)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    module.dns_alone()
    assert library.asked == ("__nss_configure_lookup", b"hosts", b"dns")


def test_a_library_that_refuses_is_no_success(monkeypatch):
    module = load_module("salt/monit/files/check-resolver.py")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library(-1))
    with pytest.raises(OSError, match="refuses"):
        module.main(["db1"])
