"""LemonLDAP::NG: its configuration, its tables, its sessions."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from salt.exceptions import CommandExecutionError

ROOT = Path(__file__).resolve().parents[2]
SITE = {"domain": "example.test"}
SITES = {"docs": {}, "accounts": {}}
CLIENTS = {
    "wiki": {"site": "docs", "title": "Wiki"},
    "pages": {"site": "mail", "extra_sites": ["monit"], "groups": ["a", "b"], "logout": "front"},
}


@pytest.fixture(scope="module")
def pem():
    command = ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def module(load):
    return load("_modules/site_lemonldap.py")


@pytest.fixture
def portal(pem):
    text = (ROOT / "salt/lemonldap-ng/defaults.yaml").read_text(encoding="utf-8")
    secrets = dict.fromkeys(("directory", "database", "key", "client-wiki", "client-pages"), "s")
    return {**yaml.safe_load(text), "clients": CLIENTS, "secrets": {**secrets, "oidc_key": pem}}


def test_the_configuration_follows_pillar(module, portal):
    made = json.loads(module.configuration(portal, SITE, SITES, privileged=["operators"]))
    assert made["portal"] == made["oidcServiceMetaDataIssuer"] == "https://accounts.example.test/"
    assert made["ldapBase"] == "ou=people,dc=example,dc=test"
    assert made["sfRequired"] == 'inGroup("operators")'
    assert made["oidcServiceAllowImplicitFlow"] == made["oidcServiceAllowHybridFlow"] == 0
    assert "BEGIN PUBLIC KEY" in made["oidcServicePublicKeySig"]
    assert made["oidcServiceOldKeyIdSig"] == ""
    wiki = made["oidcRPMetaDataOptions"]["wiki"]
    assert wiki["oidcRPMetaDataOptionsRequirePKCE"] == 1
    assert wiki["oidcRPMetaDataOptionsRedirectUris"] == "https://docs.example.test/sso/callback"
    assert wiki["oidcRPMetaDataOptionsLogoutUrl"].endswith("/sso/callback?logout=backchannel")
    assert "oidcRPMetaDataOptionsRule" not in wiki
    assert made["trustedDomains"].split() == [
        f"{place}.example.test" for place in ("accounts", "docs", "mail", "monit")
    ]
    assert "https://monit.example.test" in made["cspFormAction"].split()
    pages = made["oidcRPMetaDataOptions"]["pages"]
    assert pages["oidcRPMetaDataOptionsRule"] == 'inGroup("a") or inGroup("b")'
    assert "https://monit.example.test/sso/callback" in pages["oidcRPMetaDataOptionsRedirectUris"]
    assert pages["oidcRPMetaDataOptionsLogoutUrl"].endswith("?logout=get")
    menu = made["applicationList"]["1sites"]
    assert menu["app_pages"]["options"]["display"] == 'inGroup("a") or inGroup("b")'


def test_its_date_is_its_content(module, portal):
    first, again = (module.configuration(portal, SITE, SITES) for _ in range(2))
    assert first == again
    other = module.configuration({**portal, "processes": 4, "check_seconds": 9}, SITE, SITES)
    assert json.loads(first)["cfgDate"] != json.loads(other)["cfgDate"]
    assert json.loads(first)["sfRequired"] == 0


def test_the_former_key_stays_published(module, portal, pem):
    old = module.public_key(pem)
    made = module.configuration(
        {**portal, "oidc": {**portal["oidc"], "old_public_key": old}}, SITE, {}
    )
    assert json.loads(made)["oidcServiceOldKeyIdSig"] == module.key_id(old)


@pytest.mark.parametrize("missing", ["directory", "oidc_key", "client-wiki"])
def test_a_missing_secret_is_an_error(module, portal, missing):
    secrets = {key: value for key, value in portal["secrets"].items() if key != missing}
    with pytest.raises(CommandExecutionError, match=missing):
        module.configuration({**portal, "secrets": secrets}, SITE, SITES)


def test_a_key_that_is_none_is_an_error_but_for_a_stand_in(load, module):
    with pytest.raises(CommandExecutionError, match="RSA"):
        module.public_key("0123")
    assert load("_modules/site_lemonldap.py", opts={"offline": {}}).public_key("0123") == ""


def test_the_key_that_signs_is_shown_by_its_public_half(load, module, pem):
    pillar = {"lemonldap-ng": {"secrets": {"oidc_key": pem}}}
    shown = load("_modules/site_lemonldap.py", pillar=pillar).published_key()
    assert shown == module.public_key(pem)


# -- the database --------------------------------------------------------------


class Line:
    """A database that has these tables."""

    def __init__(self, tables):
        self.tables, self.said = tables, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False

    def cursor(self):
        return self

    def execute(self, statement):
        self.said.append(statement)

    def fetchall(self):
        return [(name,) for name in self.tables]


@pytest.fixture
def connect(monkeypatch, tmp_path):
    def made(line):
        class Error(Exception):
            pass

        def opened(**_):
            if line is None:
                raise Error("away")
            return line

        monkeypatch.setitem(sys.modules, "pymysql", SimpleNamespace(connect=opened, Error=Error))
        monkeypatch.setattr(
            "ssl.create_default_context", lambda cafile: SimpleNamespace(verify_flags=0)
        )
        (tmp_path / "password").write_text("p")
        database = {"host": "h", "port": 1, "user": "u", "name": "n", "ca": "c"}
        return database, tmp_path / "password"

    return made


def test_missing_tables_are_named_and_made(module, connect):
    line = Line(["sessions"])
    assert module.tables(*connect(line)) == ["psessions"]
    assert line.said == ["SHOW TABLES"]
    assert module.tables(*connect(line), create=True) == ["psessions"]
    assert line.said[-1].startswith("CREATE TABLE IF NOT EXISTS `psessions`")


def test_a_database_that_is_away_is_an_error(module, connect):
    with pytest.raises(CommandExecutionError, match="away"):
        module.tables(*connect(None))


# -- sessions ------------------------------------------------------------------


def test_sessions_are_ended_by_the_portal_s_own_program(load):
    said = []

    def run(command, **how):
        said.append((command, how["runas"]))
        return {"retcode": 0, "stdout": "2 sessions", "stderr": ""}

    module = load("_modules/site_lemonldap.py", salt={"cmd.run_all": run})
    assert module.end_sessions("Ada") == "2 sessions"
    assert said == [([module.SESSIONS, "delete", "--where", "_whatToTrace=ada"], "www-data")]
    with pytest.raises(CommandExecutionError, match="name"):
        module.end_sessions("a b")


def test_what_that_program_complains_about_is_an_error(load):
    failed = {"retcode": 1, "stdout": "", "stderr": "no database"}
    module = load("_modules/site_lemonldap.py", salt={"cmd.run_all": lambda *_, **__: failed})
    with pytest.raises(CommandExecutionError, match="no database"):
        module.end_sessions("ada")


# -- the state -----------------------------------------------------------------


def state(load, missing, test=False):
    asked = []

    def tables(database, password_file, create):
        asked.append(create)
        if isinstance(missing, Exception):
            raise missing
        return missing

    module = load(
        "_states/site_lemonldap.py", salt={"site_lemonldap.tables": tables}, opts={"test": test}
    )
    return module.tables_present("sessions", {}, "/p"), asked


@pytest.mark.parametrize(
    ("missing", "test", "result", "changed"),
    [
        ([], False, True, False),
        ([], True, True, False),
        (["a"], False, True, True),
        (["a"], True, None, True),
        (CommandExecutionError("away"), False, False, False),
        (CommandExecutionError("away"), True, None, False),
    ],
)
def test_tables_present(load, missing, test, result, changed):
    ret, asked = state(load, missing, test)
    assert ret["result"] is result and bool(ret["changes"]) is changed
    assert asked == [not test]
