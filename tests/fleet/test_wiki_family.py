"""Two wikis on one code: each works as the other does, and knows nothing of it."""

import json
import secrets as random
import shlex

import pytest

from tests.fleet.test_one_login import Reader
from tests.support import database
from tests.support.keystores import talk
from tests.support.waiting import wait_for
from tests.support.wiki import Writer

WIKIS = {"docs": ("wiki", "mediawiki-admin"), "test": ("testwiki", "mediawiki-testwiki-admin")}
OTHER = {"docs": "test", "test": "docs"}
RUN = "php /srv/release/mediawiki/current/maintenance/run.php"
CACHES = 11255

# Runs on the host: a request to a pool of php-fpm, as nginx would send it.
ASK_POOL = """
import socket, struct, sys
pool, name = sys.argv[1:]
given = {"SCRIPT_FILENAME": "/srv/release/mediawiki/current/api.php", "SCRIPT_NAME": "/w/api.php",
    "REQUEST_METHOD": "GET", "QUERY_STRING": "action=query&meta=siteinfo&format=json",
    "SERVER_NAME": name, "HTTP_HOST": "docs.webplatform.test", "SERVER_PROTOCOL": "HTTP/1.1",
    "REMOTE_ADDR": "127.0.0.1", "REQUEST_URI": "/w/api.php?action=query"}
def record(kind, content):
    return struct.pack("!BBHHBx", 1, kind, 1, len(content), 0) + content
pairs = b"".join(bytes([len(k)]) + struct.pack("!I", len(v) | 1 << 31) + k.encode() + v.encode()
    for k, v in given.items())
line = socket.socket(socket.AF_UNIX)
line.connect(f"/run/php/{pool}.sock")
line.sendall(record(1, struct.pack("!HB5x", 1, 0)) + record(4, pairs) + record(4, b"")
    + record(5, b""))
with line.makefile("rb") as answer:
    while head := answer.read(8):
        _, kind, _, size, padding = struct.unpack("!BBHHBx", head)
        content = answer.read(size)
        answer.read(padding)
        if kind == 6:
            sys.stdout.write(content.decode("utf-8", "replace"))
        if kind == 3:
            break
"""


@pytest.fixture(scope="module")
def app(fleet):
    return fleet.with_role("app")[0]


@pytest.fixture(scope="module")
def writers(site, secrets):
    """The first account of each wiki, logged in."""
    made = {}
    for wiki, (_, password) in WIKIS.items():
        made[wiki] = Writer(site, secrets[password], wiki)
    yield made
    for writer in made.values():
        writer.tidy()


def ask_pool(fleet, app, pool, name):
    done = fleet.shell(app.name, f"python3 -c {shlex.quote(ASK_POOL)} {pool} {name}")
    assert done.returncode == 0, done.stderr
    return done.stdout


# -- each for itself -------------------------------------------------------------


@pytest.mark.parametrize("wiki", WIKIS)
def test_an_edit_is_on_its_wiki_alone(site, writers, wiki):
    title, text = f"Fleet test {random.token_hex(6)}", random.token_hex(8)
    writers[wiki].edit(title, text)
    page = f"/wiki/{title.replace(' ', '_')}"
    read = {name: site.session().get(site.url(name, page), timeout=60) for name in WIKIS}
    assert (read[wiki].status_code, read[OTHER[wiki]].status_code) == (200, 404)
    assert text in read[wiki].text and text not in read[OTHER[wiki]].text


def test_each_has_its_title_and_its_own_password(site, writers, secrets):
    def title(wiki):
        asked = writers[wiki].get(action="query", meta="siteinfo")["query"]["general"]
        return asked["sitename"], asked["server"], asked["wikiid"]

    assert title("docs") == ("Web Platform Docs", f"https://docs.{site.domain}", "wiki")
    assert title("test") == ("Web Platform Test Wiki", f"https://test.{site.domain}", "testwiki")
    for wiki, (_, password) in WIKIS.items():
        with pytest.raises(AssertionError, match="FAIL"):
            Writer(site, secrets[password], OTHER[wiki])


def test_a_login_on_one_is_none_on_the_other(site, writers):
    visitor = site.session()
    for cookie in writers["test"].browser.cookies:
        visitor.cookies.set(cookie.name, cookie.value, domain=f"docs.{site.domain}")
        visitor.cookies.set(f"wiki{cookie.name.removeprefix('testwiki')}", cookie.value)
    who = "/w/api.php?action=query&meta=userinfo&format=json"
    answer = visitor.get(site.url("docs", who), timeout=60).json()
    assert "anon" in answer["query"]["userinfo"]
    assert writers["test"].name() == "WikiAdmin"


def test_the_test_wiki_is_for_no_search_engine(site):
    page = site.session().get(site.url("test", "/wiki/Main_Page"), timeout=60)
    assert page.status_code == 200
    assert "noindex" in page.headers["X-Robots-Tag"]
    assert '<meta name="robots" content="noindex,nofollow' in page.text
    robots = site.session().get(site.url("test", "/robots.txt"), timeout=60).text
    assert "Disallow: /" in robots.splitlines()


def test_the_site_s_search_does_not_know_the_test_wiki(site, writers):
    word = "findme" + random.token_hex(6)

    writers["test"].edit(f"Fleet test {word}", "found by its name")
    writers["docs"].edit(f"Fleet test of docs {word}", "found by its name")

    def told():
        answer = site.session().get(site.url("search", f"/?q={word}&format=json"), timeout=60)
        return f"docs {word}" in answer.text and answer.text

    answer = wait_for(told, 60, "the search finds the page of the first wiki")
    assert f"test.{site.domain}" not in answer
    # Its own search does.
    hits = writers["test"].get(action="query", list="search", srsearch=word)["query"]["search"]
    assert [hit["title"] for hit in hits] == [f"Fleet test {word}"]


# -- the edge --------------------------------------------------------------------


def test_a_page_of_the_test_wiki_is_kept_until_it_is_edited(site, writers):
    title = f"Fleet test {random.token_hex(6)}"
    page = site.url("test", f"/wiki/{title.replace(' ', '_')}")

    def read():
        answer = site.session().get(page, timeout=60)
        return answer.headers["X-Cache"], answer.text

    before, after = random.token_hex(8), random.token_hex(8)
    writers["test"].edit(title, before)
    assert [before in read()[1] for _ in range(2)] == [True, True]
    assert read()[0] == "HIT"
    writers["test"].edit(title, after)
    cache, text = read()
    assert cache == "MISS" and after in text and before not in text


# -- one login -------------------------------------------------------------------


def test_who_is_signed_in_once_is_signed_in_on_both(portal, account):
    readers = {}
    for wiki in WIKIS:
        readers[wiki] = Reader(portal)
        readers[wiki].wiki = f"https://{wiki}.{portal.domain}"
        readers[wiki].door = f"{readers[wiki].wiki}/wiki/Special:UserLogin?returnto=Help:Test"
    docs, test = readers["docs"], readers["test"]
    test.browser = docs.browser
    docs.enter(*account)
    name = account[0].capitalize()
    assert (docs.who()[0], test.who()[0]) == (name, None)
    # Asked nothing: the portal knows this browser.
    page = test.browser.get(test.door, timeout=60)
    assert page.url == f"{test.wiki}/wiki/Help:Test"
    assert (docs.who()[0], test.who()[0]) == (name, name)
    assert set(test.who()[1]) == {"*", "user", "autoconfirmed"}
    # Out on one is out on both.
    docs.browser.get(f"{docs.wiki}/sso/logout", timeout=60)
    wait_for(
        lambda: (docs.who()[0], test.who()[0]) == (None, None),
        10,
        "who is out on one is out on both",
    )


def test_an_operator_has_rights_on_both(portal):
    for wiki in WIKIS:
        reader = Reader(portal)
        reader.wiki = f"https://{wiki}.{portal.domain}"
        reader.door = f"{reader.wiki}/wiki/Special:UserLogin?returnto=Help:Test"
        reader.enter("operator", portal.secrets["accounts-operator"])
        name, groups = reader.who()
        assert name == "Operator" and "bureaucrat" in groups, wiki


# -- which wiki ------------------------------------------------------------------


def test_a_name_that_is_no_wiki_is_refused(fleet, site, app):
    for pool, wiki in (("wiki", "docs"), ("testwiki", "test")):
        right = ask_pool(fleet, app, pool, f"{wiki}.{site.domain}")
        assert f"https://{wiki}.{site.domain}" in right
        # What the client says in Host counts nothing.
        for name in (f"nobody.{site.domain}", "localhost", "''"):
            wrong = ask_pool(fleet, app, pool, name)
            assert wrong.startswith("Status: 421") and "no such wiki" in wrong, wrong
        # The pool of one has no way to the other.
        other = ask_pool(fleet, app, pool, f"{OTHER[wiki]}.{site.domain}")
        assert other.startswith("Status: 500"), other
        assert "sitename" not in other


def test_a_script_says_which_wiki(fleet, app):
    for wiki, (name, _) in WIKIS.items():
        said = fleet.shell(
            app.name,
            f"{RUN} eval --wiki={wiki}",
            stdin="echo MediaWiki\\WikiMap\\WikiMap::getCurrentWikiId();\n",
        )
        assert name in said.stdout.replace(">", "").split(), said
    for word in ("", "--wiki=wiki", "--wiki=nobody", "--server=https://docs.webplatform.test"):
        said = fleet.shell(app.name, f"{RUN} showSiteStats {word}")
        assert said.returncode == 1 and "Which wiki?" in said.stderr, said
        assert not said.stdout.strip()


def test_the_check_of_a_wiki_tells_one_that_fails(fleet, app):
    check = "/usr/local/lib/saltworks/wiki-check"
    for wiki in WIKIS:
        app.run_expect([0], f"{check} {wiki}")
    app.run_expect([2], f"{check} nobody")
    kept = "/etc/mediawiki/wikis/test.php"
    app.run_expect([0], f"mv {kept} {kept}.away")
    try:
        # Compiled code is looked at anew after two seconds.
        wait_for(lambda: app.run(f"{check} test").rc != 0, 20, "the check tells it")
        # The other one does not notice.
        app.run_expect([0], f"{check} docs")
    finally:
        app.run_expect([0], f"mv {kept}.away {kept}")
    wait_for(lambda: app.run(f"{check} test").rc == 0, 20, "the test wiki is back")


# -- on the hosts ----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["", "_admin"])
def test_an_account_of_one_database_may_nothing_in_the_other(fleet, app, secrets, kind):
    for wiki, (name, _) in WIKIS.items():
        other = WIKIS[OTHER[wiki]][0]
        user = name + kind
        password = secrets[f"mariadb-{user.replace('_', '-')}"]
        said = database.ask(
            fleet,
            app.name,
            f"SELECT COUNT(*) > 0 FROM {name}.page",  # noqa: S608 - names of the pillar
            f"SELECT * FROM {other}.user",  # noqa: S608
            f"UPDATE {other}.user SET user_name = 'x'",  # noqa: S608
            f"CREATE TABLE {other}.of_a_test (n INT)",
            f"USE {other}",
            "SHOW DATABASES",
            user=user,
            password=password,
        )["said"]
        assert said[0] == [["1"]], said
        assert all("denied" in answer for answer in said[1:5]), said
        assert {row[0] for row in said[5]} == {name, "information_schema"}


@pytest.mark.role("app")
def test_the_user_of_one_wiki_reads_nothing_of_the_other(fleet, host):
    for wiki, (user, _) in WIKIS.items():
        settings = host.file(f"/etc/mediawiki/wikis/{wiki}.php")
        assert (settings.user, settings.group, settings.mode) == ("root", user, 0o640)
        host.run_expect([0], f"runuser -u {user} -- cat {settings.path}")
        stranger = WIKIS[OTHER[wiki]][0]
        for path in (
            settings.path,
            f"/var/cache/mediawiki-{user}/.",
            f"/var/log/mediawiki-{user}/.",
            f"/etc/mediawiki/secrets/{wiki}.database_admin",
        ):
            assert host.run(f"runuser -u {stranger} -- ls -l {path}/ ").rc != 0, path
            assert host.run(f"runuser -u {stranger} -- cat {path}").rc != 0, path
        jobs = host.service(f"mediawiki-jobs-{wiki}")
        assert jobs.is_running and jobs.is_enabled
        running = host.check_output(f"systemctl show -P User mediawiki-jobs-{wiki}")
        assert running == user
    assert not host.file("/etc/systemd/system/mediawiki-jobs.service").exists
    names = host.check_output("ls /etc/mediawiki/secrets").split()
    assert names == sorted(
        f"{wiki}.{kind}" for wiki in WIKIS for kind in ("admin", "database_admin")
    )


def test_keys_of_one_wiki_are_not_the_other_s(fleet, app):
    """What MediaWiki itself puts into cache and sessions, under which keys."""
    value = random.token_hex(8)
    code = (
        "$s = MediaWiki\\MediaWikiServices::getInstance();"
        "$c = $s->getObjectCacheFactory()->getInstance( 'site-cache' );"
        "$r = $s->getObjectCacheFactory()->getInstance( 'site-sessions' );"
        f"$k = $c->makeKey( 'fleet', '{value}' );"
        "{}"
        "echo json_encode( [ $k, $c->get( $k ), $r->get( $k ) ] );"
    )

    def run(wiki, more):
        done = fleet.shell(
            app.name, f"{RUN} eval --wiki={wiki}", stdin=code.replace("{}", more) + "\n"
        )
        line = next(line for line in done.stdout.splitlines() if "[" in line)
        return json.loads(line[line.index("[") :])

    put = f"$c->set( $k, '{value}', 60 ); $r->set( $k, '{value}', 60 );"
    assert run("test", put) == [f"testwiki:fleet:{value}", value, value]
    assert run("docs", "") == [f"wiki:fleet:{value}", False, False]
    assert run("test", "") == [f"testwiki:fleet:{value}", value, value]
    # As the keystore has it.
    answers = talk(
        fleet,
        app.name,
        "127.0.0.1",
        CACHES,
        f"get testwiki:fleet:{value}\r\n",
        f"get wiki:fleet:{value}\r\n",
    )
    assert value in answers[0] and answers[1] == "END\r\n"


def test_jobs_of_one_wiki_wait_in_its_own_queue(fleet, app, secrets):
    def waiting(name):
        said = database.ask(
            fleet,
            app.name,
            f"SELECT job_cmd FROM {name}.job",  # noqa: S608
            user=f"{name}_admin",
            password=secrets[f"mariadb-{name}-admin"],
        )["said"][0]
        return [row[0] for row in said]

    assert "siteSearchIndex" not in waiting("testwiki")
    wait_for(lambda: waiting("testwiki") == [], 60, "the test wiki's jobs are worked off")
