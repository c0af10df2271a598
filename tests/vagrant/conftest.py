"""Vagrant, a client for podman's socket, and a copy of the tree with a level of its own."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from tools import machine
from tools.inventory import TREE

LEVEL = "vagrant"
NETWORK = "10.238.0.0/24"


def _apt(*words, **options):
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    return subprocess.run(
        ["apt-get", "-qq", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
        **options,
    )


@pytest.fixture(scope="session")
def docker_client(tmp_path_factory):
    """
    A folder with a command `docker`: the machine's, or podman's substitute.

    The substitute is one script; it is taken out of its package, not installed.
    """
    found = shutil.which("docker")
    if found:
        return Path(found).parent
    folder = tmp_path_factory.mktemp("docker")
    _apt("update")
    # By its own user apt may not write here.
    _apt("-o", "APT::Sandbox::User=root", "download", "podman-docker", cwd=folder)
    archive = next(folder.glob("*.deb"))
    subprocess.run(["dpkg-deb", "-x", str(archive), str(folder / "root")], check=True)
    return folder / "root" / "usr" / "bin"


@pytest.fixture(scope="session")
def vagrant_installed():
    """Debian's Vagrant, with the plugin for libvirt."""
    machine.require_root()
    machine.install_packages(print)
    if not Path("/usr/share/doc/vagrant-libvirt").exists():
        _apt("update")
        _apt("-y", "install", "--no-install-recommends", "vagrant", "vagrant-libvirt")


@pytest.fixture(scope="session")
def environment(vagrant_installed, docker_client, tmp_path_factory):
    """Variables for Vagrant: plugins and global state of nobody's home."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("VAGRANT_", "FLEET_", "DOCKER_", "CONTAINER_"))
    }
    return dict(
        kept,
        PATH=f"{docker_client}:{os.environ['PATH']}",
        VAGRANT_HOME=str(tmp_path_factory.mktemp("vagrant-home")),
        VAGRANT_CHECKPOINT_DISABLE="1",
    )


@pytest.fixture(scope="session")
def copy(tmp_path_factory):
    """A clone's worth of this tree, with one level more: a sandbox of two hosts."""
    there = tmp_path_factory.mktemp("tree") / "saltworks"
    names = subprocess.check_output(
        ["git", "-C", str(TREE), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        text=True,
    )
    for name in filter(None, names.split("\0")):
        source, target = TREE / name, there / name
        if source.is_symlink() or source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    subprocess.run(["git", "init", "-q", str(there)], check=True)
    inventory = {
        "level": LEVEL,
        "network": NETWORK,
        "hosts": dict.fromkeys(["salt", "memcache-sessions1", "redis-sessions1"]),
    }
    (there / f"inventory/{LEVEL}.yaml").write_text(yaml.safe_dump(inventory), "utf-8")
    level = (there / "pillar/level/sandbox.sls").read_text("utf-8")
    assert "level: sandbox" in level
    (there / f"pillar/level/{LEVEL}.sls").write_text(
        level.replace("level: sandbox", f"level: {LEVEL}"), "utf-8"
    )
    shutil.copytree(there / "pillar/secrets/sandbox", there / f"pillar/secrets/{LEVEL}")
    return there


@pytest.fixture(scope="module")
def reached(socket):
    """Variables by which Docker's client, or podman's substitute, reaches the service."""
    return {"DOCKER_HOST": f"unix://{socket}", "CONTAINER_HOST": f"unix://{socket}"}


@pytest.fixture(scope="module")
def socket(tmp_path_factory):
    """Podman's Docker-compatible service on a socket of its own, for as long as a module runs."""
    path = tmp_path_factory.mktemp("podman") / "podman.sock"
    service = subprocess.Popen(
        [
            *("podman", "--runtime", machine.runtime()),
            *("system", "service", "--time", "0", f"unix://{path}"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until = time.monotonic() + 30
    while not path.exists():
        assert service.poll() is None, "podman's service ended at once"
        assert time.monotonic() < until, "podman's service made no socket"
        time.sleep(0.2)
    yield path
    os.killpg(service.pid, signal.SIGTERM)
    service.wait(timeout=30)
