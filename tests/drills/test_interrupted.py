"""What a killed run, a killed host and a reboot leave behind: `up` copes, and says what it did."""

import json
import os
import signal
import subprocess

from tests.support.hosts import LEVEL
from tools.inventory import TREE
from tools.sandbox import LABEL

FLEET = [str(TREE / "fleet"), "--level", LEVEL]
# The jobs that a minion is at.
JOBS = "/var/cache/salt/minion/proc"


def up():
    return subprocess.run([*FLEET, "up"], capture_output=True, text=True, check=False)


def status():
    done = subprocess.run([*FLEET, "status", "--json"], capture_output=True, text=True, check=False)
    return json.loads(done.stdout)


def state_of(level, host):
    return next(item["state"] for item in level["hosts"] if item["id"] == host.id)


def orchestrates(fleet):
    return "orchestrate" in fleet.shell("salt", "pgrep -af salt-run").stdout


def test_run_is_killed(drill, sandbox):
    """
    A run of `up` is killed in its middle, and hosts die with it.

    Its orchestration goes on without it. One host dies, another together with podman's
    watcher of it, so that podman takes it for running; a third was just being made.

    Noticed: `./fleet status` says which hosts are down, whatever podman takes them for.

    Heals: the next `./fleet up` waits for the orchestration of the killed run, removes
    what is half made, starts what is dead, and says each of it.

    Do: `./fleet up`, as often as it takes.
    """
    fleet = drill.fleet
    # Hosts whose loss the others do not notice.
    victim, unseen = drill.hosts("memcache-sessions")[-1], drill.hosts("redis-cache")[0]
    first = drill.hosts("db")[0]
    drill.load()
    with subprocess.Popen(
        [*FLEET, "up"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as run:
        try:
            # Every host has answered by then: nobody waits for the two that die now.
            drill.wait_until(
                "the run is at its first highstates",
                lambda: first.run(f"grep -qrs state.highstate {JOBS}").rc == 0,
                120,
            )
        finally:
            os.killpg(run.pid, signal.SIGKILL)
    drill.happens("the run is killed")
    drill.kill(victim)
    drill.tell(f"{unseen.name} dies with podman's watcher of it")
    for pid in sandbox.podman.json(
        "inspect", "--format", "[{{.State.ConmonPid}},{{.State.Pid}}]", unseen.id
    ):
        os.kill(pid, signal.SIGKILL)
    half = f"half-made.{LEVEL}.wpd.internal"
    image = sandbox.containers()[victim.id]["image"]
    sandbox.podman.run("create", "--name", half, "--label", f"{LABEL}={LEVEL}", image)
    before = status()
    assert [state_of(before, host) for host in (victim, unseen)] == ["down", "down"]
    drill.detected("status says that both are down")

    done = up()
    assert done.returncode == 0, done.stderr[-2000:]
    assert "half-made" in done.stderr
    assert {host["state"] for host in status()["hosts"]} == {"ok"}
    drill.recovered("up has repaired the level, and said so", 1, lambda: True)
    assert set(sandbox.containers()) == {member.id for member in fleet.members}
    drill.wait_until("no orchestration is left", lambda: not orchestrates(fleet), 120)


def test_of_two_commands_at_once_one_waits(fleet):
    words = [*FLEET, "apply", fleet.with_role("memcache-sessions")[-1].name]
    with subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as other:
        one = subprocess.run(words, capture_output=True, text=True, check=False)
        _, said = other.communicate(timeout=300)
    assert (one.returncode, other.returncode) == (0, 0)
    assert (one.stderr + said).count("another ./fleet command works on level") == 1
