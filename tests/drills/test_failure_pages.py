"""
Each way in which a page cannot be shown, caused for real: its page, and no other.

What breaks is between the last frontend and the hosts behind it, or the blog for
some seconds. Everybody who comes by another frontend reads on, but for the blog.
"""

import contextlib
import json
import re
import secrets as random
import subprocess

import pytest

from tests.fleet.test_edge import SITES, Edge
from tests.fleet.test_site_pages import CAUSES, Answer, is_page
from tests.support.services import stopped
from tests.support.waiting import wait_for

REFUSED = "reject with tcp reset"
POST = ("--data", "comment=drill")
RETURN = 20


class Breaking(Edge):
    """The last frontend: how it is asked, and what is done to it."""

    def __init__(self, fleet, folder):
        super().__init__(fleet, folder)
        self.frontend = self.frontends[-1]
        self.hosts = {name: fleet.with_role(site["role"]) for name, site in SITES.items()}
        # The master's name is a word of the style sheet, too.
        names = [member.name for member in fleet.members if member.name[-1].isdigit()]
        self._inside = re.compile(
            "|".join(
                [
                    re.escape(fleet.inventory.names["domain"]),
                    r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])",
                    rf"\b({'|'.join(names)})\b",
                ]
            )
        )

    def get(self, site, *more, path="/"):
        """A page of a site that nobody has asked for yet."""
        return self.ask(self.frontend.name, site, f"{path}?drill={random.token_hex(8)}", *more)

    def is_told(self, answer, cause, status=None):
        """Whether a reader is told of that cause, and of nothing that is inside."""
        is_page(answer, self.frontend, cause)
        assert answer.status == (status or CAUSES[cause]["status"])
        assert CAUSES[cause]["title"] in answer.body
        said = f"{answer.headers}\n{answer.body}"
        assert not self._inside.search(said), self._inside.search(said)
        assert answer.headers["server"] == "nginx"
        assert not {"via", "x-varnish", "x-powered-by", "set-cookie"} & set(answer.headers)

    def is_well(self, site):
        """Whether a page of the site opens again."""
        answer = self.get(site)
        # Operators' sites want a login.
        return answer.status < 500 and "x-failure" not in answer.headers

    def wait_well(self, *sites):
        """Wait until the sites are as they were."""
        for site in sites:
            wait_for(lambda site=site: self.is_well(site), RETURN, f"{site} is back")

    def balancer(self, *commands):
        """Tell this frontend's balancer something."""
        done = self.fleet.shell(
            self.frontend.name,
            "socat - /run/haproxy/admin.sock",
            stdin="; ".join(commands) + "\n",
        )
        assert done.returncode == 0 and not done.stdout.strip(), done

    def places(self, server):
        """How many requests a server is given at a time, and how many it has: two numbers."""
        done = self.fleet.shell(
            self.frontend.name, "socat - /run/haproxy/admin.sock", stdin="show stat\n"
        )
        head, *rows = (line.split(",") for line in done.stdout.splitlines() if line)
        found = next(row for row in rows if "/".join(row[:2]) == server)
        return int(found[head.index("slim")]), int(found[head.index("scur")])

    def begin(self, site, *more):
        """Ask, and go on when a host has the request; call what is returned for the answer."""
        server = f"{site}/{self.hosts[site][0].name}"
        words = [*self.words(self.frontend.name), "--noproxy", "*", "--cacert", str(self.ca)]
        url = self.url(site, f"/?drill={random.token_hex(8)}")
        wait_for(lambda: self.places(server)[1] == 0, 5, f"{server} has nothing to do")
        asks = subprocess.Popen([*words, "-i", *more, url], stdout=subprocess.PIPE, text=True)
        wait_for(lambda: self.places(server)[1] > 0, 5, f"{server} has the request", interval=0.1)
        return lambda: Answer(asks.communicate(timeout=30)[0])

    @contextlib.contextmanager
    def trusting(self, site):
        """The balancer does not look after this site's hosts: it has not found out yet."""
        servers = [f"{site}/{host.name}" for host in self.hosts[site]]
        try:
            self.balancer(*(f"disable health {server}" for server in servers))
            yield
        finally:
            self.balancer(*(f"enable health {server}" for server in servers))

    @contextlib.contextmanager
    def packets(self, sites, verdict):
        """What this frontend sends to the web servers of these sites ends like this over there."""
        hosts = {host.name: host for site in sites for host in self.hosts[site]}
        ports = {str(SITES[site]["port"]) for site in sites}
        table = (
            "table inet drill {\nchain in {\ntype filter hook input priority -5\n"
            f"ip saddr {self.addresses[self.frontend.name]} "
            f"tcp dport {{ {', '.join(sorted(ports))} }} {verdict}\n}}\n}}\n"
        )
        with contextlib.ExitStack() as after:
            for host in hosts.values():
                after.callback(host.run_expect, [0], "nft destroy table inet drill")
                done = self.fleet.shell(host.name, "nft -f -", stdin=table)
                assert done.returncode == 0, done.stderr
            # No connection of before is left to be used.
            servers = [f"{site}/{host.name}" for site in sites for host in self.hosts[site]]
            for state in ("maint", "ready"):
                self.balancer(*(f"set server {server} state {state}" for server in servers))
            yield


@pytest.fixture(scope="module")
def edge(fleet, tmp_path_factory):
    made = Breaking(fleet, tmp_path_factory.mktemp("edge"))
    made.wait_well(*SITES)
    return made


@contextlib.contextmanager
def held(host, unit):
    """All processes of a unit stand still."""
    try:
        host.run_expect([0], f"systemctl kill -s STOP {unit}")
        yield
    finally:
        host.run_expect([0], f"systemctl start {unit} && systemctl kill -s CONT {unit}")


def asked(host):
    """How many requests wait for PHP to take them."""
    said = host.check_output("ss -Hxl src /run/php/blog.sock")
    return int(said.split()[2])


# -- one host, and it cannot be had ------------------------------------------------


def test_a_web_server_that_is_not_there(edge):
    with edge.trusting("blog"), stopped(edge.hosts["blog"][0], "nginx"):
        edge.is_told(edge.get("blog"), "connection-refused")
    edge.wait_well("blog")


def test_a_program_behind_it_that_is_not_there(edge):
    with stopped(edge.hosts["blog"][0], "php8.4-fpm"):
        edge.is_told(edge.get("blog"), "connection-refused")
        edge.is_told(edge.get("blog", *POST), "connection-refused")
    edge.wait_well("blog")


# What a router says the balancer takes for a refusal (its README).
@pytest.mark.parametrize(
    ("verdict", "cause", "more"),
    [
        ("drop", "network-unreachable", ()),
        ("drop", "network-unreachable", POST),
        (REFUSED, "connection-refused", ()),
        (REFUSED, "connection-refused", POST),
        ("reject with icmp type net-unreachable", "connection-refused", ()),
        ("reject with icmp type net-unreachable", "connection-refused", POST),
    ],
)
def test_no_way_to_the_host(edge, verdict, cause, more):
    with edge.trusting("blog"), edge.packets(["blog"], verdict):
        edge.is_told(edge.get("blog", *more), cause)
    edge.wait_well("blog")


def test_a_host_that_is_not_well(edge):
    # It is asked for this file whether it is well.
    asked = "/usr/local/share/site-pages/site.css"
    host = edge.hosts["blog"][0]
    assert SITES["blog"]["health"] == "/site.css" and len(edge.hosts["blog"]) == 1
    try:
        host.run_expect([0], f"chmod 0000 {asked}")
        wait_for(lambda: edge.is_told(edge.get("blog"), "unhealthy") is None, RETURN, "told")
    finally:
        host.run_expect([0], f"chmod 0644 {asked}")
    edge.wait_well("blog")


def test_more_people_than_places(edge):
    host = edge.hosts["blog"][0]
    server = f"blog/{host.name}"
    places, _ = edge.places(server)
    try:
        edge.balancer(f"set maxconn server {server} 1")
        with edge.trusting("blog"):
            with held(host, "php8.4-fpm"):
                first = edge.begin("blog")
                edge.is_told(edge.get("blog"), "too-many-connections")
            # Who had the place is served as soon as the host goes on.
            assert first().status in (200, 301)
    finally:
        edge.balancer(f"set maxconn server {server} {places}")
    edge.wait_well("blog")


# -- the host was reached, and then ---------------------------------------------


@pytest.mark.parametrize(
    "kill",
    ["pkill -KILL -f '^nginx: worker'", "systemctl kill -s KILL php8.4-fpm"],
    ids=["nginx", "php"],
)
def test_an_answer_that_breaks_off(edge, kill):
    host = edge.hosts["blog"][0]
    # The cache has a connection to the balancer from before.
    edge.get("blog")
    with edge.trusting("blog"), held(host, "php8.4-fpm"):
        answer = edge.begin("blog", *POST)
        # Behind the balancer the request has a way to go: to the web server, and on.
        wait_for(lambda: asked(host), 5, "the program behind the web server is asked")
        host.run_expect([0], kill)
        edge.is_told(answer(), "read-error")
    edge.wait_well("blog")


def test_a_host_that_hangs_up_in_the_middle_of_a_request(edge, tmp_path):
    # Small packets get through, and so do the connection and its end.
    large = tmp_path / "large"
    large.write_bytes(random.token_bytes(1_000_000))
    with edge.trusting("blog"), edge.packets(["blog"], f"meta length > 4000 {REFUSED}"):
        answer = edge.get("blog", "--data-binary", f"@{large}")
    edge.is_told(answer, "write-error")
    edge.wait_well("blog")


# -- several hosts --------------------------------------------------------------


def test_two_hosts_and_both_fail(edge):
    assert len(edge.hosts["docs"]) > 1
    with edge.trusting("docs"), edge.packets(["docs"], REFUSED):
        for more in ((), POST):
            edge.is_told(edge.get("docs", *more), "all-failed")
    edge.wait_well("docs")


def test_all_hosts_go_one_site_after_the_other(edge):
    edge.get("docs", path="/wiki/Main_Page")
    kept = edge.ask(edge.frontend.name, "docs", "/wiki/Main_Page")
    assert kept.status == 200

    def told(site, cause):
        def is_told():
            edge.is_told(edge.get(site), cause)
            return True

        wait_for(is_told, RETURN, f"{site} says {cause}")

    with edge.packets(["docs"], REFUSED):
        told("docs", "none-healthy")
        # The others go on.
        assert edge.is_well("blog") and edge.is_well("accounts")
    with edge.packets(SITES, REFUSED):
        for site in SITES:
            told(site, "maintenance")
        # What was kept is still to be had, and what is kept here always is.
        again = edge.ask(edge.frontend.name, "docs", "/wiki/Main_Page")
        assert (again.status, again.headers["x-cache"]) == (200, "HIT")
        assert edge.ask(edge.frontend.name, "www", "/").status == 200
    edge.wait_well(*SITES)


# -- the edge itself ------------------------------------------------------------


# Of the cache, nginx itself is the one to tell; it keeps its own status.
@pytest.mark.parametrize(("unit", "status"), [("haproxy", 503), ("varnish", 502)])
def test_a_part_of_the_edge_that_is_not_there(edge, unit, status):
    with stopped(edge.frontend, unit):
        edge.is_told(edge.get("blog"), "connection-refused", status)
    edge.wait_well(*SITES)


def test_the_site_is_closed_by_a_flag_and_opened_again(edge):
    def apply(closed=None):
        more = f"pillar='{json.dumps({'nginx': {'maintenance': closed}})}'" if closed else ""
        done = edge.fleet.shell(
            edge.frontend.name, f"salt-call --retcode-passthrough state.apply nginx {more}"
        )
        assert done.returncode == 0, done.stdout

    try:
        apply(["blog"])
        for more in ((), POST):
            edge.is_told(edge.get("blog", *more), "maintenance")
        assert edge.is_well("docs")
        apply("all")
        for site in SITES:
            edge.is_told(edge.get(site), "maintenance")
        assert edge.ask(edge.frontend.name, "www", "/").status == 200
    finally:
        apply()
    edge.wait_well(*SITES)


def test_nothing_of_all_this_is_left(edge):
    assert "drill" not in edge.frontend.check_output("nft list tables")
    for host in (edge.frontend, edge.hosts["blog"][0]):
        done = edge.fleet.shell(
            host.name, "salt-call --out=json state.apply nginx,haproxy,site-pages test=True"
        )
        changes = [
            one["__id__"] for one in json.loads(done.stdout)["local"].values() if one["changes"]
        ]
        assert not changes, host.name
