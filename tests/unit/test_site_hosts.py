"""The grammar of host ids, the own address, and the other hosts of the level."""

import builtins
import importlib.util
import re
import sys

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.unit.conftest import ROOT, load_module

site_hosts = load_module("_modules/site_hosts.py")
REAL = site_hosts.load_names(ROOT / "pillar")
NAMES = {
    "domain": "wpd.internal",
    "levels": ["production", "sandbox", "staging"],
    "roles": {
        **REAL["roles"],
        # A role whose name ends in digits, and one that is the head of others.
        "webat25": {"kind": "service"},
        "mem": {"kind": "service"},
    },
}
SERVICES = sorted(name for name, role in NAMES["roles"].items() if role["kind"] == "service")
DUTIES = sorted(name for name, role in NAMES["roles"].items() if role["kind"] == "duty")

LEVELS = st.sampled_from(NAMES["levels"])
ROLES = st.builds(
    lambda first, rest: [first, *rest],
    st.sampled_from(SERVICES),
    st.lists(st.sampled_from(DUTIES), unique=True, max_size=len(DUTIES)),
)
INDEXES = st.none() | st.integers(min_value=1, max_value=10**9)


def parse(host_id):
    return site_hosts.parse_id(host_id, NAMES)


def written(roles, index, level, dotted):
    """The id that these parts make."""
    service = "-".join(roles) + ("" if index is None else str(index))
    return f"{service}{'.' if dotted else '-'}{level}.{NAMES['domain']}"


@pytest.mark.parametrize(
    ("host_id", "roles", "level", "index"),
    [
        ("salt.staging.wpd.internal", ["salt"], "staging", None),
        ("db1.production.wpd.internal", ["db"], "production", 1),
        ("memcache-jobs1.sandbox.wpd.internal", ["memcache", "jobs"], "sandbox", 1),
        ("app3-staging.wpd.internal", ["app"], "staging", 3),
        ("memcache-sessions2-staging.wpd.internal", ["memcache", "sessions"], "staging", 2),
        ("webat25.sandbox.wpd.internal", ["webat25"], "sandbox", None),
        ("webat251.sandbox.wpd.internal", ["webat25"], "sandbox", 1),
        ("memcache1.sandbox.wpd.internal", ["memcache"], "sandbox", 1),
        ("mem1.sandbox.wpd.internal", ["mem"], "sandbox", 1),
    ],
)
def test_ids_that_parse(host_id, roles, level, index):
    assert parse(host_id) == {
        "id": host_id,
        "name": host_id.split(".")[0],
        "roles": roles,
        "level": level,
        "index": index,
        "domain": "wpd.internal",
    }


@pytest.mark.parametrize(
    ("host_id", "message"),
    [
        ("unknownrole1.staging.wpd.internal", "no such role 'unknownrole1'; known roles: "),
        ("db1", "no level in it; known levels: production, sandbox, staging"),
        ("db1.wpd.internal", "no level in it; known levels: production, sandbox, staging"),
        ("-staging.wpd.internal", "'-staging' is not a host name label"),
        ("db1.qa.wpd.internal", "no such level 'qa'; known levels: production, sandbox, staging"),
        ("db1-qa.wpd.internal", "no level in it; known levels: production, sandbox, staging"),
        ("db1.staging.example.org", "the domain is 'example.org', not 'wpd.internal'"),
        ("db1.staging", "the domain is '', not 'wpd.internal'"),
        ("DB1.staging.wpd.internal", "'DB1' is not a host name label"),
        ("db1..wpd.internal", "'' is not a host name label"),
        (f"{'a' * 64}.staging.wpd.internal", "is not a host name label"),
        ("db01.staging.wpd.internal", "no such role 'db01'"),
        ("db0.staging.wpd.internal", "no such role 'db0'"),
        ("memcache1-sessions.staging.wpd.internal", "no such role 'memcache1'"),
        ("sessions1.staging.wpd.internal", "'sessions' is a duty inside a service"),
        ("db-app1.staging.wpd.internal", "'app' is a service of its own"),
        ("memcache-jobs-jobs.staging.wpd.internal", "a role stands in it twice"),
        ("", "expected <role>[<index>].<level>.<domain>"),
        (None, "expected <role>[<index>].<level>.<domain>"),
        (7, "expected <role>[<index>].<level>.<domain>"),
    ],
)
def test_ids_that_do_not_parse(host_id, message):
    with pytest.raises(site_hosts.HostIdError, match=re.escape(message)):
        parse(host_id)


def test_no_level_is_no_level_even_where_a_level_is_the_whole_name():
    with pytest.raises(site_hosts.HostIdError, match="no level in it"):
        parse("staging.wpd.internal")


@given(ROLES, INDEXES, LEVELS, st.booleans())
def test_what_is_built_from_valid_parts_parses_back(roles, index, level, dotted):
    # `webat` would be read as `webat25` with an index only if a role webat were there:
    # the registry's own rules forbid such a pair.
    host_id = written(roles, index, level, dotted)
    assume(len(host_id.split(".", maxsplit=1)[0]) <= 63)
    found = parse(host_id)
    assert (found["roles"], found["index"], found["level"]) == (roles, index, level)


def check_any(text):
    """Whatever the text: an error of the one kind, or a level that stands in it."""
    try:
        found = parse(text)
    except site_hosts.HostIdError as error:
        assert str(error)
        return
    assert found["level"] in NAMES["levels"]
    assert re.search(rf"[.-]{found['level']}\.", text)
    assert text.startswith(found["roles"][0])
    assert found["id"] == text


@given(st.text())
def test_any_text_is_an_error_or_names_its_level(text):
    check_any(text)


@given(ROLES, INDEXES, LEVELS, st.booleans(), st.data())
def test_a_mutated_id_is_an_error_or_names_its_level(roles, index, level, dotted, data):
    text = written(roles, index, level, dotted)
    for _ in range(data.draw(st.integers(min_value=1, max_value=4))):
        at = data.draw(st.integers(min_value=0, max_value=len(text)))
        removed = data.draw(st.integers(min_value=0, max_value=4))
        added = data.draw(st.text(alphabet="abdeginoprstuv0123456789.-\n é", max_size=4))
        text = text[:at] + added + text[at + removed :]
    check_any(text)


def test_sorted_by_roles_then_by_index_as_a_number():
    ids = [f"{name}.staging.wpd.internal" for name in ("db10", "db2", "app1", "salt")]
    hosts = sorted((parse(host_id) for host_id in ids), key=site_hosts.sort_key)
    assert [host["name"] for host in hosts] == ["app1", "db2", "db10", "salt"]


def test_names_are_read_from_the_tree(tmp_path):
    (tmp_path / "registry.yaml").write_text("domain: wpd.internal\nroles: {}\n", encoding="utf-8")
    (tmp_path / "level").mkdir()
    for level in ("staging", "sandbox"):
        (tmp_path / "level" / f"{level}.sls").write_text("{}\n", encoding="utf-8")
    names = site_hosts.load_names(tmp_path)
    assert names == {"domain": "wpd.internal", "roles": {}, "levels": ["sandbox", "staging"]}


def test_the_registry_comes_from_pillar(load):
    module = load("_modules/site_hosts.py", pillar={"registry": NAMES})
    assert module.registry() is NAMES


def test_the_registry_comes_from_the_tree_where_pillar_is_rendered(load):
    roots = {"base": ["/nowhere", str(ROOT / "pillar")]}
    module = load("_modules/site_hosts.py", opts={"pillar_roots": roots})
    assert module.registry() == REAL


def test_no_registry_is_an_error(load):
    module = load("_modules/site_hosts.py", opts={"pillar_roots": {"base": ["/nowhere"]}})
    with pytest.raises(module.CommandExecutionError, match="neither in pillar nor under"):
        module.registry()


SITES = {"docs": {"role": "app"}, "mail": {"role": "mail", "only": "sink"}}


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ({}, {"docs", "mail"}),
        ({"postfix": {}}, {"docs", "mail"}),
        ({"postfix": {"deliver": "sink"}}, {"docs", "mail"}),
        ({"postfix": {"deliver": "outside"}}, {"docs"}),
        ({"postfix": {"deliver": "elsewhere"}}, {"docs"}),
    ],
)
def test_the_mailbox_is_a_site_only_where_mail_ends_in_it(level, expected):
    assert set(site_hosts.sites_of(SITES, level)) == expected


def test_a_condition_that_nobody_knows_is_not_met():
    assert site_hosts.sites_of({"docs": {"role": "app", "only": "sunday"}}, {}) == {}


def test_the_sites_come_from_pillar(load):
    module = load("_modules/site_hosts.py", pillar={"sites": SITES})
    assert module.sites() is SITES


@pytest.mark.parametrize(("level", "sunk"), [("production", False), ("sandbox", True)])
def test_the_sites_come_from_the_tree_where_pillar_is_rendered(load, level, sunk):
    roots = {"base": ["/nowhere", str(ROOT / "pillar")]}
    # The master's own id says nothing of the minion whose pillar it is.
    opts = {"pillar_roots": roots, "id": "salt.demo.wpd.internal_master"}
    found = load("_modules/site_hosts.py", opts=opts).sites(level)
    assert "docs" in found and ("mail" in found) is sunk


def test_no_sites_is_an_error(load):
    opts = {"pillar_roots": {"base": ["/nowhere"]}, "id": "salt.staging.wpd.internal"}
    module = load("_modules/site_hosts.py", opts=opts, pillar={"registry": NAMES})
    for level in (None, "staging"):
        with pytest.raises(module.CommandExecutionError, match="neither in pillar nor under"):
            module.sites(level)


MINE = {
    "salt.sandbox.wpd.internal": "10.0.0.10",
    "db10.sandbox.wpd.internal": "10.0.0.30",
    "db2.sandbox.wpd.internal": "10.0.0.22",
    "memcache-sessions1.sandbox.wpd.internal": "10.0.0.41",
    "memcache-cache1.sandbox.wpd.internal": "10.0.0.42",
    "db1.staging.wpd.internal": "10.9.0.21",
    "db3.sandbox.wpd.internal": None,
    "a stranger": "10.0.0.66",
}


def on_host(host_id, mine=None, addresses=("10.0.0.1",), **opts):
    """The module as it is on one host."""
    return load_module(
        "_modules/site_hosts.py",
        opts={"id": host_id, **opts},
        pillar={"registry": NAMES},
        salt={
            "mine.get": lambda target, function: mine,
            "network.ip_addrs": lambda: list(addresses),
        },
    )


APP = "app1.sandbox.wpd.internal"


def test_parse_is_of_the_own_id_or_of_a_given_one():
    module = on_host(APP)
    assert module.parse()["id"] == APP
    assert module.parse("db2.staging.wpd.internal")["level"] == "staging"


def test_the_one_address():
    assert on_host(APP).address() == "10.0.0.1"


def test_the_address_inside_the_site_network():
    module = on_host(APP, addresses=["172.17.0.1", "10.0.0.1"], site_network="10.0.0.0/24")
    assert module.address() == "10.0.0.1"


@pytest.mark.parametrize(
    ("addresses", "opts", "message"),
    [
        ([], {}, "has 0 internal addresses and no site_network is set: none"),
        (["10.0.0.2", "10.0.0.1"], {}, "has 2 internal addresses .*: 10.0.0.1, 10.0.0.2"),
        (["10.1.0.1"], {"site_network": "10.0.0.0/24"}, "0 .*in site_network 10.0.0.0/24: none"),
    ],
)
def test_an_unclear_address_is_an_error(addresses, opts, message):
    module = on_host(APP, addresses=addresses, **opts)
    with pytest.raises(module.CommandExecutionError, match=message):
        module.address()


def test_peers_are_of_the_own_level_and_sorted():
    found = on_host(APP, MINE).peers("db", minimum=2)
    assert found == [
        {"id": "db2.sandbox.wpd.internal", "name": "db2", "address": "10.0.0.22"},
        {"id": "db10.sandbox.wpd.internal", "name": "db10", "address": "10.0.0.30"},
    ]


@pytest.mark.parametrize("roles", [("memcache", "sessions"), ("memcache-sessions",)])
def test_peers_have_all_the_roles(roles):
    assert [host["name"] for host in on_host(APP, MINE).peers(*roles)] == ["memcache-sessions1"]


def test_too_few_by_the_registry():
    module = on_host(APP, MINE)
    with pytest.raises(module.CommandExecutionError, match=r"2 hosts with the role db .* 3 needed"):
        module.peers("db")


def test_what_nobody_needs_may_be_none():
    assert on_host("db1.sandbox.wpd.internal", MINE).peers("redis") == []


@pytest.mark.parametrize("mine", [None, {}])
def test_an_empty_mine_is_too_few(mine):
    module = on_host(APP, mine)
    assert module.peers("db", minimum=0) == []
    with pytest.raises(module.CommandExecutionError, match="0 hosts with the role memcache-cache"):
        module.peers("memcache-cache")


@pytest.mark.parametrize("roles", [(), ("nosuch",), ("db", "nosuch")])
def test_peers_of_no_role_is_an_error(roles):
    module = on_host(APP, MINE)
    with pytest.raises(module.CommandExecutionError, match=r"no such role .(nosuch)?.; known"):
        module.peers(*roles)


def test_the_mine_is_asked_once_a_run_and_again_in_the_next(monkeypatch):
    module = on_host(APP, {APP: "10.0.0.1"})
    answers = [{APP: "10.0.0.1", "memcache-sessions1.sandbox.wpd.internal": "10.0.0.7"}, {}]
    module.__salt__["mine.get"] = lambda target, function: answers.pop(0)
    for _ in range(2):
        assert [host["name"] for host in module.peers("memcache", minimum=0)] == [
            "memcache-sessions1"
        ]
    later = module.time.monotonic() + module.MINE_SECONDS + 1
    monkeypatch.setattr(module.time, "monotonic", lambda: later)
    assert module.peers("memcache", minimum=0) == [] and not answers


def test_a_mined_text_that_is_no_address_stops_all():
    module = on_host(APP, {"db1.sandbox.wpd.internal": "10.0.0.1; reboot"})
    with pytest.raises(ValueError, match="does not appear to be"):
        module.peers("db", minimum=0)


def test_everyone_so_far_may_be_nobody():
    assert on_host(APP, {}).everyone(complete=False) == []
    assert [host["name"] for host in on_host(APP, MINE).everyone(complete=False)] == [
        "db2",
        "db10",
        "memcache-cache1",
        "memcache-sessions1",
        "salt",
    ]


def test_the_command_line_reads_ids_without_a_salt(monkeypatch):
    real = builtins.__import__

    def without_salt(name, *args, **kwargs):
        if name.split(".")[0] == "salt":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_salt)
    monkeypatch.delitem(sys.modules, "salt.exceptions", raising=False)
    spec = importlib.util.spec_from_file_location("bare", ROOT / "_modules/site_hosts.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.CommandExecutionError.__module__ == "bare"
    with pytest.raises(module.CommandExecutionError, match="no level in it"):
        module.parse_id("db1", NAMES)
