"""Two hosts booted, converged, tested and destroyed by Vagrant, with the docker provider."""

import os
import subprocess
import sys
import tempfile

import pytest

from tests.vagrant.conftest import LEVEL

HOSTS = ("salt", "memcache-sessions1")
DOMAIN = f"{LEVEL}.wpd.internal"
# The tests of the sandbox that ask nothing of hosts that are not booted here.
KEYSTORES = "tests/fleet/test_keystores.py"
TESTS = (
    "tests/fleet/test_hosts.py",
    "tests/fleet/test_ports.py",
    "tests/fleet/test_nftables.py",
    f"{KEYSTORES}::test_memcached_listens_inside_only",
    f"{KEYSTORES}::test_memcached_shows_nobody_its_keys",
    f"{KEYSTORES}::test_sessions_in_memcached_cannot_be_flushed",
)


def podman(*words):
    return subprocess.run(
        ["podman", *words], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()


def left_behind():
    """Containers and networks of the level, whoever made them."""
    return [
        name
        for name in (
            podman("ps", "--all", "--format", "{{.Names}}")
            + podman("network", "ls", "--format", "{{.Name}}")
        )
        if name.endswith(f".{DOMAIN}") or name == f"vagrant-{LEVEL}"
    ]


@pytest.fixture(scope="module")
def vagrant(environment, copy, reached):
    """Run vagrant in the copy; at the end nothing of it is left, whatever happened."""
    variables = dict(
        environment,
        **reached,
        VAGRANT_DEFAULT_PROVIDER="docker",
        FLEET_LEVEL=LEVEL,
        FLEET_HOSTS=",".join(HOSTS),
    )

    def run(*words, seconds=60):
        return subprocess.run(
            ["vagrant", *words],
            cwd=copy,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    yield run
    run("destroy", "-f")
    for name in HOSTS:
        subprocess.run(
            ["podman", "rm", "--force", "--ignore", f"{name}.{DOMAIN}"],
            capture_output=True,
            check=True,
        )
    subprocess.run(
        ["podman", "network", "rm", "--force", f"vagrant-{LEVEL}"], capture_output=True, check=False
    )


@pytest.fixture
def sockets():
    """A folder for SSH's sockets; those under pytest's own have names too long for one."""
    with tempfile.TemporaryDirectory(prefix="saltworks-") as folder:
        yield folder


@pytest.fixture(scope="module")
def booted(vagrant):
    assert left_behind() == []
    done = vagrant("up", "--provider=docker", seconds=400)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    return done


def test_up_boots_and_converges(booted, vagrant):
    states = [
        line.split(",")[1::2]
        for line in vagrant("status", "--machine-readable").stdout.splitlines()
        if ",state," in line
    ]
    assert states == [[name, "running"] for name in HOSTS]


def test_keys_were_exchanged_and_none_is_pending(booted, vagrant):
    done = vagrant("ssh", "salt", "-c", "sudo salt-key --list=all --out=json")
    assert done.returncode == 0, done.stderr
    for name in HOSTS:
        assert f"{name}.{DOMAIN}" in done.stdout
    pending = vagrant("ssh", "salt", "-c", "sudo ls /etc/salt/pki/master/minions_pre")
    assert (pending.returncode, pending.stdout.strip()) == (0, "")


def test_the_fleet_tests_run_unchanged(booted, vagrant, copy, tmp_path, sockets):
    config = tmp_path / "ssh-config"
    done = vagrant("ssh-config")
    assert done.returncode == 0, done.stderr
    # One login for each host, not one for each command.
    common = f"Host *\n  ControlMaster auto\n  ControlPersist 10\n  ControlPath {sockets}/%C\n"
    config.write_text(done.stdout + common, "utf-8")
    done = subprocess.run(
        [
            *(sys.executable, "-P", "-m", "pytest", "-v", "-p", "no:cacheprovider"),
            *(f"--fleet-ssh-config={config}", *TESTS),
        ],
        cwd=copy,
        env=dict(os.environ, FLEET_LEVEL=LEVEL, PYTHONPATH=str(copy)),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    for name in HOSTS:
        assert f"test_no_unit_failed[{name}] PASSED" in done.stdout


def test_a_second_provision_changes_nothing(booted, vagrant):
    done = vagrant("provision", seconds=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for name in HOSTS:
        assert f"{name} ok, 0 changed" in " ".join(done.stdout.split())


def test_destroy_leaves_nothing(booted, vagrant):
    done = vagrant("destroy", "-f")
    assert done.returncode == 0, done.stdout + done.stderr
    assert left_behind() == []
