"""
A real master on 127.0.0.1, with the shipped configuration and an unpacked release,
and minions that really authenticate to it.

All stands in one temporary folder; the master's processes end with the session.
"""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.offline import tree  # noqa: F401 - a fixture
from tools import tree as release

HOME = "/srv/saltworks"
READY = 60
CALL = 60


class Site:
    """The master, and minions by their id."""

    def __init__(self, root):
        self.root = root
        self.tree = root / "srv"
        self.trees = root / "release"
        self.ports = _free_ports(2)
        self.minions = {}
        self.process = None

    def unpack(self, name="first"):
        """A tree as a master serves it: links have become real files. Returns its folder."""
        content, _ = release.pack()
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(self.trees / name)  # noqa: S202 - made here a moment ago
        return self.trees / name

    def serve(self, name):
        """Let the master serve a tree, by one rename; two links lead to it, as on a host."""
        (self.root / "new").symlink_to(self.trees / name)
        (self.root / "new").replace(self.trees / "current")
        if not self.tree.is_symlink():
            self.tree.symlink_to(self.trees / "current")

    def start(self):
        """Start the master and wait until it answers."""
        text = (self.tree / "etc/master.d/site.conf").read_text(encoding="utf-8")
        shipped = yaml.safe_load(text.replace(HOME, str(self.tree)))
        for entry in shipped["ext_pillar"]:
            entry["file_tree"]["root_dir"] = str(self.root / "certificates")
        (self.root / "certificates/hosts").mkdir(parents=True)
        (self.root / "gpgkeys").mkdir(mode=0o700)
        config = dict(
            shipped,
            root_dir=str(self.root / "master"),
            pki_dir="pki",
            gpg_keydir=str(self.root / "gpgkeys"),
            interface="127.0.0.1",
            publish_port=self.ports[0],
            ret_port=self.ports[1],
            worker_threads=2,
            log_level="warning",
            log_file="log",
        )
        folder = self.root / "etc-master"
        folder.mkdir()
        (folder / "master").write_text(yaml.safe_dump(config), encoding="utf-8")
        for id_, minion in self.minions.items():
            if minion["accepted"]:
                accepted = self.root / "master/pki/minions"
                accepted.mkdir(parents=True, exist_ok=True)
                shutil.copy(minion["folder"] / "pki/minion.pub", accepted / id_)
        with (self.root / "master.out").open("wb") as output:
            self.process = subprocess.Popen(
                [_program("salt-master"), "-c", str(folder)],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=_environment(),
            )
        deadline = time.monotonic() + READY
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                with socket.create_connection(("127.0.0.1", self.ports[1]), timeout=1):
                    return
            except OSError:
                time.sleep(0.3)
        raise RuntimeError(
            f"the master did not start: {(self.root / 'master.out').read_text()[-3000:]}"
        )

    def stop(self):
        """End the master's processes, every one of its session."""
        if self.process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                break
            try:
                self.process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                continue
        self.process.wait(timeout=5)

    def minion(self, id_, accepted=True, grains=None):
        """Configuration and key of a minion; before :py:meth:`start`."""
        folder = self.root / "minions" / id_
        (folder / "pki").mkdir(parents=True)
        config = {
            "id": id_,
            "master": "127.0.0.1",
            "master_port": self.ports[1],
            "publish_port": self.ports[0],
            "root_dir": str(folder),
            "pki_dir": "pki",
            "grains": grains or {},
            "acceptance_wait_time": 2,
            "auth_timeout": 10,
            "log_level": "error",
        }
        (folder / "minion").write_text(yaml.safe_dump(config), encoding="utf-8")
        _key(folder / "pki")
        self.minions[id_] = {"folder": folder, "accepted": accepted}

    def call(self, id_, *arguments, seconds=CALL):
        """`salt-call` as that minion; returns what it answers, or raises TimeoutExpired."""
        done = subprocess.run(
            [
                _program("salt-call"),
                *("-c", str(self.minions[id_]["folder"]), "--out=json"),
                *arguments,
            ],
            capture_output=True,
            text=True,
            timeout=seconds,
            env=_environment(),
            check=False,
        )
        try:
            return json.loads(done.stdout)["local"]
        except (ValueError, KeyError):
            raise AssertionError(f"salt-call said: {done.stdout}{done.stderr}") from None

    def requests(self, id_, wanted):
        """Raw requests as that minion, see request.py; returns their answers."""
        done = subprocess.run(
            [
                sys.executable,
                str(Path(__file__).with_name("request.py")),
                str(self.minions[id_]["folder"] / "minion"),
            ],
            input=json.dumps(wanted),
            capture_output=True,
            text=True,
            timeout=2 * CALL,
            env=_environment(),
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])


def _program(name):
    return str(Path(sys.executable).with_name(name))


def _environment():
    return dict(os.environ, PYTHONWARNINGS="ignore")


def _free_ports(number):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _key(folder):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (folder / "minion.pem").touch(mode=0o400)
    (folder / "minion.pem").chmod(0o600)
    (folder / "minion.pem").write_bytes(private)
    (folder / "minion.pem").chmod(0o400)
    (folder / "minion.pub").write_bytes(public)


HONEST = "redis-sessions1.sandbox.wpd.internal"
LIAR = "memcache-cache1.sandbox.wpd.internal"
STRANGER = "redis-cache1.sandbox.wpd.internal"
NONSENSE = "nonsense.sandbox.wpd.internal"
ENCRYPTED = "redis-sessions1.staging.wpd.internal"


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The running master with its minions."""
    found = Site(tmp_path_factory.mktemp("site"))
    found.unpack()
    found.serve("first")
    found.minion(HONEST)
    # It lies in every grain that could be asked for.
    found.minion(
        LIAR,
        grains={
            "id": HONEST,
            "roles": ["redis", "sessions", "salt"],
            "site": {"roles": ["redis", "sessions"], "level": "production", "index": 1},
            "host": "salt",
            "fqdn": "salt.production.wpd.internal",
        },
    )
    found.minion(STRANGER, accepted=False)
    found.minion(NONSENSE)
    found.minion(ENCRYPTED)
    try:
        found.start()
        yield found
    finally:
        found.stop()
