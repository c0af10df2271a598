"""The edge as its visitors meet it: TLS, cache, limits, redirects, on every frontend."""

import contextlib
import json
import secrets as random
import socket
import subprocess

import pytest
import yaml

from tests.fleet.test_site_pages import Answer, is_page
from tests.support.site import Site
from tests.support.waiting import wait_for
from tools.inventory import TREE

REDIRECTS = yaml.safe_load((TREE / "pillar/redirects.yaml").read_text("utf-8"))
SITES = yaml.safe_load((TREE / "pillar/sites.yaml").read_text("utf-8"))
STATIC = yaml.safe_load((TREE / "pillar/static-sites.yaml").read_text("utf-8"))
TITLE = "Fleet_test_of_the_edge"
FORGED = "192.0.2.66"


class Edge:
    """The frontends as seen from this machine, which is outside."""

    def __init__(self, fleet, folder):
        site = Site(fleet, folder)
        self.fleet, self.domain, self.ca = fleet, site.domain, site.ca
        self.frontends = fleet.with_role("frontend")
        names = [host.name for host in self.frontends]
        self.addresses = dict(zip(names, site.addresses, strict=True))

    def url(self, name, path, scheme="https"):
        """The address of a page of a site; an empty name is the domain itself."""
        return f"{scheme}://{name}{'.' if name else ''}{self.domain}{path}"

    def words(self, frontend):
        """How curl on any host is told to ask this frontend, whatever the name."""
        return ["curl", "-sS", "--max-time", "30", "--connect-to", f"::{self.addresses[frontend]}:"]

    def curl(self, frontend, *more):
        """What curl here says of this frontend: its CompletedProcess."""
        words = [*self.words(frontend), "--noproxy", "*", "--cacert", str(self.ca), *more]
        return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    def ask(self, frontend, name, path, *more):
        """A page of a site, through this frontend."""
        done = self.curl(frontend, "-i", *more, self.url(name, path))
        assert done.returncode == 0, done.stderr
        return Answer(done.stdout)

    def edit(self, text):
        """Write the page TITLE; the wiki takes it out of the caches."""
        app = self.fleet.with_role("app")[0]
        done = self.fleet.shell(
            app.name,
            "runuser -u wiki -- php /srv/release/mediawiki/current/maintenance/run.php "
            f"edit --wiki=docs {TITLE}",
            stdin=text,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def edge(fleet, tmp_path_factory):
    return Edge(fleet, tmp_path_factory.mktemp("edge"))


# -- the cache -----------------------------------------------------------------


def test_new_rules_are_taken_right_after_a_start(fleet):
    host = fleet.with_role("frontend")[-1]
    # What the first highstate does. Compiling may take as long as it does on a busy machine.
    host.run_expect([0], "monit unmonitor varnish")
    try:
        host.run_expect([0], "systemctl restart varnish && systemctl reload varnish")
    finally:
        host.run_expect([0], "monit monitor varnish")


def test_the_rules_of_the_cache_hold(fleet):
    # The rules are the same on each frontend; each of them is a case.
    host = fleet.with_role("frontend")[0]
    folder = "/usr/local/share/varnish-tests"
    cases = host.check_output(f"ls {folder} | grep -c 'vtc$'")
    done = fleet.shell(
        host.name, f"cd {folder} && varnishtest -k -j 2 -t 60 -Dlib=$PWD *.vtc", seconds=120
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.count(" passed ") == int(cases) > 0


def test_a_page_is_kept_until_it_is_edited(edge):
    before, after = random.token_hex(8), random.token_hex(8)
    edge.edit(before)
    for frontend in edge.addresses:
        seen = [edge.ask(frontend, "docs", f"/wiki/{TITLE}") for _ in range(2)]
        assert [answer.headers["x-cache"] for answer in seen] == ["MISS", "HIT"], frontend
        assert all(answer.status == 200 and before in answer.body for answer in seen)
    edge.edit(after)
    for frontend in edge.addresses:
        answer = edge.ask(frontend, "docs", f"/wiki/{TITLE}")
        assert after in answer.body and before not in answer.body, frontend
        assert answer.headers["x-cache"] == "MISS", frontend


@pytest.mark.role("frontend")
def test_who_has_a_session_is_never_given_a_kept_page(fleet, edge, host):
    edge.ask(host.name, "docs", "/wiki/Main_Page")
    # A cookie of somebody else's making is not in the way of the cache.
    seen = edge.ask(host.name, "docs", "/wiki/Main_Page", "-H", "Cookie: colour=blue")
    assert seen.headers["x-cache"] == "HIT"
    for _ in range(2):
        seen = edge.ask(host.name, "docs", "/wiki/Main_Page", "-H", "Cookie: wiki_session=x")
        assert seen.status == 200 and seen.headers["x-cache"] == "PASS"


@pytest.mark.role("frontend")
def test_nobody_outside_takes_pages_out(fleet, edge, host):
    assert edge.ask(host.name, "docs", "/wiki/Main_Page", "-X", "PURGE").status == 405
    with pytest.raises(OSError), socket.create_connection((edge.addresses[host.name], 6081), 3):
        pass
    # An app may, and may do nothing else there.
    app = fleet.with_role("app")[0]
    command = (
        f"curl -s -m 10 -o /dev/null -w '%{{http_code}}' -H 'Host: docs.{edge.domain}' "
        f"http://{edge.addresses[host.name]}:6081/wiki/Nothing_is_kept_here -X "
    )
    assert app.check_output(command + "PURGE") == "200"
    assert app.check_output(command + "GET") == "405"


# -- no host left --------------------------------------------------------------


@pytest.mark.parametrize(("site", "role"), [("docs", "app"), ("blog", "blog")])
def test_a_site_without_hosts_says_so_with_its_page(fleet, edge, site, role):
    frontend = edge.frontends[-1]
    servers = [f"{site}/{host.name}" for host in fleet.with_role(role)]
    cause = "none-healthy" if len(servers) > 1 else "unhealthy"

    def fresh():
        return edge.ask(frontend.name, site, f"/?fresh={random.token_hex(8)}")

    def tell(state):
        # Only this one frontend takes them for lost.
        words = "; ".join(f"set server {server} state {state}" for server in servers)
        done = fleet.shell(frontend.name, "socat - /run/haproxy/admin.sock", stdin=f"{words}\n")
        assert done.returncode == 0 and not done.stdout.strip(), done

    edge.ask(frontend.name, "docs", "/wiki/Main_Page")
    with contextlib.ExitStack() as after:
        after.callback(tell, "ready")
        tell("maint")
        answer = fresh()
        assert answer.status == 503
        is_page(answer, frontend, cause)
        # Who reads what is kept notices nothing.
        kept = edge.ask(frontend.name, "docs", "/wiki/Main_Page")
        assert (kept.status, kept.headers["x-cache"]) == (200, "HIT")
    wait_for(lambda: fresh().status in (200, 301), 15, "the site is back")


# -- what is refused -----------------------------------------------------------


@pytest.mark.role("frontend")
def test_what_the_edge_refuses_is_said_by_a_page(edge, host, tmp_path):
    large = tmp_path / "large"
    large.write_bytes(bytes(9_000_000))
    # By HTTP/2 nginx answers such a head with a bare 400: it has not read what for.
    long = ["--http1.1", "-H", f"Cookie: a={'x' * 9000}"]
    for name, path, more, status, cause in [
        ("docs", "/w/api.php", ["--data-binary", f"@{large}"], 413, "too-large"),
        ("docs", "/wiki/Main_Page", long, 400, "bad-request"),
        ("www", "/", ["--data", "a=b"], 405, "bad-request"),
        ("docs", "/saltworks-health", [], 404, "not-found"),
        ("blog", "/wp-content/uploads/", [], 403, "forbidden"),
    ]:
        answer = edge.ask(host.name, name, path, *more)
        assert (answer.status, answer.headers.get("x-failure")) == (status, cause), path
        is_page(answer, host, cause)


# -- who is asking -------------------------------------------------------------


def elsewhere(fleet):
    """A host whose address no visitor of the sites has, and that frontends count."""
    return fleet.with_role("db")[-1]


@pytest.mark.role("frontend")
def test_apps_know_the_true_address_of_a_client(fleet, edge, host):
    client, mark = elsewhere(fleet), random.token_hex(8)
    names = ["X-Client-IP", "X-Forwarded-For", "X-Real-IP", "True-Client-IP"]
    forged = [f"-H '{name}: {FORGED}'" for name in names]
    forged.append(f"-H 'Forwarded: for={FORGED}'")
    words = " ".join([*edge.words(host.name), "-k -o /dev/null", *forged])
    client.run_expect([0], f"{words} '{edge.url('docs', f'/w/api.php?{mark}')}'")
    lines = [
        line
        for app in fleet.with_role("app")
        for line in app.run(f"grep {mark} /var/log/nginx/access.log").stdout.splitlines()
    ]
    assert [line.split()[0] for line in lines] == [fleet.address(client.name)], lines
    assert FORGED not in lines[0]


def test_a_flood_is_held_off_and_hurts_nobody_else(fleet, edge):
    client, frontend = elsewhere(fleet), edge.frontends[-1]
    words = " ".join([*edge.words(frontend.name), "-k -i -Z"])
    flood = edge.url("www", "/robots.txt?[1-600]")
    done = fleet.shell(
        client.name,
        f'd=$(mktemp -d); {words} -o "$d/#1" "{flood}" 2>/dev/null; '
        'grep -l "^HTTP/2 200" "$d"/* | wc -l; '
        'cat "$(grep -l "^HTTP/2 429" "$d"/* | head -n 1)"; rm -r "$d"',
    )
    # All that while another one is served.
    assert edge.ask(frontend.name, "www", "/robots.txt").status == 200
    served, _, held = done.stdout.partition("\n")
    assert 300 <= int(served) < 600
    answer = Answer(held)
    assert answer.status == 429
    is_page(answer, frontend, "rate-limit")


# -- TLS and headers -----------------------------------------------------------


@pytest.mark.role("frontend")
def test_tls_is_of_today(fleet, edge, host):
    page = edge.url("www", "/")
    old = ["--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0"]
    refused = edge.curl(host.name, *old, page)
    assert refused.returncode != 0 and "alert protocol version" in refused.stderr
    for version in ("1.2", "1.3"):
        shown = ["-o", "/dev/null", "-w", "%{http_version}", "--http2"]
        offered = [f"--tlsv{version}", "--tls-max", version]
        assert edge.curl(host.name, *offered, *shown, page).stdout == "2", version


@pytest.mark.role("frontend")
def test_browsers_are_bound_to_https_as_the_level_says(fleet, edge, host):
    said = json.loads(host.check_output("salt-call --out=json pillar.get nginx:hsts_max_age 0"))
    wanted = f"max-age={said['local']}" if said["local"] else None
    for name in (*STATIC, *SITES):
        answer = edge.ask(host.name, name, "/")
        assert answer.headers.get("strict-transport-security") == wanted, name


@pytest.mark.role("frontend")
def test_www_has_no_cookies(fleet, edge, host):
    answer = edge.ask(host.name, "www", "/", "-H", "Cookie: session=x; token=y")
    assert answer.status == 200 and "set-cookie" not in answer.headers


# -- what has moved ------------------------------------------------------------


def led(edge, frontend, addresses):
    """Where each address leads: ``{address: (status, address)}``."""
    shown = [word for one in addresses for word in ("-o", "/dev/null", one)]
    done = edge.curl(frontend, "-w", "%{url} %{http_code} %{redirect_url}\n", *shown)
    rows = [line.split(" ") for line in done.stdout.splitlines()]
    return {address: (int(status), to) for address, status, to in rows}


@pytest.mark.role("frontend")
def test_old_addresses_lead_to_new_ones(fleet, edge, host):
    wanted = {}
    for name, rows in REDIRECTS.items():
        for row in rows:
            to, status = row["to"], row.get("status", 301)
            if not to.startswith("https://"):
                site, _, path = to.partition("/")
                to = edge.url(site, f"/{path}")
            for old in (name, "") if name == "www" else (name,):
                for more in ("", "?a=b", "/c/d?a=b") if row.get("prefix") else ("", "?a=b"):
                    at = to.rstrip("/") if more.startswith("/") else to
                    wanted[edge.url(old, row["path"] + more)] = (status, at + more)
    assert led(edge, host.name, wanted) == wanted


@pytest.mark.role("frontend")
def test_plain_http_leads_to_https(fleet, edge, host):
    wanted = {
        edge.url(name, "/x?a=b", "http"): (301, edge.url(name, "/x?a=b"))
        for name in ("www", *SITES)
    }
    assert led(edge, host.name, wanted) == wanted
