"""Further domains: what an entry may say, and the certificates on master and frontend."""

import datetime
import grp
import os
import stat
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from salt.exceptions import CommandExecutionError

OWN, OTHERS = "example.org", ["example.net", "wpd.internal"]
STATIC, SITES = ["www", "compat"], ["docs"]
REDIRECTS = {"docs": [{"path": "/css", "to": "docs/wiki/css", "prefix": True}]}
TABLE = {
    "old.test": {"to": "docs/"},
    "campaign.test": {"to": "www/join/", "path": False, "status": 302},
    "tables.test": {"site": "compat"},
    "www.tables.test": {"to": "https://tables.test/", "status": 308},
    "elsewhere.test": {"to": "https://elsewhere.example/a", "path": True},
}
# Longer than the common name of a certificate may be.
LONG = f"{'long.' * 15}test"
GROUP = grp.getgrgid(os.getgid()).gr_name


@pytest.fixture
def domains(load):
    redirects = load("_modules/site_redirects.py")
    return load("_modules/site_domains.py", salt={"site_redirects.address": redirects.address})


def test_a_good_table_becomes_rows(domains):
    assert domains.problems(TABLE, OWN, OTHERS, STATIC, SITES, REDIRECTS) == []
    rows = domains.rows(TABLE, OWN, STATIC, SITES, REDIRECTS)
    assert [list(row.values()) for row in rows] == [
        ["campaign.test", None, "https://www.example.org/join/", False, 302],
        ["elsewhere.test", None, "https://elsewhere.example/a", True, 301],
        ["old.test", None, "https://docs.example.org", True, 301],
        ["tables.test", "compat", None, True, 301],
        ["www.tables.test", None, "https://tables.test", True, 308],
    ]


@pytest.mark.parametrize(
    ("name", "entry", "message"),
    [
        ("Old.test", {"to": "docs/"}, "is no domain name"),
        ("old", {"to": "docs/"}, "is no domain name"),
        ("old.test.", {"to": "docs/"}, "is no domain name"),
        ("*.old.test", {"to": "docs/"}, "is no domain name"),
        ("-old.test", {"to": "docs/"}, "is no domain name"),
        ("192.0.2.1", {"to": "docs/"}, "is no domain name"),
        ("../../x.test", {"to": "docs/"}, "is no domain name"),
        (f"{'a.' * 60}test", {"to": "docs/"}, "at most 100 characters"),
        (7, {"to": "docs/"}, "is no domain name"),
        ("example.org", {"to": "docs/"}, "belongs to the level's own example.org"),
        ("new.example.org", {"to": "docs/"}, "belongs to the level's own example.org"),
        ("example.net", {"to": "docs/"}, "belongs to example.net, which is not of this level"),
        ("db1.sandbox.wpd.internal", {"to": "docs/"}, "belongs to wpd.internal"),
        ("a.test", {}, "say either `site` or `to`"),
        ("a.test", None, "say either `site` or `to`"),
        ("a.test", {"site": "compat", "to": "docs/"}, "say either `site` or `to`"),
        ("a.test", {"to": "docs/", "keep": True}, "unknown: keep; known: site, to, path, status"),
        ("a.test", {"site": "nope"}, "no static site 'nope'. Known: compat, www"),
        ("a.test", {"site": "docs"}, "'docs' is made by an app"),
        ("a.test", {"site": "compat", "status": 302}, "go with `to` alone"),
        ("a.test", {"to": "docs"}, "leads to 'docs'. Say <site>/<path>"),
        ("a.test", {"to": "http://x.example/"}, "leads to 'http://x.example/'"),
        ("a.test", {"to": "docs/$host"}, "leads to 'docs/$host'"),
        ("a.test", {"to": 'docs/";'}, "leads to"),
        ("a.test", {"to": "nope/x"}, "the unknown site 'nope'. Known: compat, docs, www"),
        ("a.test", {"to": "docs/", "status": 200}, "status 200. Known: 301, 302, 307, 308"),
        ("a.test", {"to": "docs/", "path": "keep"}, "`path` is true or false"),
        ("a.test", {"to": "https://docs.example.org/x"}, "by its whole name. Say <site>/x"),
        ("a.test", {"to": "https://a.test/x"}, "leads to itself"),
        ("a.test", {"to": "https://old.test/x"}, "which leads on. Say where that leads: docs/"),
        ("a.test", {"to": "docs/css"}, "which leads on. Say where that leads: docs/wiki/css"),
        ("a.test", {"to": "docs/css/color"}, "which leads on"),
    ],
)
def test_a_wrong_entry_is_refused_in_words(domains, name, entry, message):
    table = {**TABLE, name: entry} if isinstance(name, str) else {name: entry}
    found = domains.problems(table, OWN, OTHERS, STATIC, SITES, REDIRECTS)
    assert [text for text in found if message in text and text.startswith(f"domain '{name}'")]
    if "not of this level" not in message and "wpd.internal" not in message:
        with pytest.raises(CommandExecutionError, match="Nothing of it was made"):
            domains.rows(table, OWN, STATIC, SITES, REDIRECTS)


# -- the master's half ---------------------------------------------------------


def authority(folder, name="Example authority"):
    """An authority as the component ca makes it; returns its folder."""
    key = ec.generate_private_key(ec.SECP384R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                **dict.fromkeys(["key_cert_sign", "crl_sign"], True),
                **dict.fromkeys(
                    ["digital_signature", "content_commitment", "key_encipherment",
                     "data_encipherment", "key_agreement", "encipher_only", "decipher_only"],
                    False,
                ),
            ),
            critical=True,
        )
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    folder.mkdir(exist_ok=True)
    (folder / "ca.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "ca.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return folder


@pytest.fixture
def master(domains, tmp_path):
    """The two functions, with folders of their own: ``due(names)``, ``make(due)``."""

    class Master:
        ca = authority(tmp_path / "ca")
        folder = tmp_path / "held"

        def due(self, *names, days=60):
            return domains.certificates_due(self.folder, names, self.ca, days)

        def make(self, due, days=365):
            return domains.certificates_make(self.folder, due, self.ca, "Example", days)

    Master.folder.mkdir()
    return Master()


def test_each_domain_gets_a_certificate_that_openssl_believes(master):
    due = master.due("old.test", LONG)
    assert list(due["make"].values()) == ["there is none"] * 2
    assert master.make(due) == {}
    assert master.due("old.test", LONG) == {"make": {}, "remove": []}
    file = master.folder / "old.test.pem"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    strict = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver"]
    for name, code in (("old.test", 0), ("new.test", 2)):
        words = [*strict, "-CAfile", master.ca / "ca.crt", "-verify_hostname", name, file]
        assert subprocess.run(words, capture_output=True, check=False).returncode == code


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda file, other: file.write_text("nothing"), "it cannot be read"),
        (lambda file, other: file.write_bytes(b"\xff"), "it cannot be read"),
        (lambda file, other: file.write_text(other.read_text()), "it is for another name"),
        (
            lambda file, other: file.write_text(
                other.read_text().partition("-----BEGIN CERT")[0]
                + "-----BEGIN CERT"
                + file.read_text().partition("-----BEGIN CERT")[2]
            ),
            "its key is another's",
        ),
        (lambda file, other: authority(file.parent.parent / "ca"), "the authority is a new one"),
    ],
)
def test_what_is_wrong_is_made_anew_and_hurts_no_other(master, spoil, reason):
    master.make(master.due("old.test", "other.test"))
    spoil(master.folder / "old.test.pem", master.folder / "other.test.pem")
    due = master.due("old.test", "other.test")
    assert due["make"]["old.test"] == reason
    assert ("other.test" in due["make"]) == ("authority" in reason)
    assert master.make(due) == {}
    assert master.due("old.test", "other.test")["make"] == {}


def test_one_that_ends_soon_is_made_anew(master):
    master.make(master.due("old.test"), days=59)
    assert master.due("old.test")["make"] == {"old.test": "58 days are left"}
    assert master.due("old.test", days=30)["make"] == {}


def test_one_of_another_authority_is_left_to_who_put_it_there(master, tmp_path):
    ours = master.ca
    master.ca = authority(tmp_path / "public", "A public authority")
    master.make(master.due("old.test", "www.old.test"), days=5)
    master.ca = ours
    assert master.due("old.test", "www.old.test")["make"] == {}


def test_domains_that_left_are_removed_and_one_failure_hurts_no_other(master):
    master.make(master.due("gone.test", "old.test"))
    assert master.due("old.test")["remove"] == ["gone.test.pem"]
    (master.folder / "old.test.pem").unlink()
    (master.folder / "old.test.pem").mkdir()
    (master.folder / "folder").mkdir()
    due = master.due("new.test", "old.test")
    assert due["remove"] == ["folder", "gone.test.pem"]
    assert set(master.make(due)) == {"old.test", "folder"}
    assert sorted(path.name for path in master.folder.glob("*.pem")) == [
        "new.test.pem",
        "old.test.pem",
    ]


def test_without_an_authority_or_with_a_path_as_name_nothing_is_made(master):
    with pytest.raises(CommandExecutionError, match="no domain names"):
        master.due("../x.test")
    (master.ca / "ca.crt").unlink()
    with pytest.raises(CommandExecutionError, match="the level's authority"):
        master.due("old.test")


def test_a_folder_that_is_not_there_yet_lacks_everything(master):
    master.folder.rmdir()
    assert master.due("old.test") == {"make": {"old.test": "there is none"}, "remove": []}


# -- the frontend's half -------------------------------------------------------


def test_a_frontend_holds_what_it_was_given_and_nothing_else(domains, tmp_path):
    given = {"a.test.pem": "one\n", "b.test.pem": "two\n"}
    (tmp_path / "gone.test.pem").write_text("old")
    lacking = domains.certificates_lacking(tmp_path, ["a.test", "b.test", "c.test"], given, GROUP)
    assert lacking == {
        "write": ["a.test", "b.test"],
        "remove": ["gone.test.pem"],
        "missing": ["c.test"],
    }
    assert domains.certificates_hold(tmp_path, lacking, given, GROUP) == {}
    held = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert held == given
    assert stat.S_IMODE((tmp_path / "a.test.pem").stat().st_mode) == 0o640
    again = domains.certificates_lacking(tmp_path, ["a.test", "b.test"], given, GROUP)
    assert again == {"write": [], "remove": [], "missing": []}


def test_a_file_of_the_wrong_mode_content_or_kind_is_written_anew(domains, tmp_path):
    given = {f"{name}.test.pem": name for name in "abcd"}
    names = [name.removesuffix(".pem") for name in given]
    lacking = domains.certificates_lacking(tmp_path, names, given, GROUP)
    domains.certificates_hold(tmp_path, lacking, given, GROUP)
    (tmp_path / "a.test.pem").chmod(0o644)
    (tmp_path / "b.test.pem").write_bytes(b"\xff")
    (tmp_path / "c.test.pem").unlink()
    (tmp_path / "c.test.pem").symlink_to(tmp_path / "d.test.pem")
    lacking = domains.certificates_lacking(tmp_path, names, given, GROUP)
    assert lacking["write"] == ["a.test", "b.test", "c.test"]
    assert domains.certificates_hold(tmp_path, lacking, given, GROUP) == {}
    assert not (tmp_path / "c.test.pem").is_symlink()


def test_a_failure_on_the_frontend_hurts_no_other(domains, tmp_path):
    given = {"a.test.pem": "one", "b.test.pem": "two"}
    (tmp_path / "a.test.pem").mkdir()
    lacking = domains.certificates_lacking(tmp_path, ["a.test", "b.test"], given, GROUP)
    assert list(domains.certificates_hold(tmp_path, lacking, given, GROUP)) == ["a.test"]
    assert (tmp_path / "b.test.pem").read_text() == "two"


# -- the states ----------------------------------------------------------------


def made(load, due, failed=None, test=False):
    def asked(*_):
        if isinstance(due, Exception):
            raise due
        return due

    def carried(*_):
        if isinstance(failed, Exception):
            raise failed
        return failed or {}

    module = load(
        "_states/site_domains.py",
        salt={"site_domains.certificates_due": asked, "site_domains.certificates_make": carried},
        opts={"test": test},
    )
    return module.certificates_made("/folder", ["a.test", "b.test"], "/ca", "Example", 365, 60)


def test_certificates_are_made_foretold_and_left_alone(load):
    due = {"make": {"a.test": "there is none"}, "remove": ["c.test.pem"]}
    changes = {"a.test": "there is none", "c.test.pem": "removed"}
    for test, result in ((True, None), (False, True)):
        ret = made(load, due, test=test)
        assert (ret["result"], ret["changes"]) == (result, changes)
        ret = made(load, {"make": {}, "remove": []}, test=test)
        assert (ret["result"], ret["changes"]) == (True, {})


def test_what_could_not_be_made_is_said(load):
    due = {"make": {"a.test": "there is none", "b.test": "there is none"}, "remove": []}
    ret = made(load, due, {"a.test": "no room"})
    assert (ret["result"], ret["changes"]) == (False, {"b.test": "there is none"})
    assert "a.test: no room" in ret["comment"] and "orch.up" in ret["comment"]
    away = CommandExecutionError("no authority")
    assert made(load, away)["result"] is False
    assert made(load, away, test=True)["result"] is None
    assert made(load, due, away)["result"] is False


def held(load, lacking, failed=None, test=False):
    asked = []

    def found(*arguments):
        asked.append(arguments)
        if isinstance(lacking, Exception):
            raise lacking
        return lacking

    module = load(
        "_states/site_domains.py",
        salt={
            "site_domains.certificates_lacking": found,
            "site_domains.certificates_hold": lambda *_: failed or {},
        },
        opts={"test": test},
        pillar={"domains": {"secrets": {"a.test.pem": "text"}}},
    )
    ret = module.certificates_held("/folder", ["a.test", "b.test"], "www-data")
    assert asked == [("/folder", ["a.test", "b.test"], {"a.test.pem": "text"}, "www-data")]
    assert "text" not in str(ret)
    return ret


def test_certificates_are_held_foretold_and_left_alone(load):
    lacking = {"write": ["a.test"], "remove": ["c.test.pem"], "missing": []}
    changes = {"a.test": "written", "c.test.pem": "removed"}
    for test, result in ((True, None), (False, True)):
        ret = held(load, lacking, test=test)
        assert (ret["result"], ret["changes"]) == (result, changes)
        ret = held(load, {"write": [], "remove": [], "missing": []}, test=test)
        assert (ret["result"], ret["changes"]) == (True, {})


def test_a_domain_without_a_certificate_fails_when_the_others_are_written(load):
    ret = held(load, {"write": ["a.test"], "remove": [], "missing": ["b.test"]})
    assert (ret["result"], ret["changes"]) == (False, {"a.test": "written"})
    assert "b.test: the master gave none" in ret["comment"]
    ret = held(load, {"write": [], "remove": [], "missing": ["b.test"]}, test=True)
    assert ret["result"] is False
    ret = held(load, {"write": ["a.test"], "remove": [], "missing": []}, {"a.test": "no room"})
    assert (ret["result"], ret["changes"]) == (False, {})


def test_before_the_web_server_is_there_it_is_foretold(load):
    assert held(load, KeyError("www-data"))["result"] is False
    assert held(load, KeyError("www-data"), test=True)["result"] is None
