"""What a master gives, and to whom: every minion is taken for a possible enemy."""

import os
import subprocess

import pytest

from tests.security.conftest import ENCRYPTED, HONEST, LIAR, NONSENSE, STRANGER
from tools import compiler


@pytest.fixture(scope="session")
def own(tree):
    """``{host id: pillar}`` as the tree gives it, without the master's certificates."""
    results = compiler.compile_hosts(tree, [HONEST, LIAR], pillar_only=True)
    return {
        host: {key: value for key, value in result["pillar"].items() if key != "tls"}
        for host, result in results.items()
    }


def test_the_fileserver_shows_components_roles_and_our_python_only(site, tree):
    shown = {path.split("/")[0] for path in site.call(HONEST, "cp.list_master")}
    components = {path.parent.name for path in tree.glob("salt/*/init.sls")}
    python = {path.name for path in tree.glob("_*") if any(path.glob("*.py"))}
    assert shown - components - python - {"top.sls", "role", "orch"} == set()
    assert shown >= components | python | {"top.sls", "role"}


OUTSIDE = [
    "pillar/registry.yaml",
    "pillar/secrets/sandbox/secrets.yaml",
    "../pillar/secrets/sandbox/secrets.yaml",
    "role/../../pillar/secrets/sandbox/secrets.yaml",
    "/../pillar/registry.yaml",
    ".git/config",
    "../.git/config",
    "../etc/master.d/site.conf",
    "../../etc-master/master",
    "../../../../../../../../etc/passwd",
    "/etc/passwd",
]
ENVIRONMENTS = ["../pillar", "..", "dev", "__env__"]


def file_request(path, saltenv="base"):
    return {"cmd": "_serve_file", "path": path, "saltenv": saltenv, "loc": 0}


@pytest.fixture(scope="session")
def served(site):
    """What the master serves a hostile minion: ``{(path, saltenv): data}``."""
    wanted = [(path, "base") for path in ["top.sls", *OUTSIDE]]
    wanted += [("registry.yaml", saltenv) for saltenv in ENVIRONMENTS]
    answers = site.requests(LIAR, [file_request(*one) for one in wanted])
    assert not any("refused" in (answer or {}) for answer in answers), answers
    return {one: (answer or {}).get("data") for one, answer in zip(wanted, answers, strict=True)}


def test_a_file_of_the_tree_is_served(served):
    """So what follows is refused for its path, and not because nothing is served at all."""
    assert "site_hosts.parse" in served["top.sls", "base"]


@pytest.mark.parametrize("path", OUTSIDE)
def test_nothing_outside_is_served(served, path):
    assert not served[path, "base"]


@pytest.mark.parametrize("saltenv", ENVIRONMENTS)
def test_there_is_no_other_environment(served, saltenv):
    assert not served["registry.yaml", saltenv]


@pytest.mark.parametrize("url", ["salt://pillar/registry.yaml", "salt://../pillar/registry.yaml"])
def test_salt_call_gets_nothing_outside_either(site, url):
    assert not site.call(HONEST, "cp.get_file_str", url)


def pillar(site, id_):
    found = site.call(id_, "pillar.items", "unmask=True")
    return {key: value for key, value in found.items() if key != "tls"}


def test_an_honest_minion_gets_its_pillar(site, own):
    assert own[HONEST]["redis"]["secrets"]
    assert pillar(site, HONEST) == own[HONEST]


def test_a_minion_whose_grains_lie_gets_its_own_pillar(site, own):
    found = pillar(site, LIAR)
    assert found == own[LIAR]
    assert "redis" not in found
    assert found["site"]["level"] == "sandbox"


def test_a_minion_that_asks_for_anothers_pillar_gets_its_own(site, own):
    asked = {
        "cmd": "_pillar",
        "id": HONEST,
        "grains": {"id": HONEST},
        "saltenv": "base",
        "ver": "2",
    }
    [answer] = site.requests(LIAR, [asked])
    assert answer == own[LIAR]


@pytest.fixture
def other(site):
    """Another tree than the one that is served: a state, a pillar and a module differ."""
    folder = site.unpack("other")
    for name, text in (
        ("salt/top.sls", "\n# another tree\n"),
        ("_modules/site_apps.py", "\n\ndef another():\n    return 'tree'\n"),
        ("pillar/level/sandbox.sls", '\nanother: {{ salt["site_apps.another"]() }}\n'),
    ):
        with (folder / name).open("a", encoding="utf-8") as file:
            file.write(text)
    for path in folder.rglob("*"):
        # As each release has a time of its own.
        os.utime(path, (1000, 1000))
    yield "other"
    site.serve("first")


def test_the_master_follows_the_link_to_its_tree_at_once(site, other):
    """What it kept of the tree before is not shown of the next one; nor afterwards."""

    def seen():
        top = site.call(HONEST, "cp.hash_file", "salt://top.sls")["hsum"]
        return top, site.call(HONEST, "pillar.items", "unmask=True").get("another")

    before = seen()
    site.serve(other)
    after = seen()
    assert (before[1], after[1]) == (None, "tree") and after[0] != before[0]
    assert "# another tree" in site.call(HONEST, "cp.get_file_str", "salt://top.sls")
    site.serve("first")
    assert seen() == before


def test_a_strangers_key_stays_pending(site):
    with pytest.raises((AssertionError, subprocess.TimeoutExpired)):
        site.call(STRANGER, "pillar.items", "unmask=True", seconds=8)
    keys = site.root / "master/pki"
    assert (keys / "minions_pre" / STRANGER).is_file()
    assert not (keys / "minions" / STRANGER).exists()


def test_an_id_that_does_not_parse_gets_no_pillar(site):
    found = site.call(NONSENSE, "pillar.items", "unmask=True")
    assert set(found) == {"_errors"}
    refused = site.call(NONSENSE, "state.apply", "role.redis")
    assert "Pillar failed to render" in str(refused)


def test_without_the_masters_key_an_encrypted_level_gets_no_secret(site):
    found = site.call(ENCRYPTED, "pillar.items", "unmask=True")
    assert "_errors" in found
    assert "secrets" not in found["redis"]
    refused = site.call(ENCRYPTED, "state.apply", "role.redis")
    assert "Pillar failed to render" in str(refused)


def test_the_configuration_accepts_nobody_by_itself(site):
    shown = (site.root / "etc-master/master").read_text(encoding="utf-8")
    for line in ("auto_accept: false", "open_mode: false", "fileserver_followsymlinks: false"):
        assert line in shown
    for word in ("autosign", "file_recv: true", "peer:", "client_acl", "publisher_acl"):
        assert word not in shown
