"""A level with a network of caches of somebody else in front: pillar `cdn`."""

import shutil

import pytest

from tests.support.offline import TREE
from tools import compiler

LEVEL = "staging"
SETTINGS = """
cdn:
  enabled: true
  networks: [198.51.100.0/24, "2001:db8::/32"]
  client_header: CDN-Client
  key_header: CDN-Key
  purge: [purge.cdn.example:8080]
"""
HEADER = "proxy_set_header CDN-Client"


def files(tree, names):
    """``{name: {path: text}}`` of some hosts of the level in that tree."""
    wanted = {
        host.split(".")[0]: host
        for host in compiler.host_ids(tree, LEVEL)
        if host.split(".")[0] in names
    }
    found = compiler.compile_hosts(tree, wanted.values())
    for name, host in wanted.items():
        assert found[host]["problems"] == [], name
    return {
        name: {path: file["text"] for path, file in found[host]["files"].items()}
        for name, host in wanted.items()
    }


@pytest.fixture(scope="module")
def behind(tmp_path_factory):
    """Hosts of the level, with the network in front of it."""
    copy = tmp_path_factory.mktemp("cdn") / "tree"
    shutil.copytree(TREE, copy, symlinks=True, ignore=shutil.ignore_patterns(".git", "golden"))
    with (copy / f"pillar/level/{LEVEL}.sls").open("a", encoding="utf-8") as file:
        file.write(SETTINGS)
    return files(copy, ["frontend1", "app1", "blog1"])


@pytest.fixture(scope="module")
def bare(compiled):
    """The same hosts, as they are."""
    return {
        host.split(".")[0]: {path: file["text"] for path, file in result["files"].items()}
        for host, result in compiled[LEVEL].items()
    }


def test_the_client_s_address_is_believed_from_that_network_alone(behind, bare):
    text = behind["frontend1"]["/etc/nginx/nginx.conf"]
    trusted = [line.split()[1] for line in text.splitlines() if "set_real_ip_from" in line]
    assert trusted == ["198.51.100.0/24;", "2001:db8::/32;"]
    assert "real_ip_header CDN-Client;" in text
    # Without one nobody is believed.
    text = bare["frontend1"]["/etc/nginx/nginx.conf"]
    assert "set_real_ip_from" not in text and "real_ip_header" not in text


def test_apps_believe_the_frontends_and_not_that_network(behind, bare):
    for name in ("app1", "blog1"):
        path = "/etc/nginx/nginx.conf"
        assert behind[name][path] == bare[name][path]
        assert "real_ip_header X-Client-IP;" in behind[name][path]


def test_its_header_goes_no_further(behind, bare):
    for path, text in behind["frontend1"].items():
        if path.startswith("/etc/nginx/proxy-sites/"):
            assert f'{HEADER} "";' in text, path
            assert HEADER not in bare["frontend1"][path], path


def test_who_does_not_know_the_key_is_refused(behind, bare):
    key = compiler.stand_in(LEVEL, "cdn-key")
    private = behind["frontend1"]["/etc/varnish/private.vcl"]
    assert f'if (req.http.CDN-Key != "{key}") {{\n        return (synth(403));' in private
    assert "unset req.http.CDN-Key;" in private
    assert "synth" not in bare["frontend1"]["/etc/varnish/private.vcl"]
    for name, found in behind.items():
        for path, text in found.items():
            assert path == "/etc/varnish/private.vcl" or key not in (text or ""), f"{name} {path}"


def test_it_is_told_how_long_to_keep_and_others_are_not(behind, bare):
    own = (TREE / "salt/varnish/files/own-cache.vcl").read_text("utf-8")
    assert own.strip() in bare["frontend1"]["/etc/varnish/site.vcl"]
    assert "s-maxage" not in behind["frontend1"]["/etc/varnish/site.vcl"]


@pytest.mark.parametrize(
    ("name", "word"), [("app1", "$wgCdnServers"), ("blog1", "'purge' => ")], ids=["wiki", "blog"]
)
def test_apps_take_pages_out_of_it_too(behind, bare, name, word):
    found = {path: text for path, text in behind[name].items() if word in (text or "")}
    assert found
    for path, text in found.items():
        assert "purge.cdn.example:8080" in text, path
        assert "purge.cdn.example" not in bare[name][path], path
        # Our own caches are told all the same.
        assert bare[name][path].count(":6081") == text.count(":6081") == 2, path
