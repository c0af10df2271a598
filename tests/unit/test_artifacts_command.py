"""Files that no package archive has: which, from where, checked, and put on hosts."""

import hashlib
import subprocess
import types
import xml.etree.ElementTree as ET

import pytest

from tools import artifacts, machine
from tools.errors import FleetError

PINS = {
    "a-1.0.zip": {"artifact": "org.a:a:zip", "sha512": hashlib.sha512(b"A").hexdigest()},
    "b-c-2.jar": {"artifact": "org.b:b-c", "sha512": hashlib.sha512(b"B").hexdigest()},
}


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "CACHE", tmp_path)
    monkeypatch.setattr(artifacts.shutil, "which", lambda _name: "/usr/bin/mvn")
    return tmp_path / "artifacts"


class Maven:
    """Writes what it is told to have; keeps the project that it was given."""

    def __init__(self, monkeypatch, **files):
        self.files, self.calls, self.fails = files, [], False
        monkeypatch.setattr(artifacts.subprocess, "run", self.run)

    def run(self, command, **_options):
        pom = ET.parse(command[command.index("-f") + 1])  # noqa: S314 - our own
        names = [node.text for node in pom.iter("{http://maven.apache.org/POM/4.0.0}artifactId")]
        (folder,) = pom.iter("{http://maven.apache.org/POM/4.0.0}outputDirectory")
        self.calls.append(names)
        for name, content in self.files.items():
            with open(f"{folder.text}/{name}", "wb") as handle:  # noqa: PTH123
                handle.write(content)
        said = "[ERROR] no such artifact\n[INFO] more" if self.fails else ""
        return subprocess.CompletedProcess(command, int(self.fails), said, "")


def test_a_role_needs_what_its_components_pin():
    assert "opensearch-3.4.0.zip" in artifacts.needed(["elastic"])
    assert artifacts.needed(["memcache", "sessions"]) == {}


def test_they_are_fetched_once_and_checked(cache, monkeypatch):
    maven = Maven(monkeypatch, **{"a-1.0.zip": b"A", "b-c-2.jar": b"B"})
    said = []
    assert artifacts.fetch(PINS, said.append) == cache
    assert artifacts.fetch(PINS, said.append) == cache
    assert len(said) == len(maven.calls) == 1
    assert maven.calls[0][-2:] == ["a", "b-c"]
    assert sorted(path.name for path in cache.iterdir()) == sorted(PINS)


def test_a_file_that_is_not_the_pinned_one_is_not_kept(cache, monkeypatch):
    Maven(monkeypatch, **{"a-1.0.zip": b"A", "b-c-2.jar": b"evil"})
    with pytest.raises(FleetError, match=r"b-c-2\.jar is not the file that is pinned"):
        artifacts.fetch(PINS, lambda _sentence: None)
    assert not (cache / "b-c-2.jar").exists()


def test_what_maven_cannot_fetch_is_said(cache, monkeypatch):
    Maven(monkeypatch).fails = True
    with pytest.raises(FleetError, match="no such artifact"):
        artifacts.fetch(PINS, lambda _sentence: None)


def test_a_machine_without_maven_gets_it(cache, monkeypatch):
    Maven(monkeypatch, **{"a-1.0.zip": b"A", "b-c-2.jar": b"B"})
    monkeypatch.setattr(artifacts.shutil, "which", lambda _name: None)
    asked = []
    monkeypatch.setattr(machine, "install_packages", lambda _say, wanted: asked.append(wanted))
    artifacts.fetch(PINS, lambda _sentence: None)
    assert list(asked[0]) == ["maven"]


def test_a_host_gets_what_it_lacks(cache, monkeypatch):
    Maven(monkeypatch, **{"a-1.0.zip": b"A", "b-c-2.jar": b"B"})
    monkeypatch.setattr(artifacts, "needed", lambda roles: PINS if "elastic" in roles else {})
    put = []

    def inside(host_id, *command, stdin=None, check=True):
        if command[0] == "ls":
            assert not check
            return types.SimpleNamespace(stdout="a-1.0.zip\n")
        put.append((host_id, command[-1], stdin))
        return None

    hosts = [
        types.SimpleNamespace(id="elastic1", roles=("elastic",)),
        types.SimpleNamespace(id="app1", roles=("app",)),
    ]
    transport = types.SimpleNamespace(inside=inside)
    artifacts.deliver(transport, hosts, lambda _sentence: None)
    assert put == [("elastic1", "b-c-2.jar", b"B")]
    monkeypatch.setattr(artifacts, "needed", lambda _roles: {"a-1.0.zip": PINS["a-1.0.zip"]})
    artifacts.deliver(transport, hosts[:1], lambda _sentence: None)
    assert len(put) == 1
