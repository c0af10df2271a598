"""Hosts of the site die: pages go on, or say in plain words what is wrong."""

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
import yaml

from tests.support import keystores
from tests.support.hosts import fleet_command
from tools.inventory import TREE

# One page of every public site; behind each stands a daemon that has to answer.
PAGES = {
    "www": "/",
    "docs": "/wiki/Special:Version",
    "blog": "/?s=drill",
    "accounts": "/",
    "search": "/?q=drill",
}
# Who is missed, when the only host of a role has gone: its own site alone.
OWN_SITE = {"blog": "blog", "accounts": "accounts", "app": "docs"}
ROUNDS = 3
SECONDS_TO_RETURN = 120
# Where apps find each keystore on their own host.
PORTS = {
    "memcache-sessions": 11211,
    "redis-sessions": 6379,
    "memcache-cache": 11255,
    "redis-cache": 6355,
}
STATISTICS = 'bash -c "cat < /dev/tcp/127.0.0.1/22222"'


def pages(site):
    """``{site: address of its page}``."""
    known = yaml.safe_load((TREE / "pillar/sites.yaml").read_text("utf-8"))
    return {name: site.url(name, path) for name, path in PAGES.items() if name in {"www", *known}}


def opened(site, page):
    """A page for a reader who tries twice: (status, text), or None when nobody answered."""
    last = None
    for _ in range(2):
        try:
            # No kept connections: each page is a new visitor's.
            answer = site.session().get(page, timeout=(4, 20), headers={"Connection": "close"})
        except requests.RequestException:
            continue
        last = answer.status_code, answer.text
        if answer.status_code < 500:
            break
    return last


def all_opened(site):
    """``{site: what :py:func:`opened` returns}`` of every page, opened at the same time."""
    wanted = pages(site)
    with ThreadPoolExecutor(len(wanted)) as pool:
        found = pool.map(lambda page: opened(site, page), wanted.values())
        return dict(zip(wanted, found, strict=True))


def missed_site(drill, host):
    """The site that nobody else serves, or None."""
    alone = len(drill.fleet.with_role("-".join(host.roles))) == 1
    return OWN_SITE.get(host.roles[0]) if alone else None


@contextlib.contextmanager
def pages_go_on(drill, host):
    """A host dies; meanwhile every page opens, but for its own site's, which says why not."""
    with ThreadPoolExecutor(1) as pool:
        drill.kill(host)
        reading = pool.submit(read_on, drill, host)
        yield
        reading.result()
    drill.tell("every page opened, or said in words what is wrong")


def read_on(drill, host):
    """Open every page some times, as visitors who try twice."""
    missed = missed_site(drill, host)
    for _ in range(ROUNDS):
        for name, answer in all_opened(drill.site).items():
            if name != missed:
                assert answer and answer[0] == 200, f"{name}: {answer and answer[0]}"
                continue
            # A kept copy is as good as a page that says what is wrong.
            assert answer, f"{name}: nobody answered"
            assert answer[0] in (200, 502, 503, 504), answer[0]
            assert f"https://www.{drill.site.domain}" in answer[1] or answer[0] == 200


def comes_back(drill, host):
    """The host is started, and every page opens."""
    drill.start(host)
    drill.wait_until(
        "every page opens",
        lambda: all((answer or [0])[0] == 200 for answer in all_opened(drill.site).values()),
        SECONDS_TO_RETURN,
    )


def left_out_of(drill, site, host):
    """A condition: a frontend gives this host no requests of a site."""
    return drill.left_out(drill.hosts("frontend")[0].name, site, host.name)


def left_out_of_databases(drill, hosts):
    """A condition: the apps' broker has left out a database host that is among these."""
    first = next(host for host in hosts if "db" in host.roles)
    return drill.left_out(drill.app(), "mariadb", first.name)


@pytest.mark.parametrize(
    "role",
    [
        "redis-sessions",
        "memcache-cache",
        pytest.param("memcache-sessions", marks=pytest.mark.long),
        pytest.param("redis-cache", marks=pytest.mark.long),
    ],
)
def test_keystore_dies(drill, role):
    """
    A host with a keystore dies.

    Sessions and caches are in memory on hosts of their own, behind a broker on each app
    host.

    Noticed: `server_err` and `server_timedout` of that host rise in nutcracker's
    statistics (port 22222 of an app host). People notice slower pages where it was a
    cache; where it held sessions, those on it are logged out.

    Heals: nutcracker leaves the host out by itself, tries it again every 20 seconds
    (each second where it is the only one), and takes it back.

    Do: start it, or make it anew under the same id. The database is not touched, and
    nothing has to be switched over: [keystore-lost](../keystore-lost.md).
    """
    host, app = drill.hosts(role)[0], drill.app()
    drill.load()
    if role.startswith("redis"):
        login = keystores.command("AUTH", drill.fleet.secrets()[role])
        questions = [login, keystores.command("GET", "drill")]
    else:
        questions = [f"get drill-{number}\r\n" for number in range(10)]

    def errors():
        keystores.talk(drill.fleet, app, "127.0.0.1", PORTS[role], *questions)
        pools = json.loads(drill.fleet.shell(app, STATISTICS).stdout).values()
        counts = next(
            pool[host.name] for pool in pools if isinstance(pool, dict) and host.name in pool
        )
        return sum(counts[key] for key in ("server_err", "server_timedout", "server_eof"))

    before = errors()
    with pages_go_on(drill, host):
        drill.detected("the broker counts errors of it", lambda: errors() > before, 20)
        drill.recovered("pages go on", 30)
    comes_back(drill, host)


def test_app_host_dies(drill):
    """
    A host that runs the wiki dies.

    Another one has the same release and the same sessions.

    Noticed: haproxy on the frontends logs `Server docs/app1 is DOWN`. Who was waiting
    for a page of it sees one error at most.

    Heals: a frontend asks another host for the same page at once, and leaves this one
    out after two failed checks. It is taken back when it answers again.

    Do: start it; it takes what was deployed meanwhile by itself. The others carry its
    readers: look at their load.
    """
    host, *others = drill.hosts("app")
    if not others:
        pytest.skip("one app host only: nobody is left to serve its pages")
    drill.load()
    with pages_go_on(drill, host):
        drill.detected("the frontends have left it out", left_out_of(drill, "docs", host), 20)
        drill.recovered("pages go on", 30)
    comes_back(drill, host)


def test_frontend_dies(drill):
    """
    A frontend dies.

    Each name of the site has the addresses of all frontends.

    Noticed: part of all people wait some seconds for their first page: their browser
    tries the address that is silent, then the next.

    Heals: browsers go on to the other address by themselves.

    Do: start it. If it stays away, take its address out of the DNS: then nobody waits.
    """
    host, *others = drill.hosts("frontend")
    if not others:
        pytest.skip("one frontend only: nobody is left to serve its pages")
    drill.load()
    with pages_go_on(drill, host):
        drill.detected(
            "a browser has found the other frontend",
            lambda: opened(drill.site, drill.site.url("www"))[0] == 200,
            20,
        )
        drill.recovered("pages go on", 30)
    comes_back(drill, host)


def test_accounts_host_dies(drill):
    """
    The host of the directory and of signing in dies.

    Where it is the only one of its kind nobody can sign in, and everybody reads on.

    Noticed: haproxy on the frontends logs `Server accounts/accounts1 is DOWN`; the
    accounts site says in words that it is away.

    Heals: who is signed in at an app stays so. A second accounts host takes over where
    there is one.

    Do: start it. The directory is on its disk; where that is gone, make the host anew
    and restore it.
    """
    host = drill.hosts("accounts")[0]
    drill.load()
    out = left_out_of(drill, "accounts", host)
    with pages_go_on(drill, host):
        drill.detected("the frontends have left it out", out, 20)
    comes_back(drill, host)
    drill.recovered("the accounts site is back", 30, lambda: not out())


@pytest.mark.parametrize(
    "role",
    [
        "blog",
        pytest.param("mail", marks=pytest.mark.long),
        pytest.param("source", marks=pytest.mark.long),
    ],
)
def test_single_host_dies(drill, role):
    """
    A host dies that is the only one of its kind: of the blog, of mail, of repositories.

    Its own site is away until it is back. All others go on.

    Noticed: haproxy on the frontends logs that the one server of the site is DOWN; its
    page says in words what is wrong, with a way to the start page.

    Heals: nothing takes its place. Mail waits on the hosts that sent it; pushes are
    refused by git, and nothing of them is lost.

    Do: start it. If its disk is gone, make it anew under the same id.
    """
    host = drill.hosts(role)[0]
    drill.load()
    out = left_out_of(drill, role, host)
    with pages_go_on(drill, host):
        drill.detected("the frontends have left it out", out, 20)
    comes_back(drill, host)
    drill.recovered("its site is back", 60, lambda: not out())


@pytest.mark.long
def test_half_the_fleet_dies(drill):
    """
    Half of all hosts die at once, and come back.

    As when a machine that carries them starts again: the master, a frontend, an app
    host, two of three databases, half of the keystores.

    Noticed: `./fleet status`, and most of what the other drills say. Pages that need the
    database fail until two of its hosts are together again.

    Heals: every daemon starts with its host and finds the others. Nodes of the database
    that remember each other go on from the last write.

    Do: start the hosts; then `salt-run state.orchestrate orch.up` (in the sandbox
    `./fleet up`), which contains the recovery of the databases and ends with the health
    of every host.
    """
    others = [host for host in drill.fleet.with_role() if host.name != drill.app()]
    half = others[::2]
    drill.load()
    drill.kill(*half)
    drill.detected("the broker has left its database out", left_out_of_databases(drill, half), 60)
    drill.start(*half)
    done = fleet_command("up", seconds=900)
    assert done.returncode == 0, done.stderr[-2000:]
    drill.recovered("pages and writes go on", 60)


@pytest.mark.long
def test_master_dies(drill):
    """
    The Salt master dies.

    It tells hosts what they should be. What they are, they are without it.

    Noticed: `./fleet status` says that it is down; minions log that they cannot reach
    it. Pushes are answered with an error page, and git says so.

    Heals: nothing needs it from one minute to the next: daemons that die are started by
    systemd and monit, and what is due by the clock runs from systemd's timers on each
    host. Minions find the master when it is back. What only the master gives (a
    highstate, a deploy, a certificate) waits for it.

    Do: start it. Its keys and the level's authority are on its disk and nowhere else in
    the level: a new master without them cannot talk to the hosts.
    """
    master, blog = drill.hosts("salt")[0], drill.hosts("blog")[0]

    def last_run():
        return blog.check_output(
            "systemctl show --value --property=LastTriggerUSec wordpress-cron.timer"
        )

    def is_down():
        hosts = json.loads(fleet_command("status", "--json").stdout)["hosts"]
        return next(host["state"] for host in hosts if host["id"] == master.id) == "down"

    drill.load()
    with pages_go_on(drill, master):
        drill.detected("status says that it is down", is_down, 60)
        drill.recovered("pages and writes go on", 30)
    daemon = drill.hosts("memcache")[0]
    before, pid = last_run(), daemon.check_output("pgrep -x memcached")
    daemon.run_expect([0], f"kill -9 {pid}")
    drill.wait_until(
        "a daemon that died is started again",
        lambda: daemon.check_output("pgrep -x memcached") != pid,
        60,
    )
    drill.wait_until("a timer runs what is due", lambda: last_run() != before, 90)
    comes_back(drill, master)
    drill.wait_until(
        "every minion answers the master again",
        lambda: (
            drill.fleet.shell("salt", "salt --out=txt '*' test.ping").stdout.count("True")
            == len(drill.fleet.members)
        ),
        180,
    )
