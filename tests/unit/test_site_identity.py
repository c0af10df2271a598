"""The grains that a host makes from its id."""

import logging

import pytest
import yaml

from tests.unit.conftest import ROOT, load_module

HOST = "memcache-sessions2.sandbox.wpd.internal"


def identity(host_id=HOST):
    return load_module("_grains/site_identity.py", opts={"id": host_id})


@pytest.fixture
def names_file(tmp_path, names, monkeypatch):
    """A file of names, and the module site_hosts told to read it."""
    path = tmp_path / "site_names.yaml"
    path.write_text(yaml.safe_dump(names), encoding="utf-8")

    def stand_in():
        module = load_module("_modules/site_hosts.py")
        module.NAMES_FILE = str(path)
        return module

    return path, stand_in


def test_the_grains_say_what_the_id_says(names_file, monkeypatch):
    module = identity()
    monkeypatch.setattr(module, "_site_hosts", names_file[1])
    assert module.site() == {
        "site": {"roles": ["memcache", "sessions"], "level": "sandbox", "index": 2}
    }


def test_a_wrong_id_gives_no_grains_and_a_line_in_the_log(names_file, monkeypatch, caplog):
    module = identity("db1.qa.wpd.internal")
    monkeypatch.setattr(module, "_site_hosts", names_file[1])
    with caplog.at_level(logging.ERROR):
        assert module.site() == {}
    assert "no such level 'qa'" in caplog.text


def test_without_the_file_no_grains(names_file, monkeypatch, caplog):
    names_file[0].unlink()
    module = identity()
    monkeypatch.setattr(module, "_site_hosts", names_file[1])
    with caplog.at_level(logging.ERROR):
        assert module.site() == {}
    assert "no site grains: [Errno 2]" in caplog.text


def test_a_broken_file_gives_no_grains(names_file, monkeypatch):
    names_file[0].write_text("{", encoding="utf-8")
    module = identity()
    monkeypatch.setattr(module, "_site_hosts", names_file[1])
    assert module.site() == {}


@pytest.mark.parametrize("folder", ["_modules", "modules"])
def test_site_hosts_is_found_in_the_tree_and_in_the_minions_cache(tmp_path, folder, monkeypatch):
    (tmp_path / folder).mkdir()
    source = (ROOT / "_modules/site_hosts.py").read_text(encoding="utf-8")
    (tmp_path / folder / "site_hosts.py").write_text(source, encoding="utf-8")
    module = identity()
    monkeypatch.setattr(module, "__file__", str(tmp_path / "grains/site_identity.py"))
    assert module._site_hosts().HostIdError.__name__ == "HostIdError"


def test_before_the_first_sync_there_are_no_grains(tmp_path, monkeypatch, caplog):
    module = identity()
    monkeypatch.setattr(module, "__file__", str(tmp_path / "grains/site_identity.py"))
    assert module.site() == {}
    assert "wait for the module site_hosts" in caplog.text
