"""Static sites and further domains as their visitors meet them, on every frontend."""

import contextlib
import re
import time

import pytest
import yaml

from tests.fleet.test_edge import Edge, led
from tests.fleet.test_site_pages import Answer, is_page
from tests.render.test_static_sites import CONFIG, changed_tree, many
from tests.support.hosts import LEVEL
from tools import compiler
from tools.inventory import TREE

DOMAINS = yaml.safe_load((TREE / "pillar/domains.yaml").read_text("utf-8")).get(LEVEL) or {}
STATIC = yaml.safe_load((TREE / "pillar/static-sites.yaml").read_text("utf-8"))
SERVED = {name: entry["site"] for name, entry in DOMAINS.items() if "site" in entry}
HELD = "/etc/ssl/site/domains"
NARROW = {"width": 390, "height": 844}
WIDE = {"width": 1280, "height": 800}
SIZES = pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])


@pytest.fixture(scope="module")
def edge(fleet, tmp_path_factory):
    return Edge(fleet, tmp_path_factory.mktemp("edge"))


def ask(edge, frontend, address, *more):
    """What a whole address answers, its certificate checked."""
    done = edge.curl(frontend, "-i", *more, address)
    assert done.returncode == 0, f"{address}: {done.stderr}"
    return Answer(done.stdout)


def shown(fleet, host, name):
    """Subject, serial number and names of the certificate that a host shows for a name."""
    done = fleet.shell(
        host.name,
        f"openssl s_client -connect 127.0.0.1:443 -servername '{name}' </dev/null 2>/dev/null"
        " | openssl x509 -noout -subject -serial -ext subjectAltName",
    )
    return done.stdout


# -- static sites --------------------------------------------------------------


@pytest.mark.role("frontend")
@pytest.mark.parametrize("static", sorted(STATIC))
def test_a_static_site_sets_and_sees_no_cookie(fleet, edge, host, static):
    answer = edge.ask(host.name, static, "/", "-H", "Cookie: session=x; token=y")
    assert answer.status == 200 and "<h1>" in answer.body
    assert "set-cookie" not in answer.headers and "x-cache" not in answer.headers
    assert answer.headers["cache-control"] == "max-age=300"
    assert "script-src" not in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    style = edge.ask(host.name, static, "/site.css")
    assert style.status == 200 and style.headers["cache-control"] == "max-age=3600"
    # Who has it already is told so, and gets nothing twice.
    kept = edge.ask(host.name, static, "/", "-H", f"If-None-Match: {answer.headers['etag']}")
    assert kept.status == 304


@pytest.mark.role("frontend")
@pytest.mark.parametrize("static", sorted(STATIC))
def test_what_a_static_site_has_not_is_its_page_and_no_folder_is_listed(fleet, edge, host, static):
    for path in ("/nothing-here", "/.well-known/", "/../www/index.html", "/robots.txt/", "//"):
        answer = edge.ask(host.name, static, path, "--path-as-is")
        assert "Index of" not in answer.body
        if path != "//":
            assert answer.status in (400, 404), path
    is_page(edge.ask(host.name, static, "/nothing-here"), host, "not-found")
    # Another site's files are not this one's.
    other = "webat25" if static != "webat25" else "compat"
    assert edge.ask(host.name, static, f"/{other}/index.html").status == 404


def test_the_pages_below_a_site_are_there(edge):
    frontend = edge.frontends[0].name
    for path in ("/css", "/css/", "/html", "/javascript", "/compat.css"):
        assert edge.ask(frontend, "compat", path).status == 200, path


@SIZES
@pytest.mark.parametrize("static", [*sorted(set(STATIC) - {"www"}), "compat/css", "code/layout"])
def test_a_static_site_in_a_browser(visitors, static, size):
    name, _, path = static.partition("/")
    visitor = visitors(size=size)
    answer = visitor.open(name, f"/{path}")
    assert answer.status == 200
    visitor.shot()
    looks_well(visitor, size)


def looks_well(visitor, size):
    """Whether a page fits, has its look and one heading, keeps nothing, and is in order."""
    page = visitor.page
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.evaluate("getComputedStyle(document.querySelector('.head')).display") == "flex"
    assert visitor.context.cookies() == []
    assert visitor.errors == []


@SIZES
def test_a_further_domain_in_a_browser(visitors, size):
    for name, site in SERVED.items():
        visitor = visitors(name, size=size)
        answer = visitor.page.goto(f"https://{name}/", wait_until="load")
        assert answer.status == 200 and answer.security_details()["subjectName"] == name
        visitor.shot()
        looks_well(visitor, size)
        canonical = visitor.page.locator("link[rel=canonical]").get_attribute("href")
        assert canonical == f"https://{site}.{visitor.chromium.domain}/"


# -- further domains -----------------------------------------------------------


@pytest.mark.role("frontend")
def test_each_domain_has_a_certificate_of_its_own(fleet, edge, host):
    assert DOMAINS
    serials = set()
    for name in DOMAINS:
        # curl has checked it against the level's authority, and the name.
        ask(edge, host.name, f"https://{name}/")
        said = shown(fleet, host, name)
        assert re.findall(r"DNS:([^,\s]+)", said) == [name]
        assert shown(fleet, host, name.upper()) == said
        serials |= set(re.findall(r"serial=(\w+)", said))
    assert len(serials) == len(DOMAINS)
    keys = {
        frontend.check_output(f"sha256sum {HELD}/{name}.pem").split()[0]
        for frontend in edge.frontends
        for name in DOMAINS
    }
    assert len(keys) == len(DOMAINS) * len(edge.frontends)


@pytest.mark.role("frontend")
def test_who_does_not_answer_requests_cannot_read_the_keys(fleet, host):
    name = next(iter(DOMAINS))
    assert host.run(f"runuser -u nobody -- cat {HELD}/{name}.pem").rc != 0
    assert host.run(f"runuser -u www-data -- cat {HELD}/{name}.pem").rc == 0
    # The level's own key stays with root.
    assert host.run("runuser -u www-data -- cat /etc/ssl/site/host.key").rc != 0


@pytest.mark.role("frontend")
def test_domains_lead_where_the_table_says(fleet, edge, host):
    wanted = {}
    for name, entry in DOMAINS.items():
        if "to" not in entry:
            continue
        to = entry["to"]
        if not to.startswith("https://"):
            site, _, path = to.partition("/")
            to = edge.url(site, f"/{path}")
        for asked in ("/", "/a/b%20c?x=1&y=%2F", "//other.example/"):
            end = to.rstrip("/") + asked if entry.get("path", True) else to
            wanted[f"https://{name}{asked}"] = (entry.get("status", 301), end)
    assert len({status for status, _ in wanted.values()}) > 1
    assert led(edge, host.name, wanted) == wanted


@pytest.mark.role("frontend")
def test_a_domain_s_plain_http_leads_to_its_https(fleet, edge, host):
    wanted = {
        f"http://{name}/x?a=b": (301, f"https://{name}/x?a=b")
        for name in (*DOMAINS, *(f"{site}.{edge.domain}" for site in STATIC))
    }
    assert led(edge, host.name, wanted) == wanted


@pytest.mark.role("frontend")
def test_a_domain_serves_its_site_and_the_level_s_headers(fleet, edge, host):
    for name, site in SERVED.items():
        answer = ask(edge, host.name, f"https://{name}/", "-H", "Cookie: session=x")
        own = edge.ask(host.name, site, "/")
        assert (answer.status, answer.body) == (200, own.body)
        assert "set-cookie" not in answer.headers
        for header in ("strict-transport-security", "content-security-policy", "x-robots-tag"):
            assert answer.headers.get(header) == own.headers.get(header), header
        missing = ask(edge, host.name, f"https://{name}/nothing-here")
        assert missing.status == 404
        is_page(missing, host, "not-found")


@pytest.mark.role("frontend")
def test_a_name_that_nobody_has_shows_nobody_s_page(fleet, edge, host):
    for name in ("nobody.test", "www.webplatform-docs.test"):
        refused = edge.curl(host.name, f"https://{name}/")
        assert refused.returncode == 60, "the certificate is of another name"
        for scheme in ("http", "https"):
            answer = Answer(edge.curl(host.name, "-i", "-k", f"{scheme}://{name}/").stdout)
            assert answer.status == 421 and "<title>421" in answer.body
    # One name in TLS, and an unknown one in the request.
    known = next(iter(DOMAINS))
    assert ask(edge, host.name, f"https://{known}/", "-H", "Host: nobody.test").status == 421
    default = shown(fleet, host, "nobody.test")
    assert f"DNS:{host.id}" in default
    for odd in ("../host", "none", "x", f".{known}"):
        assert shown(fleet, host, odd) == default, odd


def test_a_missing_or_broken_certificate_hurts_no_other_and_is_healed(fleet, edge):
    host = edge.frontends[-1]
    away, broken, *others = DOMAINS
    heal = "salt-call --out=json state.sls_id domains-certificates domains"
    with contextlib.ExitStack() as after:
        after.callback(host.run, heal)
        host.run_expect([0], f"rm {HELD}/{away}.pem")
        host.run_expect([0], f"echo nonsense > {HELD}/{broken}.pem")
        host.run_expect([0], "nginx -t && systemctl reload nginx")
        for name in (away, broken):
            assert edge.curl(host.name, f"https://{name}/").returncode == 35, name
        for name in others:
            ask(edge, host.name, f"https://{name}/")
        assert edge.ask(host.name, "www", "/").status == 200
        said = host.run(f"/usr/local/lib/saltworks/certificates-check 30 {HELD}/..")
        assert said.rc == 1 and f"domains/{broken}.pem" in said.stdout
        healed = host.run(heal)
        assert healed.rc == 0 and away in healed.stdout and "PRIVATE" not in healed.stdout
    # Without a reload.
    for name in (away, broken):
        ask(edge, host.name, f"https://{name}/")
    assert '"changes": {}' in host.run(heal).stdout


@pytest.mark.role("frontend")
def test_monit_warns_before_a_certificate_ends(fleet, host):
    check = "/usr/local/lib/saltworks/certificates-check"
    well = host.run(f"{check} 30 /etc/ssl/site")
    assert (well.rc, well.stdout.split()[0]) == (0, str(len(DOMAINS) + 2))
    soon = host.run(f"{check} 366 /etc/ssl/site")
    assert soon.rc == 1
    assert all(f"domains/{name}.pem" in soon.stdout for name in DOMAINS)
    assert "ca.crt" not in soon.stdout
    assert f"{check} 30 /etc/ssl/site" in host.file("/etc/monit/monitrc").content_string
    host.run_expect([0], "monit status certificates")


def test_nginx_takes_hundreds_of_domains(fleet, edge, tmp_path):
    host = edge.frontends[-1]
    root = changed_tree(TREE, tmp_path, LEVEL, many())
    text = compiler.compile_hosts(root, [host.id])[host.id]["files"][CONFIG]["text"]
    check = f"t=$(mktemp) && cat > $t && nginx-check-candidate {CONFIG} $t; c=$?; rm $t; exit $c"
    seconds = []
    for config in (host.file(CONFIG).content_string, text):
        started = time.monotonic()
        done = fleet.shell(host.name, check, stdin=config)
        seconds.append(time.monotonic() - started)
        assert done.returncode == 0 and "warn" not in done.stderr, done.stderr
    assert seconds[1] < 2 * seconds[0] + 2, seconds
