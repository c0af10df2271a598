"""What monit is told of a host's certificates."""

import subprocess

import pytest

from tests.unit.conftest import ROOT

SCRIPT = ROOT / "salt/tls/files/certificates-check"


@pytest.fixture
def folder(tmp_path):
    """A host's folder: one certificate for 400 days, one for 20 beside its key."""
    (tmp_path / "domains").mkdir()
    for path, days in ((tmp_path / "host.crt", 400), (tmp_path / "domains/old.test.pem", 20)):
        words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        words += ["-subj", "/CN=x", "-days", str(days), "-keyout", "-", "-out", "-"]
        made = subprocess.run(["openssl", *words], capture_output=True, text=True, check=True)
        path.write_text(made.stdout)
    return tmp_path


def checked(days, folder):
    done = subprocess.run(
        ["sh", str(SCRIPT), str(days), str(folder)], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout.strip()


def test_all_are_good_for_long_enough(folder):
    assert checked(10, folder) == (0, "2 certificates are good for more than 10 days")


def test_those_that_end_are_named(folder):
    said = "end within 30 days, or cannot be read: domains/old.test.pem"
    assert checked(30, folder) == (1, said)
    assert checked(500, folder)[1].endswith(": host.crt domains/old.test.pem")


def test_what_is_no_certificate_is_named(folder):
    (folder / "domains/new.test.pem").write_text("")
    assert "domains/new.test.pem" in checked(10, folder)[1]


def test_a_host_without_any_is_not_well(tmp_path):
    assert checked(10, tmp_path)[0] == 1
