"""The wiki as its readers and writers meet it, through the public edge."""

import contextlib
import json
import re
import secrets as random
import socket
import ssl
import warnings

import pytest
import requests

from tests.support.services import stopped
from tests.support.waiting import wait_for
from tests.support.wiki import Writer

# Nobody's business outside: settings, code that is not an entry point, other people's tools.
HIDDEN = [
    "/w/LocalSettings.php",
    "/w/includes/Defines.php",
    "/w/maintenance/run.php",
    "/w/mw-config/index.php",
    "/w/vendor/autoload.php",
    "/w/extensions/Cite/extension.json",
    "/w/images/",
    "/.git/config",
]


def from_frontend(site, app, path):
    """What one app host answers to the frontend: body and status."""
    host = site.fleet.with_role("frontend")[0]
    return host.check_output(
        f"curl -s -m 30 -w ' %{{http_code}}' -H 'Host: docs.{site.domain}' "
        f"-H 'X-Forwarded-Proto: https' 'http://{site.fleet.address(app.name)}{path}'"
    )


# -- the edge ------------------------------------------------------------------


def test_a_page_over_a_certificate_of_the_level(site):
    answer = site.session().get(f"https://docs.{site.domain}/", timeout=30)
    assert answer.status_code == 200
    assert answer.url == f"https://docs.{site.domain}/wiki/Main_Page"
    assert "<title>" in answer.text
    assert "server" not in answer.headers or "/" not in answer.headers["server"]
    for header in ("X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy"):
        assert answer.headers.get(header), header


def test_without_the_level_s_ca_nobody_is_trusted(site):
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"https://docs.{site.domain}/", timeout=30)


def test_styles_and_scripts_load(site):
    browser = site.session()
    page = browser.get(f"https://docs.{site.domain}/wiki/Main_Page", timeout=30).text
    assert "/w/load.php?" in page
    styles = browser.get(
        f"https://docs.{site.domain}/w/load.php?lang=en&modules=skins.vector.styles&only=styles"
        "&skin=vector-2022",
        timeout=60,
    )
    assert styles.status_code == 200 and styles.headers["Content-Type"].startswith("text/css")
    assert ".vector-" in styles.text
    logo = browser.get(f"https://docs.{site.domain}/site/logo.svg", timeout=30)
    assert logo.status_code == 200 and "svg" in logo.headers["Content-Type"]


def test_plain_http_leads_to_https(site):
    answer = site.session().get(
        f"http://docs.{site.domain}/wiki/X?a=b", allow_redirects=False, timeout=30
    )
    assert answer.status_code == 301
    assert answer.headers["Location"] == f"https://docs.{site.domain}/wiki/X?a=b"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_unknown_name_is_refused(site, scheme):
    answer = site.session().get(
        f"{scheme}://nobody.{site.domain}/", allow_redirects=False, timeout=30
    )
    assert answer.status_code == 421


@pytest.mark.parametrize("version", ["TLSv1.0", "TLSv1.1"])
def test_old_tls_is_refused(site, version):
    context = ssl.create_default_context(cafile=site.ca)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion[version.replace(".0", "").replace(".", "_")]
    context.set_ciphers("ALL:@SECLEVEL=0")
    with (
        socket.create_connection((site.addresses[0], 443), timeout=10) as line,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(line, server_hostname=f"docs.{site.domain}")


@pytest.mark.parametrize("path", HIDDEN)
def test_what_is_nobody_s_business_does_not_exist(site, path):
    assert site.session().get(f"https://docs.{site.domain}{path}", timeout=30).status_code == 404


def test_the_client_s_own_word_about_its_address_counts_nothing(site):
    def seen(headers):
        answer = site.session().get(
            f"https://docs.{site.domain}/w/api.php?action=query&meta=userinfo&format=json",
            headers=headers,
            timeout=30,
        )
        return answer.json()["query"]["userinfo"]["name"]

    told = seen({"X-Forwarded-For": "192.0.2.66", "X-Real-IP": "192.0.2.66"})
    assert told == seen({})
    frontends = {site.fleet.address(host.name) for host in site.fleet.with_role("frontend")}
    assert told not in frontends


# -- reading and writing -------------------------------------------------------


def test_what_is_written_is_read_on_every_host(site, writer):
    text = random.token_hex(8)
    writer.edit("Fleet test", text)
    for app in site.fleet.with_role("app"):
        assert text in from_frontend(site, app, "/wiki/Fleet_test"), app.name


def test_a_changed_message_is_read_on_every_host(site, writer):
    title = "MediaWiki:Fleet-test-message"
    question = "/w/api.php?action=query&meta=allmessages&ammessages=fleet-test-message&format=json"
    old = "none yet"
    for _ in range(3):
        text = random.token_hex(8)
        writer.edit(title, text)
        for app in site.fleet.with_role("app"):
            seen = from_frontend(site, app, question)
            assert text in seen and old not in seen, app.name
        old = text


def test_tokens_hold_over_many_edits(writer):
    # The frontend sends each request to the next host: a token is made on one and
    # used on the other.
    for number in range(12):
        writer.edit("Fleet test of tokens", f"{number} {random.token_hex(4)}")


def test_nobody_edits_without_an_account(site):
    stranger = Writer(site)
    answer = stranger.post(action="edit", title="Fleet test", text="x", token=stranger.token())
    assert answer["error"]["code"] == "permissiondenied"


def test_a_wrong_password_lets_nobody_in(site, password):
    with pytest.raises(AssertionError, match="FAIL"):
        Writer(site, password + "x")


def test_the_visual_editor_reads_and_saves(writer):
    text = random.token_hex(8)
    writer.edit("Fleet test of the editor", "before")
    page = writer.get(action="visualeditor", paction="parse", page="Fleet test of the editor")
    page = page["visualeditor"]
    assert page["result"] == "success" and "before" in page["content"]
    saved = writer.post(
        action="visualeditoredit",
        paction="save",
        page="Fleet test of the editor",
        html=page["content"].replace("before", text),
        etag=page["etag"],
        oldid=page["oldid"],
        basetimestamp=page["basetimestamp"],
        token=writer.token(),
    )["visualeditoredit"]
    assert saved["result"] == "success" and text in saved["content"]


def test_what_was_written_is_found(writer):
    word = "findme" + random.token_hex(6)
    writer.edit("Fleet test of search", f"{word} was written from here with this")

    def found(words):
        answer = writer.get(action="query", list="search", srwhat="text", srsearch=words)
        return [hit["title"] for hit in answer["query"]["search"]]

    wait_for(lambda: found(word), 60, "the search finds a page that was just written")
    # Words that InnoDB leaves out of its index by default would make each search
    # with one of them find nothing.
    assert found(f"{word} from with this") == ["Fleet test of search"]
    assert found(f"{word} elsewhere") == []


# -- one host less -------------------------------------------------------------


def fresh_page(site):
    """A page that no cache has: a host makes it."""
    page = f"https://docs.{site.domain}/wiki/Main_Page?fresh={random.token_hex(8)}"
    answer = site.session().get(page, timeout=30)
    assert answer.headers["X-Cache"] != "HIT"
    return answer


def test_a_stopped_app_host_costs_no_page_and_no_session(site, writer):
    hosts = site.fleet.with_role("app")
    if len(hosts) < 2:
        pytest.skip("one app host only")
    assert writer.name() == "WikiAdmin"
    with stopped(hosts[0], "nginx", "php8.4-fpm"):
        for _ in range(10):
            assert fresh_page(site).status_code == 200
        assert writer.name() == "WikiAdmin"
        writer.edit("Fleet test", "written while a host was away")


def test_php_alone_stopped_costs_no_page(site):
    hosts = site.fleet.with_role("app")
    if len(hosts) < 2:
        pytest.skip("one app host only")
    with stopped(hosts[0], "php8.4-fpm"):
        for _ in range(6):
            assert fresh_page(site).status_code == 200


# -- on the hosts --------------------------------------------------------------


@pytest.mark.role("app")
def test_settings_are_the_wiki_s_own(fleet, host):
    settings = host.file("/etc/mediawiki/wikis/docs.php")
    assert (settings.user, settings.group, settings.mode) == ("root", "wiki", 0o640)
    for name in ("admin", "database_admin"):
        secret = host.file(f"/etc/mediawiki/secrets/docs.{name}")
        assert (secret.user, secret.mode) == ("root", 0o600)
    pool = host.file("/run/php/wiki.sock")
    assert (pool.user, pool.mode) == ("www-data", 0o600)
    assert host.run("runuser -u www-data -- cat /etc/mediawiki/wikis/docs.php").rc != 0


@pytest.mark.role("app")
def test_no_other_web_server_came_along(fleet, host):
    assert not host.package("apache2").is_installed


@pytest.mark.role("app")
def test_a_runner_of_jobs_that_dies_is_started_again(fleet, host):
    service = host.service("mediawiki-jobs-docs")
    assert service.is_running and service.is_enabled
    pid = host.check_output("systemctl show -P MainPID mediawiki-jobs-docs")
    host.run_expect([0], f"kill -9 {pid}")

    def runs_again():
        now = host.check_output("systemctl show -P MainPID mediawiki-jobs-docs")
        return now not in ("0", pid)

    wait_for(runs_again, 20, "systemd starts the runner again")


@pytest.mark.role("app")
def test_nginx_refuses_a_broken_file_and_keeps_the_old(fleet, host):
    command = "nginx-check-candidate /etc/nginx/sites-enabled/mediawiki.conf"
    broken = fleet.shell(host.name, f"{command} /dev/stdin", stdin="server { bogus on; }\n")
    assert broken.returncode != 0 and "bogus" in broken.stderr
    host.run_expect([0], f"{command} /etc/nginx/sites-enabled/mediawiki.conf")
    host.run_expect([0], "nginx -t")


@pytest.mark.role("app")
def test_the_database_is_not_spoken_to_in_clear(fleet, host):
    # As the wiki does, but without TLS: the server refuses this account.
    script = (
        "define('MEDIAWIKI', 1); define('DBO_DEFAULT', 16); $wgFileExtensions = [];"
        "function wfLoadSkin($x) {} function wfLoadExtension($x) {}"
        "require '/etc/mediawiki/wikis/docs.php';"
        "mysqli_report(MYSQLI_REPORT_OFF);"
        "[$h, $p] = explode(':', $wgDBserver);"
        "$c = mysqli_init(); echo $c->real_connect($h, $wgDBuser, $wgDBpassword, $wgDBname, $p)"
        " ? 'in' : 'refused';"
    )
    said = fleet.shell(host.name, "runuser -u wiki -- php", stdin=f"<?php {script}")
    assert said.stdout.strip() == "refused", said.stdout + said.stderr


# -- switches, and what MediaWiki has others do -----------------------------------


def test_the_rest_api_answers(site, writer):
    writer.edit("Fleet test of REST", "a page for the API")
    answer = site.session().get(
        f"https://docs.{site.domain}/w/rest.php/v1/page/Fleet_test_of_REST", timeout=60
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["source"] == "a page for the API"
    missing = f"https://docs.{site.domain}/w/rest.php/v1/page/There_is_no_such_page"
    assert site.session().get(missing, timeout=60).status_code == 404


def test_switches_of_the_wiki_are_seen_by_its_readers(fleet, site, writer):
    host = fleet.with_role("app")[0]
    asked = ["analytics", "indexed", "uploads"]
    pillar = fleet.shell(host.name, "salt-call --out=json pillar.get mediawiki").stdout
    given = json.loads(pillar)["local"] or {}
    on = {name: given.get(name, False) for name in asked}
    page = site.session().get(f"https://docs.{site.domain}/wiki/Main_Page", timeout=60)
    assert ("noindex" in page.text) is not bool(on["indexed"])
    assert ("noindex" in page.headers.get("X-Robots-Tag", "")) is not bool(on["indexed"])
    if not on["analytics"]:
        # No script of anybody else: all that the page loads is its own.
        outside = re.findall(r'<script[^>]+src="(?:https?:)?//([^/"]+)', page.text)
        assert {name for name in outside if name != f"docs.{site.domain}"} == set()
    if not on["uploads"]:
        answer = writer.browser.post(
            writer.api,
            data={"action": "upload", "filename": "X.png", "format": "json"}
            | {"token": writer.token()},
            files={"file": ("X.png", b"\x89PNG", "image/png")},
            timeout=60,
        ).json()
        assert answer["error"]["code"] == "uploaddisabled"


# What MediaWiki's own handlers make of a picture, as the wiki's user.
THUMBNAIL = """
use Wikimedia\\FileBackend\\FSFileBackend;
$backend = new FSFileBackend( [ 'name' => 'fleet', 'wikiId' => 'fleet',
    'lockManager' => new NullLockManager( [] ),
    'containerPaths' => [ 'fleet-public' => $argv_folder ] ] );
$repo = new FileRepo( [ 'name' => 'fleet', 'backend' => $backend ] );
foreach ( json_decode( $argv_files, true ) as $name => $mime ) {
    $path = "$argv_folder/$name";
    $file = new UnregisteredLocalFile( false, $repo, "mwstore://fleet/fleet-public/$name", $mime );
    $how = [ 'width' => 40, 'page' => 1 ];
    $made = $file->getHandler()->doTransform( $file, "$path.thumb.png", '', $how );
    $size = $made->isError() ? [ $made->toText() ] : getimagesize( "$path.thumb.png" );
    echo $mime, ' ', $size[0], "\\n";
}
"""

PICTURES = r"""
set -e
cd "$1"
convert -size 100x80 gradient:red-blue big.png
cat > big.svg <<X
<svg xmlns="http://www.w3.org/2000/svg" width="100" height="80">
<circle cx="9" cy="9" r="8"/>
</svg>
X
convert -size 100x80 gradient:red-blue ppm:big.ppm
c44 big.ppm big.djvu
chown -R wiki:wiki .
"""


def test_pictures_of_drawings_and_books_are_made(fleet):
    host = fleet.with_role("app")[0]
    folder = host.check_output("mktemp -d /tmp/fleet-pictures-XXXXXX")
    with contextlib.ExitStack() as after:
        after.callback(host.run_expect, [0], f"rm -rf {folder}")
        done = fleet.shell(host.name, f"bash -s {folder}", stdin=PICTURES)
        assert done.returncode == 0, done.stderr
        kinds = {
            "big.png": "image/png",
            "big.svg": "image/svg+xml",
            "big.djvu": "image/vnd.djvu",
        }
        code = f"$argv_folder = '{folder}'; $argv_files = '{json.dumps(kinds)}';{THUMBNAIL}"
        host.run_expect([0], f"chmod 755 {folder}")
        said = fleet.shell(
            host.name,
            "runuser -u wiki -- php /srv/release/mediawiki/current/maintenance/run.php "
            "eval --wiki=docs",
            stdin=code.replace("\n", " ") + "\n",
            seconds=120,
        )
        made = {
            line.rpartition(" ")[0].strip("> "): line.rpartition(" ")[2]
            for line in said.stdout.splitlines()
            if "image/" in line
        }
        assert made == dict.fromkeys(kinds.values(), "40"), said.stdout + said.stderr
