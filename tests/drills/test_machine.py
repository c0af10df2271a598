"""What every host leans on is broken: names, room, the clock."""

import pytest

from tests.support import keystores

CHECK = "/usr/local/lib/saltworks/check-resolver $(hostname)"


def test_dns_is_down(drill):
    """
    No name server answers.

    Nobody on these hosts can look up a name in the DNS.

    Noticed: `'resolver' status failed` in monit's log of every host. Mail to the outside
    waits; packages cannot be fetched.

    Heals: the hosts of a level know each other by `/etc/hosts`, so pages, writes and the
    master's orders go on as if nothing had happened.

    Do: see which name servers `/etc/resolv.conf` names, and whether they answer from
    another host. Others are set by `resolver:nameservers` ([daemon-down](../daemon-down.md),
    the last section).
    """
    cut = [host for role in ("salt", "app", "db", "frontend") for host in drill.hosts(role)]
    drill.load()
    for host in cut:
        drill.cut(host, port=53)
    app = drill.app()
    drill.detected(
        "the resolver's check fails",
        lambda: drill.fleet.shell(app, CHECK).returncode == 1,
        30,
    )
    drill.recovered("pages and writes go on", 20)
    assert drill.requests_failed == 0
    answers = drill.fleet.shell("salt", "salt --out=txt '*' test.ping").stdout
    assert answers.count("True") == len(drill.fleet.members), answers
    drill.tell("the master reaches every host")
    drill.heal()
    assert drill.fleet.shell(app, CHECK).returncode == 0


def test_keystore_disk_full(drill):
    """
    The disk of a host with sessions is full.

    Redis writes sessions to a file as well. It cannot any more, and takes no new ones,
    so that it never holds what a restart would lose.

    Noticed: `MISCONF Errors writing to the AOF file` in the apps' logs and in
    `journalctl -u redis-server`; monit's `filesystem root` alarms long before. Nobody
    new can sign in; who is signed in reads on.

    Heals: within a second after there is room, it takes sessions again. Nothing that it
    acknowledged is lost.

    Do: make room (`du -xh / --max-depth=3 | sort -h | tail`). Do not restart redis
    while the disk is full: it has the last sessions in memory alone.
    """
    store, app = drill.hosts("redis-sessions")[0], drill.app()
    address = drill.fleet.address(store.name)
    password = drill.fleet.secrets()["redis-sessions"]
    login = keystores.command("AUTH", password)

    def say(*words):
        return keystores.talk(drill.fleet, app, address, 6379, login, keystores.command(*words))[-1]

    acknowledged = set()

    def put():
        number = len(acknowledged)
        answer = say("SETEX", f"drill-{number}", "900", "x" * 100_000)
        if answer.startswith("+OK"):
            acknowledged.add(number)
        return answer

    filler = drill.fill_disk(store, "/var/lib/redis", "redis-server")
    drill.load()
    assert put().startswith("+OK")
    drill.fill(store, filler)
    drill.detected("redis takes no more", lambda: put().startswith("-MISCONF"), 20)
    drill.make_room(store, filler)
    drill.recovered("sessions are taken again", 20, lambda: put().startswith("+OK"))
    # With it comes a restart, from what is on the disk.
    drill.heal()
    drill.wait_until("redis is back", lambda: say("EXISTS", "drill-0") == ":1\r\n", 20)
    held = {number for number in acknowledged if say("EXISTS", f"drill-{number}") == ":1\r\n"}
    drill.compare(acknowledged, held)


@pytest.mark.long
def test_clock_is_wrong(drill):
    """
    The clock of a database host is wrong.

    Certificates, one-time passwords and logs go by the clock.

    Noticed: `chronyc tracking` on the host; certificates that are "not yet valid"; log
    lines out of order.

    Heals: chrony sets the clock right when it can reach its servers. Writes do not
    depend on it. A container has its machine's clock: there is nothing to rehearse in a
    sandbox of containers, and this drill says so.

    Do: `systemctl status chrony`, `chronyc sources`; then `chronyc makestep`.
    """
    host = drill.hosts("db")[0]
    drill.skew_clock(host, 600)
    drill.load()
    drill.heal()
    drill.recovered("pages and writes go on", 30)
