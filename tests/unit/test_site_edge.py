"""What the caches at the edge are told, by varnish's own program."""

import os

import pytest
from salt.exceptions import CommandExecutionError

# It writes down what it was told, word by word.
VARNISHADM = """#!/bin/sh
printf '%s|' "$@" >> {folder}/told
echo >> {folder}/told
{does}
"""


@pytest.fixture
def edge(load):
    return load("_modules/site_edge.py", pillar={"site": {"domain": "webplatform.test"}})


@pytest.fixture
def varnish(tmp_path, monkeypatch):
    """Have a varnishadm that does something; returns what it was told so far."""

    def program(does="echo; exit 0"):
        path = tmp_path / "varnishadm"
        path.write_text(VARNISHADM.format(folder=tmp_path, does=does))
        path.chmod(0o755)
        return lambda: [
            line.split("|")[:-1] for line in (tmp_path / "told").read_text().splitlines()
        ]

    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return program


def test_all_pages_of_the_sites_are_forgotten_and_of_no_other(edge, varnish):
    told = varnish()
    assert edge.forget(["docs", "test"]) == ["docs.webplatform.test", "test.webplatform.test"]
    assert told() == [
        ["-t", "10", "ban", "req.http.host == docs.webplatform.test"],
        ["-t", "10", "ban", "req.http.host == test.webplatform.test"],
    ]


@pytest.mark.parametrize("enabled", [True, False])
def test_what_a_network_in_front_keeps_is_told(load, varnish, enabled):
    told = varnish()
    pillar = {"site": {"domain": "webplatform.test"}, "cdn": {"enabled": enabled}}
    edge = load("_modules/site_edge.py", pillar=pillar)
    if enabled:
        why = r"network in front .* pages of docs\.webplatform\.test until they end\. Remedy: "
        with pytest.raises(CommandExecutionError, match=why):
            edge.forget(["docs"])
    else:
        assert edge.forget(["docs"]) == ["docs.webplatform.test"]
    # The own cache has forgotten them all the same.
    assert len(told()) == 1 and edge.forget([]) == []


def test_without_sites_nothing_is_forgotten(edge, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert edge.forget([]) == []


@pytest.mark.parametrize("where", ["", " >&2"])
def test_a_cache_that_does_not_is_told_in_its_own_words(edge, varnish, where):
    told = varnish(f"echo 'Connection failed'{where}; exit 2")
    why = r"the cache does not forget docs\.webplatform\.test: Connection failed$"
    with pytest.raises(CommandExecutionError, match=why):
        edge.forget(["docs", "test"])
    assert len(told()) == 1


def test_a_host_without_a_cache_says_so(edge, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CommandExecutionError, match="this host has no cache"):
        edge.forget(["docs"])


def test_the_master_knows_those_words(load):
    """It holds up no deploy for a host that is being made."""
    edge, deploy = (load(f"_modules/site_{name}.py") for name in ("edge", "deploy"))
    assert edge.NO_CACHE == deploy.NO_CACHE
