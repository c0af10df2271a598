"""The rules themselves: each lets a good sample pass and refuses a bad one."""

import copy

import pytest
import yaml

from tests.data import rules
from tests.support.offline import SMALL_TREE, none
from tools import compiler

LEVELS = ["sandbox", "staging"]
REGISTRY = {
    "domain": "wpd.internal",
    "every": {"services": {"sshd": {"listens": [{"port": 22, "from": ["operators"]}]}}},
    "roles": {
        "memo": {
            "kind": "service",
            "purpose": "Keeps notes",
            "owner": "platform",
            "needs": {"memo-fast": 1},
            "services": {"memo": {"listens": [{"port": 11211, "from": ["memo-fast", "site"]}]}},
        },
        "fast": {"kind": "duty", "purpose": "Quick", "owner": "platform"},
    },
}
INVENTORIES = {
    "sandbox": {
        "level": "sandbox",
        "network": "10.1.0.0/24",
        "hosts": {"memo1": None, "memo-fast1": None},
    },
    "staging": {
        "level": "staging",
        "network": "10.2.0.0/24",
        "hosts": {"memo-fast1": {"address": "10.2.0.9"}},
    },
}


def refused(problems, message):
    assert any(message in problem and "Cure: " in problem for problem in problems), problems


def changed(data, *path, to):
    """A copy of nested data with one value replaced."""
    data = copy.deepcopy(data)
    part = data
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = to
    return data


def test_good_inventories_pass():
    none(rules.wrong_inventories(INVENTORIES, REGISTRY, LEVELS))
    none(rules.wrong_numbers(INVENTORIES, REGISTRY, LEVELS))


@pytest.mark.parametrize(
    ("path", "to", "message"),
    [
        (("sandbox", "level"), "staging", "level is 'staging'"),
        (("sandbox", "hosts"), {"mem1": None}, "no such role 'mem1'; known roles: fast, memo"),
        (("sandbox", "hosts"), {"fast1": None}, "is a duty"),
        (("sandbox", "hosts"), {"Memo1": None}, "is not a host name label"),
        (("sandbox", "hosts"), {"memo1": {"address": "10.2.0.9"}}, "have the address 10.2.0.9"),
        (("sandbox", "network"), "10.2.0.0/16", "networks overlap"),
        (("qa",), {"level": "qa", "hosts": {}}, "write pillar/level/qa.sls"),
    ],
)
def test_wrong_inventories_are_refused(path, to, message):
    refused(rules.wrong_inventories(changed(INVENTORIES, *path, to=to), REGISTRY, LEVELS), message)


def test_a_host_twice_is_refused():
    none(rules.doubled_hosts({"sandbox": "hosts:\n  a1:\n  a2:\n"}))
    refused(rules.doubled_hosts({"sandbox": "hosts:\n  a1:\n  a1:\n"}), "a1 stands there twice")


def test_too_few_hosts_are_refused():
    few = changed(INVENTORIES, "staging", "hosts", to={"memo1": None})
    refused(
        rules.wrong_numbers(few, REGISTRY, LEVELS),
        "role memo needs 1 hosts with the role memo-fast",
    )


def test_too_many_hosts_are_refused():
    one = changed(REGISTRY, "roles", "memo", to=REGISTRY["roles"]["memo"] | {"most": 1})
    found = rules.wrong_numbers(INVENTORIES, one, LEVELS)
    refused(found, "inventory/sandbox.yaml: 2 hosts have the role memo, of which a level has at")
    assert len(found) == 1
    two = changed(REGISTRY, "roles", "memo", to=REGISTRY["roles"]["memo"] | {"most": 2})
    none(rules.wrong_numbers(INVENTORIES, two, LEVELS))


@pytest.fixture
def role_files(tmp_path):
    for path in ("pillar/role/memo.sls", "pillar/role/fast.sls", "salt/role/memo.sls"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("{}\n")
    return tmp_path


def test_good_roles_pass(role_files):
    none(rules.wrong_roles(REGISTRY, role_files))


@pytest.mark.parametrize(
    ("path", "to", "message"),
    [
        (("roles", "memo", "owner"), "", "role memo has no owner"),
        (("roles", "memo", "needs"), {"memo-slow": 1}, "the unknown slow"),
        (("roles", "memo", "services", "memo", "listens", 0, "from"), ["app"], "the unknown app"),
        (("roles", "fast", "kind"), "service", "salt/role/fast.sls: missing"),
        (("roles", "new"), REGISTRY["roles"]["fast"], "pillar/role/new.sls: missing"),
    ],
)
def test_wrong_roles_are_refused(role_files, path, to, message):
    refused(rules.wrong_roles(changed(REGISTRY, *path, to=to), role_files), message)


def test_a_file_of_no_role_is_refused(role_files):
    (role_files / "salt/role/old.sls").write_text("{}\n")
    refused(rules.wrong_roles(REGISTRY, role_files), "salt/role/old.sls: no such role")


def test_a_port_twice_is_refused():
    none(rules.shared_ports(REGISTRY))
    services = {"memo": {"listens": [{"port": 22}]}}
    refused(
        rules.shared_ports(changed(REGISTRY, "roles", "memo", "services", to=services)),
        "port 22/tcp",
    )


# -- sites and domains ---------------------------------------------------------

DOMAINS = {"sandbox": {"old.test": {"to": "docs/"}, "t.test": {"site": "www"}}, "staging": None}
OWN = {"sandbox": "webplatform.test", "staging": "webplatformstaging.org"}


def domain_problems(table):
    text = yaml.safe_dump(table)
    return rules.wrong_domains(table, text, OWN, "wpd.internal", ["www"], ["docs"], {})


def test_good_domains_pass():
    none(domain_problems(DOMAINS))


@pytest.mark.parametrize(
    ("path", "to", "message"),
    [
        (("qa",), {}, "no such level 'qa'"),
        (("staging",), {"old.test": {"site": "www"}}, "old.test stands there 2 times"),
        (
            ("staging",),
            {"docs.webplatform.test": {"site": "www"}},
            "belongs to webplatform.test, which is not of this level",
        ),
        (("sandbox", "db1.wpd.internal"), {"to": "docs/"}, "belongs to wpd.internal"),
        (("sandbox", "x.test"), {"to": "https://old.test/"}, "which leads on"),
    ],
)
def test_wrong_domains_are_refused(path, to, message):
    refused(domain_problems(changed(DOMAINS, *path, to=to)), message)


def test_a_domain_twice_in_a_level_is_refused():
    text = "sandbox:\n  old.test: {to: docs/}\n  old.test: {site: www}\n"
    found = rules.wrong_domains(
        yaml.safe_load(text), text, OWN, "wpd.internal", ["www"], ["docs"], {}
    )
    refused(found, "old.test stands there 2 times")


@pytest.mark.parametrize(
    ("entry", "well"),
    [
        ({"site": "www"}, True),
        ({"to": "docs/wiki", "path": False, "status": 307}, True),
        ({"to": "https://elsewhere.example/"}, True),
        ({}, False),
        ({"site": "www", "to": "docs/"}, False),
        ({"to": "docs/", "status": 200}, False),
        ({"to": "docs/$host"}, False),
        ({"site": "www", "path": True}, False),
    ],
)
def test_the_schema_of_domains(tree, entry, well):
    found = rules.schemas(tree)
    pillar = {"domains": {"table": {"old.test": entry}}}
    assert (rules.invalid(pillar, "frontend1", found, complete=True) == []) is well
    wrong = {"domains": {"table": {"Old.test": {"site": "www"}}}}
    assert rules.invalid(wrong, "frontend1", found)


def test_static_sites_and_their_first_versions_belong_together(tmp_path):
    (tmp_path / "salt/gitolite/seeds/ours/www").mkdir(parents=True)
    www, new = ({"repository": f"ours/{name}"} for name in ("www", "new"))
    none(rules.wrong_sites({"www": www}, {}, ["docs"], tmp_path))
    others = {"branches": {"sandbox": "main"}, "repository": "a/wiki"}
    none(rules.wrong_sites({"www": www}, {"wiki": others}, ["docs"], tmp_path))
    ours = {"wiki": others | {"roles": ["app"]}}
    found = rules.wrong_sites({"www": www}, ours, ["docs"], tmp_path)
    refused(found, "pillar/apps.yaml: wiki has no first version")
    found = rules.wrong_sites({"www": www, "new": new}, {}, ["docs"], tmp_path)
    refused(found, "new has no first version")
    refused(rules.wrong_sites({}, {}, ["docs"], tmp_path), "no app or static site has it")
    refused(
        rules.wrong_sites({"www": www}, {}, ["www"], tmp_path), "stands in pillar/sites.yaml, too"
    )

    known = {"wiki": others | {"cached": ["docs", "dosc"]}}
    refused(rules.wrong_sites({"www": www}, known, ["docs"], tmp_path), "`cached` has dosc, which")


def test_a_wiki_or_blog_that_the_edge_never_forgets_is_refused():
    sites = {"docs": {}, "notes": {}, "blog": {}, "own": {"cache": False}}
    result = {"id": "app1", "pillar": {"sites": sites}}
    merged = {
        "mediawiki": {"wikis": {"docs": {}, "notes": {}, "own": {}, "hidden": {}}},
        "wordpress": {"host": "blog"},
    }
    apps = {"code": {"cached": ["docs"]}, "other": {}, "more": {"cached": ["notes", "blog"]}}
    none(rules.unforgotten(result, merged, apps))
    none(rules.unforgotten(result, {"memo": {}}, {}))
    refused(rules.unforgotten(result, merged, {"code": apps["code"]}), "has notes of app1")
    refused(rules.unforgotten(result, merged, {"code": apps["code"]}), "has blog of app1")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{debian: wiki}", None),
        ("{git: 'https://code.example.org:8443/x/y.git'}", None),
        ("{debian: Wiki}", "upstream/x"),
        ("{debian: wiki, git: 'https://code.example.org/x'}", "upstream/x"),
        ("{git: 'https://ada:secret@code.example.org/x'}", "upstream/x"),
        ("{git: 'ssh://code.example.org/x'}", "upstream/x"),
        ("{git: /etc}", "upstream/x"),
        ("{}", "upstream/x"),
        ("{debian: wiki}\nupstream/x: {debian: wiki}", "stands there 2 times"),
        ("{debian: wiki}\nupstream: {debian: wiki}", "does not match"),
        ("{debian: wiki}\nours/www: {debian: wiki}", "www is pushed to ours/www"),
    ],
)
def test_wrong_upstreams_are_refused(tree, entry, message):
    found = rules.wrong_upstreams(
        f"# a\nupstream/x: {entry}\n", {"www": {"repository": "ours/www"}}, tree
    )
    if message:
        refused(found, message)
    else:
        none(found)
    none(rules.wrong_upstreams("# nothing\n", {}, tree))


# -- schemas -------------------------------------------------------------------


def test_open_and_broken_schemas_are_refused(small_tree):
    none(rules.open_schemas(rules.schemas(small_tree)))
    refused(rules.open_schemas({"memo": {"properties": {"a": {}}}}), "lets unknown keys pass")
    nested = {"additionalProperties": {"type": "object", "properties": {"a": {}}}}
    refused(rules.open_schemas({"memo": nested}), "/additionalProperties lets unknown keys pass")
    refused(rules.open_schemas({"memo": {"type": "nothing"}}), "no JSON Schema")
    by_name = {"$ref": "#/$defs/part", "$defs": {"part": {"properties": {"a": {}}}}}
    refused(rules.open_schemas({"memo": by_name}), "#/$defs/part lets unknown keys pass")
    none(rules.open_schemas({"memo": dict(by_name, unevaluatedProperties=False)}))
    none(rules.open_schemas({"memo": {"additionalProperties": {"if": {"required": ["a"]}}}}))


@pytest.mark.parametrize(
    ("pillar", "message"),
    [
        ({"memmo": {}}, "the key 'memmo' has no schema"),
        ({"memo": {"prt": 1}}, "'prt' was unexpected"),
        ({"memo": {"port": "many"}}, "memo:port"),
        ({"memo": {"secrets": {"pasword": "x"}}}, "'pasword' was unexpected"),
    ],
)
def test_wrong_pillar_is_refused(small_tree, pillar, message):
    found = rules.schemas(small_tree)
    none(rules.invalid({"memo": {"port": 1}}, "memo1", found))
    refused(rules.invalid(pillar, "memo1", found), message)


def test_a_wrong_value_is_not_said(small_tree):
    schema = {"memo": {"type": "object", "properties": {"password": {"type": "integer"}}}}
    problems = rules.invalid({"memo": {"password": "very private"}}, "memo1", schema)
    assert problems
    assert "very private" not in "".join(problems)


def test_what_is_required_is_asked_of_the_whole_only(small_tree):
    schema = {"memo": {"type": "object", "required": ["port"]}}
    none(rules.invalid({"memo": {}}, "memo1", schema))
    refused(rules.invalid({"memo": {}}, "memo1", schema, complete=True), "'port' is a required")


def test_merging_is_as_salt_does_it():
    defaults = {"a": {"b": 1, "c": [1]}, "d": 1}
    assert rules.merge(defaults, {"a": {"c": [2]}, "e": 1}) == {
        "a": {"b": 1, "c": [2]},
        "d": 1,
        "e": 1,
    }


def test_a_compiled_host_is_judged_with_its_defaults(small_tree):
    host_id = "memo1.sandbox.wpd.internal"
    result = compiler.compile_hosts(small_tree, [host_id], jobs=1)[host_id]
    merged = rules.with_defaults(small_tree, result)
    assert merged["memo"]["port"] == 11211
    assert merged["memo"]["secrets"] == {"password": "sandbox-only-memo-fake"}


# -- secrets -------------------------------------------------------------------

SANDBOX = "pillar/secrets/sandbox/secrets.yaml"
STAGING = "pillar/secrets/staging/secrets.yaml"
BLOCK = SMALL_TREE[STAGING]


def test_good_secrets_pass(small_tree):
    none(rules.wrong_secrets(small_tree))


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        (SANDBOX, "memo-password: a-fake\nnew: b-fake\n", "./fleet secret init staging"),
        (
            STAGING,
            BLOCK + BLOCK.replace("memo-password", "old").replace("hF4", "hF5"),
            "old is not in",
        ),
        (STAGING, "memo-password: in clear\n", "stands in clear"),
        (STAGING, "memo-password: '-----BEGIN PGP MESSAGE----- x'\n", "stands in clear"),
        (SANDBOX, BLOCK, "memo-password is encrypted"),
        (SANDBOX, "memo-password: a-fake\nmemo-rsa-key: b-fake\n", "memo-rsa-key is no key"),
        (SANDBOX, "memo-password: a-fake\na: a-fake\n", "has the value of memo-password"),
        (SANDBOX, "memo-password: a-fake\na: b-fake\n", "not sorted"),
        (STAGING, None, "./fleet secret init staging"),
    ],
)
def test_wrong_secrets_are_refused(small_tree, path, text, message):
    if text is None:
        (small_tree / path).unlink()
    else:
        (small_tree / path).write_text(text)
    refused(rules.wrong_secrets(small_tree), message)


def test_one_value_in_two_levels_is_refused(small_tree):
    (small_tree / "inventory/production.yaml").write_text("level: production\nhosts: {}\n")
    (small_tree / "pillar/secrets/production").mkdir()
    (small_tree / "pillar/secrets/production/secrets.yaml").write_text(BLOCK)
    refused(rules.wrong_secrets(small_tree), "has the value of memo-password of level production")


VALUES = {"memo-password": "a-fake"}


def host(pillar, *components):
    states = [{"sls": f"{name}.more"} for name in components]
    return {"id": "memo1", "pillar": pillar, "states": states}


def test_secrets_in_their_place_pass():
    none(
        rules.misplaced_secrets(host({"memo": {"secrets": {"password": "a-fake"}}}, "memo"), VALUES)
    )


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (host({"memo": {"password": "a-fake"}}, "memo"), "put it under <component>:secrets"),
        (host({"memo": {"urls": ["x://a-fake@"]}}, "memo"), "put it under <component>:secrets"),
        (host({"memo": {"secrets": {"password": "a-fake"}}}, "redis"), "not the component memo"),
    ],
)
def test_misplaced_secrets_are_refused(result, message):
    refused(rules.misplaced_secrets(result, VALUES), message)


def test_unused_secrets_are_refused():
    results = {"sandbox": {"memo1": host({"memo": {"secrets": {"password": "a-fake"}}}, "memo")}}
    none(rules.unused_secrets(results, {"sandbox": VALUES}))
    refused(rules.unused_secrets(results, {"sandbox": dict(VALUES, old="b")}), "has old")


# -- one place, and used -------------------------------------------------------


def test_unused_defaults_are_refused(small_tree):
    none(rules.unused_defaults(small_tree))
    (small_tree / "salt/memo/defaults.yaml").write_text("port: 1\nspeed: 2\n")
    refused(rules.unused_defaults(small_tree), "nothing uses the key 'speed'")


PINNED = "# why\nsalt==1234.5\nMemoDB==1.1.1\n"


@pytest.mark.parametrize(
    "text", ["salt" + "==1234.5", "version: 1234.5", "memodb==1.0.9", "MemoDB: 1.1.2"]
)
def test_a_second_pin_is_refused(text):
    refused(rules.other_pins({"tools/x": text}, PINNED), "tools/x: ")


def test_prose_and_other_numbers_pass():
    none(rules.other_pins({"docs/x.md": "Salt 1234.5", "x": "1.1.1 and 1234.56"}, PINNED))
