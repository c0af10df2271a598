"""What a killed run, a killed host and a reboot leave behind: `up` copes, and says what it did."""

import json
import os
import signal
import subprocess

import pytest

from tests.support.hosts import LEVEL
from tests.support.waiting import wait_for
from tools.inventory import TREE
from tools.sandbox import LABEL

FLEET = [str(TREE / "fleet"), "--level", LEVEL]


def up():
    return subprocess.run([*FLEET, "up"], capture_output=True, text=True, check=False)


def status():
    done = subprocess.run([*FLEET, "status", "--json"], capture_output=True, text=True, check=False)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def victim(fleet):
    """A host whose loss the others do not notice."""
    return fleet.with_role("memcache-sessions")[-1]


@pytest.fixture(scope="module")
def unseen(fleet):
    """A host that dies together with podman's watcher of it, so that podman does not know."""
    return fleet.with_role("redis-cache")[0]


@pytest.fixture(scope="module")
def repaired(fleet, sandbox, victim, unseen):
    """One `up` after all of it at once: what it said, and how the level was before and after."""
    with subprocess.Popen(
        [*FLEET, "up"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as run:
        wait_for(
            lambda: "orchestrate" in fleet.shell("salt", "pgrep -af salt-run").stdout,
            60,
            "the run is at its orchestration",
        )
        os.killpg(run.pid, signal.SIGKILL)
    sandbox.podman.run("kill", victim.id)
    pids = sandbox.podman.json(
        "inspect", "--format", "[{{.State.ConmonPid}},{{.State.Pid}}]", unseen.id
    )
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    half = f"half-made.{LEVEL}.wpd.internal"
    image = sandbox.containers()[victim.id]["image"]
    sandbox.podman.run("create", "--name", half, "--label", f"{LABEL}={LEVEL}", image)
    before = status()
    done = up()
    return before, done, status()


def state_of(level, host):
    return next(item["state"] for item in level["hosts"] if item["id"] == host.id)


def test_status_says_that_the_hosts_are_down(repaired, victim, unseen):
    assert [state_of(repaired[0], host) for host in (victim, unseen)] == ["down", "down"]


def test_up_repairs_and_says_so(repaired):
    _, done, after = repaired
    assert done.returncode == 0, done.stderr[-2000:]
    assert "half-made" in done.stderr
    assert {host["state"] for host in after["hosts"]} == {"ok"}


def test_nothing_of_it_is_left(repaired, sandbox, fleet):
    assert set(sandbox.containers()) == {member.id for member in fleet.members}
    wait_for(
        lambda: "orchestrate" not in fleet.shell("salt", "pgrep -af salt-run").stdout,
        120,
        "the orchestration of the killed run has ended",
    )


def test_of_two_commands_at_once_one_waits(victim):
    words = [*FLEET, "apply", victim.name]
    with subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as other:
        one = subprocess.run(words, capture_output=True, text=True, check=False)
        _, said = other.communicate(timeout=300)
    assert (one.returncode, other.returncode) == (0, 0)
    assert (one.stderr + said).count("another ./fleet command works on level") == 1
