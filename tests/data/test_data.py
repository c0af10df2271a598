"""The data of the fleet, as it is in this repository."""

import subprocess

import pytest

from tests.data import rules
from tests.support.offline import every_host, none
from tools import compiler


@pytest.fixture(scope="session")
def found(tree):
    return rules.schemas(tree)


@pytest.fixture(scope="session")
def known_levels(tree):
    return sorted(path.stem for path in (tree / "pillar/level").glob("*.sls"))


@pytest.fixture(scope="session")
def values(tree):
    return {level: compiler.secret_values(tree, level) for level in compiler.levels(tree)}


def test_schemas_are_closed(found):
    assert found
    none(rules.open_schemas(found))


@every_host
def test_pillar_is_as_its_schemas_want_it(compiled, found, level, host_id):
    result = compiled[level][host_id]
    assert "site" in result["pillar"], f"{host_id} has no pillar: {result['problems']}"
    assert "_errors" not in result["pillar"], result["problems"]
    none(rules.invalid(result["pillar"], host_id, found))


@every_host
def test_the_edge_forgets_what_a_deploy_changes(compiled, tree, level, host_id):
    result = compiled[level][host_id]
    apps = rules.load(tree / "pillar/apps.yaml")
    none(rules.unforgotten(result, rules.with_defaults(tree, result), apps))


@every_host
def test_defaults_and_pillar_together_are_complete(compiled, found, tree, level, host_id):
    merged = rules.with_defaults(tree, compiled[level][host_id])
    none(rules.invalid(merged, host_id, found, complete=True))


def test_inventories(tree, registry, known_levels):
    none(rules.wrong_inventories(rules.inventories(tree), registry, known_levels))


def test_no_host_stands_twice(tree):
    none(
        rules.doubled_hosts(
            {path.stem: path.read_text("utf-8") for path in (tree / "inventory").glob("*.yaml")}
        )
    )


def test_every_role_has_the_hosts_it_needs(tree, registry, known_levels):
    none(rules.wrong_numbers(rules.inventories(tree), registry, known_levels))


def test_roles(tree, registry):
    none(rules.wrong_roles(registry, tree))


def test_no_two_services_share_a_port(registry):
    none(rules.shared_ports(registry))


def test_levels_have_domains_of_their_own(compiled):
    domains = [
        next(iter(hosts.values()))["pillar"]["site"]["domain"] for hosts in compiled.values()
    ]
    assert len(set(domains)) == len(domains), f"pillar/level/: one domain twice in {domains}"


def test_static_sites(tree):
    names = ("static-sites", "apps", "sites")
    static, apps, sites = (rules.load(tree / f"pillar/{name}.yaml") for name in names)
    none(rules.wrong_sites(static, apps, sites, tree))


def test_upstreams(tree):
    text = (tree / "pillar/upstreams.yaml").read_text(encoding="utf-8")
    none(rules.wrong_upstreams(text, rules.load(tree / "pillar/static-sites.yaml"), tree))


def test_further_domains(compiled, tree, registry):
    own = {
        level: next(iter(hosts.values()))["pillar"]["site"]["domain"]
        for level, hosts in compiled.items()
    }
    path = tree / "pillar/domains.yaml"
    data = [
        rules.load(tree / f"pillar/{name}.yaml") for name in ("static-sites", "sites", "redirects")
    ]
    text = path.read_text(encoding="utf-8")
    none(rules.wrong_domains(rules.load(path), text, own, registry["domain"], *data))


def test_secrets_of_the_levels(tree):
    none(rules.wrong_secrets(tree))


@every_host
def test_secrets_stand_where_their_component_is(compiled, values, level, host_id):
    none(rules.misplaced_secrets(compiled[level][host_id], values[level]))


def test_every_secret_is_used(compiled, values):
    none(rules.unused_secrets(compiled, values))


def test_every_default_is_used(tree):
    none(rules.unused_defaults(tree))


def test_salt_is_pinned_in_one_place(tree):
    listed = subprocess.run(
        ["git", "-C", str(tree), "ls-files", "-z"], capture_output=True, text=True, check=True
    ).stdout
    files = {
        name: (tree / name).read_text(encoding="utf-8", errors="replace")
        for name in listed.split("\0")
        if name and name != "requirements/salt.txt" and (tree / name).is_file()
    }
    none(rules.other_pins(files, (tree / "requirements/salt.txt").read_text(encoding="utf-8")))
