"""The static sites and the further domains, as frontends get them."""

import re
import shutil
import time

import pytest
import yaml

from tests.support.offline import none
from tools import compiler

CONFIG = "/etc/nginx/sites-enabled/domains.conf"
MANY = 500


@pytest.fixture(scope="module")
def frontends(compiled):
    """``{(level, host id): result}``."""
    return {
        (level, host): result
        for level, hosts in compiled.items()
        for host, result in hosts.items()
        if host.startswith("frontend")
    }


def tables(text):
    """``{variable: {name: value}}`` of the maps in an nginx configuration."""
    return {
        variable: dict(re.findall(r'^    ([a-z0-9.-]+\.[a-z0-9-]+) "?([^";]*)"?;$', body, re.M))
        for variable, body in re.findall(r"^map \S+ \$(\w+) \{\n(.*?)^\}", text, re.M | re.S)
    }


def test_every_static_site_is_served_at_every_level(frontends):
    assert frontends
    for key, result in frontends.items():
        sites = set(result["pillar"]["static-sites"])
        run = {
            state["name"]
            for state in result["states"]
            if state["function"] == "site_release.deployed"
        }
        assert run == sites == set(result["pillar"]["release"]["apps"]), key
        served = result["files"]["/etc/nginx/sites-enabled/www.conf"]["text"]
        domain = result["pillar"]["site"]["domain"]
        for site in sites:
            assert f"server_name {site}.{domain};" in served, key
            assert f"{site}.{domain}" in result["files"]["/etc/hosts"]["text"], key


def test_each_domain_is_in_the_tables_once(frontends):
    for key, result in frontends.items():
        table = result["pillar"]["domains"]["table"]
        if not table:
            assert CONFIG not in result["files"], key
            continue
        text = result["files"][CONFIG]["text"]
        found = tables(text)
        assert found.pop("domains_certificate") == {name: name for name in table}, key
        assert sorted(name for names in found.values() for name in names) == sorted(table), key
        for server in re.findall(r"server_name\n(.*?);", text, re.S):
            assert server.split() == sorted(table), key


def test_the_master_makes_certificates_for_the_frontends_alone(compiled):
    for level, hosts in compiled.items():
        table = next(r for h, r in hosts.items() if h.startswith("frontend"))["pillar"]["domains"]
        made = {
            state["name"]: state["arguments"]["domains"]
            for result in hosts.values()
            for state in result["states"]
            if state["function"] == "site_domains.certificates_made"
        }
        assert made == {
            f"/var/lib/saltworks/pki/hosts/{host}/domains/secrets": sorted(table["table"])
            for host in hosts
            if host.startswith("frontend")
        }, level


# -- hundreds of them ----------------------------------------------------------


def changed_tree(tree, folder, level, domains):
    """A copy of the tree in which a level has these further domains; returns its path."""
    root = folder / "tree"
    for part in ("_engines", "_modules", "_states", "etc", "inventory", "pillar", "salt"):
        shutil.copytree(tree / part, root / part, symlinks=True)
    (root / "pillar/domains.yaml").write_text(yaml.safe_dump({level: domains}), "utf-8")
    return root


def many():
    """So many domains, of each kind some."""
    kinds = [
        {"to": "docs/wiki"},
        {"to": "blog/", "path": False, "status": 302},
        {"to": "https://elsewhere.example/a", "status": 308},
        {"site": "compat"},
        {"site": "webat25"},
    ]
    return {f"old-name-{number}.test": kinds[number % 5] for number in range(MANY)}


def test_hundreds_of_domains_cost_little(tree, tmp_path):
    hosts = ["frontend1.sandbox.wpd.internal", "salt.sandbox.wpd.internal"]
    seconds, states = [], []
    for number, domains in enumerate(({}, many())):
        root = changed_tree(tree, tmp_path / str(number), "sandbox", domains)
        started = time.monotonic()
        results = compiler.compile_hosts(root, hosts)
        seconds.append(time.monotonic() - started)
        for result in results.values():
            none(result["problems"])
        states.append([len(result["states"]) for result in results.values()])
    # Not one state more for all of them, and no more time than the machine is busy.
    assert states[0] == states[1]
    assert seconds[1] < 3 * seconds[0] + 5, seconds
    found = tables(results[hosts[0]]["files"][CONFIG]["text"])
    docs, blog = "https://docs.webplatform.test/wiki$request_uri", "https://blog.webplatform.test/"
    assert found["domains_301"] == {f"old-name-{n}.test": docs for n in range(0, MANY, 5)}
    assert found["domains_302"] == {f"old-name-{n}.test": blog for n in range(1, MANY, 5)}
    assert set(found["domains_308"].values()) == {"https://elsewhere.example/a$request_uri"}
    assert sorted(found["domains_site"].values()) == ["compat"] * 100 + ["webat25"] * 100
    assert len(found["domains_certificate"]) == MANY


def test_a_wrong_domain_is_told_in_words_and_makes_nothing(tree, tmp_path):
    root = changed_tree(tree, tmp_path, "sandbox", {"old.test": {"to": "nowhere/"}})
    result = compiler.compile_hosts(root, ["frontend1.sandbox.wpd.internal"])
    said = "\n".join(result["frontend1.sandbox.wpd.internal"]["problems"])
    assert "domain 'old.test': leads to the unknown site 'nowhere'" in said
    assert result["frontend1.sandbox.wpd.internal"]["states"] == []
