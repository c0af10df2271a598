"""monit on every host; what it does when a daemon dies is in the drills."""

import pytest

from tests.support import registry
from tests.support.services import stopped
from tests.support.waiting import wait_for

# Beside those that every host has.
PROGRAMS = {
    "app": ["wiki-docs", "wiki-test"],
    "db": ["galera-left"],
    "salt": ["versions"],
    "source": ["upstreams"],
}


def _summary(host):
    """{check: status} as `monit summary` prints it; the host, whose id it cuts, is `system`."""
    rows = [line.split() for line in host.check_output("monit -B summary").splitlines()[2:]]
    return {"system" if row[-1] == "System" else row[0]: " ".join(row[1:-1]) for row in rows}


def test_every_service_is_watched_and_well(host, fleet):
    wanted = {service["name"] for service in registry.services(fleet.inventory.names, host.roles)}
    wanted |= {"root", "resolver", "system", "mail-queue", "certificates"}
    wanted |= {name for role in host.roles for name in PROGRAMS.get(role, ())}
    assert set(_summary(host)) == wanted

    def well():
        assert _summary(host) == dict.fromkeys(wanted, "OK")
        return True

    wait_for(well, 90, f"monit on {host.name} reports every check as OK", interval=3)


def test_root_alone_talks_to_monit(host):
    socket = host.file("/run/monit.sock")
    assert (socket.user, socket.mode) == ("root", 0o600)
    assert host.file("/etc/monit/monitrc").mode == 0o600
    assert host.run("ss -Hltnp | grep -w monit").rc == 1


def test_the_log_is_turned(host):
    done = host.run("logrotate --debug /etc/logrotate.d/monit")
    assert done.rc == 0
    assert "/var/log/monit.log" in done.stderr + done.stdout
    assert host.service("logrotate.timer").is_enabled


def test_a_resolver_that_is_silent_is_told_from_one_that_says_no(host):
    check = "/usr/local/lib/saltworks/check-resolver"
    assert host.run(f"{check} no-such-name.{host.id}").rc == 0
    host.check_output(
        "nft 'add table inet saltworks_silence; "
        "add chain inet saltworks_silence output { type filter hook output priority 0; }; "
        "add rule inet saltworks_silence output meta l4proto { tcp, udp } th dport 53 drop'"
    )
    try:
        silent = host.run(f"{check} {host.id}")
    finally:
        host.check_output("nft delete table inet saltworks_silence")
    assert (silent.rc, "does not answer" in silent.stdout) == (1, True), silent


@pytest.mark.role("memcache-sessions")
def test_what_a_test_has_stopped_stays_away(host):
    """Whatever monit does meanwhile."""
    with stopped(host, "memcached"):
        assert host.run("systemctl --no-block start memcached").rc != 0
        assert not host.service("memcached").is_running
    assert host.service("memcached").is_running
    assert host.run("systemctl cat memcached | grep RefuseManualStart").rc == 1
