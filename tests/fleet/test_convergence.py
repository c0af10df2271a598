"""The command itself, on a fleet that runs."""

import json

from tests.support.hosts import LEVEL, fleet_command


def test_a_second_up_changes_nothing():
    done = fleet_command("up", seconds=900)
    assert done.returncode == 0, done.stderr[-2000:]
    status = json.loads(fleet_command("status", "--json").stdout)
    assert {
        host["id"]: (host["state"], host["failed"], host["changed"]) for host in status["hosts"]
    } == {host["id"]: ("ok", 0, 0) for host in status["hosts"]}
    assert status["level"] == LEVEL
    assert status["services"]
    assert all(service["url"].startswith("https://") for service in status["services"])


def test_exec_passes_input_output_and_exit_code_through():
    done = fleet_command(
        "exec", "salt", "--", "sh", "-c", "cat; echo lost >&2; exit 7", stdin="a\nb\n"
    )
    assert (done.stdout, done.returncode) == ("a\nb\n", 7)
    assert "lost" in done.stderr


def test_an_unknown_host_is_refused_with_the_known_ones():
    done = fleet_command("exec", "nosuch1", "--", "true")
    assert done.returncode == 2
    assert "no host 'nosuch1'" in done.stderr
    assert "redis-cache1" in done.stderr


def test_salt_runs_on_the_master():
    done = fleet_command("salt", "--out=json", "--static", "*", "test.ping")
    answers = json.loads(done.stdout)
    status = json.loads(fleet_command("status", "--json").stdout)
    assert answers == {host["id"]: True for host in status["hosts"]}


def test_logs_shows_the_journal():
    assert "systemd" in fleet_command("logs", "salt", "-n", "50").stdout


def test_a_strangers_key_stays_pending_and_is_reported(fleet):
    stranger = f"app99.{LEVEL}.wpd.internal"
    path = f"/etc/salt/pki/master/minions_pre/{stranger}"
    fleet.shell("salt", f"cp /etc/salt/pki/minion/minion.pub {path}")
    try:
        done = fleet_command("status")
        assert stranger in done.stdout
        assert "salt-key" in done.stdout
        assert stranger not in fleet.shell("salt", "ls /etc/salt/pki/master/minions").stdout
    finally:
        fleet.shell("salt", f"rm -f {path}")
    assert stranger not in fleet_command("status").stdout
