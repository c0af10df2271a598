"""One login: a person at the accounts site, the wiki and the blog, through the public edge."""

import json
import re
import secrets as random
import shlex
from base64 import b64encode
from concurrent import futures
from email import message_from_string
from html import unescape
from urllib.parse import quote

import pytest

from tests.support import accounts
from tests.support.waiting import wait_for

WHO = "/w/api.php?action=query&meta=userinfo&uiprop=groups&format=json"
SESSIONS = "/usr/share/lemonldap-ng/bin/lemonldap-ng-sessions"


class Reader(accounts.Person):
    """Somebody with one browser for all of the sites."""

    def __init__(self, portal):
        super().__init__(portal.url, portal.person().browser)
        self.domain = portal.domain
        self.wiki = f"https://docs.{portal.domain}"
        self.door = f"{self.wiki}/wiki/Special:UserLogin?returnto=Help:Test"

    def enter(self, user, password):
        """Sign in as the wiki leads to; returns the addresses on the way, and the last page."""
        form = self.browser.get(self.door, timeout=60)
        page = self.sign_in(user, password, path=form.url, page=form)
        return [answer.url for answer in (*form.history, form, *page.history)], page

    def who(self):
        """Whom the wiki takes this browser for: the name (None for nobody), the groups."""
        return named(self.browser.get(self.wiki + WHO, timeout=60).text)

    @property
    def cookie(self):
        return next(c for c in self.browser.cookies if c.name == "sso_session").value


def named(answer):
    found = json.loads(answer)["query"]["userinfo"]
    return None if "anon" in found else found["name"], found["groups"]


def who_on(portal, host, cookie):
    """Whom the wiki of this very host takes the bearer of a cookie for."""
    done = portal.fleet.shell(
        host.name,
        f"curl -sSf -m 30 -H 'Host: docs.{portal.domain}' -H 'X-Forwarded-Proto: https' "
        f"-b sso_session={shlex.quote(cookie)} 'http://127.0.0.1{WHO}'",
    )
    assert done.returncode == 0, done.stderr
    return named(done.stdout)[0]


@pytest.fixture
def somebody(portal):
    """Somebody without rights; always of one name, for the wiki forgets nobody."""
    uid, password = "test-reader", random.token_hex(8)
    portal.remove(uid)
    portal.make(uid, password)
    yield uid, password
    portal.remove(uid)


@pytest.fixture
def apps(fleet):
    found = fleet.with_role("app")
    if not found:
        pytest.skip("this level has no host of the wiki")
    return found


def test_the_wiki_s_login_is_the_portal_s(portal, apps):
    reader = Reader(portal)
    assert reader.who()[0] is None
    way, page = reader.enter("operator", portal.secrets["accounts-operator"])
    assert f"{reader.wiki}/sso/login?to=/wiki/Help:Test" in way
    assert any(address.startswith(f"{portal.url}oauth2/authorize?") for address in way)
    assert page.url == f"{reader.wiki}/wiki/Help:Test"
    name, groups = reader.who()
    assert name == "Operator" and "bureaucrat" in groups
    assert [who_on(portal, host, reader.cookie) for host in apps] == ["Operator"] * len(apps)

    cookie = reader.cookie
    page = reader.browser.get(f"{reader.wiki}/wiki/Special:UserLogout", timeout=60)
    assert page.url.startswith(f"{reader.wiki}/wiki/")
    assert reader.who()[0] is None and not reader.inside
    reader.browser.cookies.set("sso_session", cookie, domain=f"docs.{portal.domain}")
    assert reader.who()[0] is None


def test_who_comes_has_an_account_without_rights(portal, apps, somebody):
    reader = Reader(portal)
    reader.enter(*somebody)
    name, groups = reader.who()
    assert name == somebody[0].capitalize()
    assert set(groups) == {"*", "user", "autoconfirmed"}
    # Who is inside already is asked nothing.
    reader.browser.cookies.clear(domain=f"docs.{portal.domain}")
    assert reader.who()[0] is None
    page = reader.browser.get(reader.door, timeout=60)
    assert page.url == f"{reader.wiki}/wiki/Help:Test"
    assert reader.who()[0] == name


def test_signing_out_at_the_portal_ends_the_wiki_s_on_all_hosts(portal, apps, somebody):
    reader = Reader(portal)
    reader.enter(*somebody)
    name = somebody[0].capitalize()
    assert [who_on(portal, host, reader.cookie) for host in apps] == [name] * len(apps)
    reader.get("?logout=1")
    assert not reader.inside
    assert [who_on(portal, host, reader.cookie) for host in apps] == [None] * len(apps)


class EagerGate:
    """A host's gate once more, on another port: it asks the provider anew each second."""

    made, port = "/run/sso-gate-eager", 4197

    def __init__(self, portal, host, site="docs"):
        self.portal, self.host, self.site = portal, host, f"{site}.{portal.domain}"
        self.cookies = {}

    def __enter__(self):
        start = f"""set -e
            sed -e 's#/var/lib/sso-gate#{self.made}#; s#/run/sso-gate/#{self.made}/#' \\
                -e 's#127.0.0.1:4180#127.0.0.1:{self.port}#' \\
                -e 's#Include secrets.conf#Include /etc/sso-gate/secrets.conf#' \\
                -e 's#^OIDCUserInfoRefreshInterval .*#{self.asks()}#' \\
                /etc/sso-gate/apache2.conf | install -m 640 -g sso-gate /dev/stdin {self.made}.conf
            systemd-run -q --unit sso-gate-eager -p User=sso-gate \\
                -p RuntimeDirectory=sso-gate-eager \\
                /usr/sbin/apache2 -f {self.made}.conf -DFOREGROUND"""
        done = self.portal.fleet.shell(self.host.name, start)
        try:
            assert done.returncode == 0, done.stderr
            at = f"tcp://127.0.0.1:{self.port}"
            wait_for(lambda: self.host.socket(at).is_listening, 20, "the second gate listens")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        command = f"systemctl stop sso-gate-eager; rm -f {self.made}.conf"
        self.portal.fleet.shell(self.host.name, command)

    def asks(self):
        """The host's own line, with another time."""
        line = "^OIDCUserInfoRefreshInterval .*$"
        text = self.host.file("/etc/sso-gate/apache2.conf").content_string
        word, _, rest = re.search(line, text, re.MULTILINE).group().split(" ", 2)
        return f"{word} 1 {rest}"

    def ask(self, path):
        """The fields of an answer's head, as nginx would get them."""
        jar = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        head = self.host.check_output(
            f"curl -sS -m 30 -D - -o /dev/null -H 'Host: {self.site}' -H 'X-Forwarded-Proto: https'"
            f" -b {shlex.quote(jar)} {shlex.quote(f'http://127.0.0.1:{self.port}{path}')}"
        )
        fields = message_from_string(head.split("\n", 1)[1])
        for cookie in fields.get_all("Set-Cookie", []):
            name, _, value = cookie.split(";")[0].partition("=")
            self.cookies[name] = value
        return fields

    def enter(self, person):
        """Sign in, by somebody who is inside at the portal."""
        asked = self.ask("/sso/login?to=/")["Location"]
        back = person.browser.get(asked, timeout=60, allow_redirects=False).headers["Location"]
        self.ask(back.removeprefix(f"https://{self.site}"))

    def knows(self):
        return bool(self.ask("/sso/check")["X-Sso-User"])


def test_a_login_is_renewed_until_the_portal_ends_it(portal, apps, account):
    def sessions(action, rest):
        done = portal.shell(f"{SESSIONS} {action} {rest}")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def access_tokens():
        fields = "--select _type --select _session_id"
        where = f"--backend oidc --where user_session_id={session}"
        found = json.loads(sessions("search", f"{where} {fields}"))
        return {one["_session_id"] for one in found if one["_type"] == "access_token"}

    person = portal.person()
    person.sign_in(*account)
    (session,) = sessions("search", f"--where _whatToTrace={account[0]} --id-only").split()
    with EagerGate(portal, apps[0]) as gate:
        gate.enter(person)
        assert gate.knows()
        # The token's time is over: the next question needs another one.
        (first,) = access_tokens()
        sessions("delete", f"--backend oidc {first}")
        wait_for(lambda: gate.knows() and access_tokens(), 20, "another access token")
        assert gate.knows()
        done = portal.shell(
            f"salt-call --retcode-passthrough site_lemonldap.end_sessions {account[0]}"
        )
        assert done.returncode == 0, done.stdout
        wait_for(lambda: not gate.knows(), 20, "the gate asks, and forgets who it was")
        for host in apps:
            assert who_on(portal, host, gate.cookies["sso_session"]) is None


# -- the blog ------------------------------------------------------------------

PROFILE = "/wp-admin/profile.php"


class Guest(Reader):
    """Somebody with one browser, at the blog."""

    def __init__(self, portal):
        super().__init__(portal)
        self.blog = f"https://blog.{portal.domain}"

    def enter(self, user, password):
        """Sign in as the blog leads to; returns the last page."""
        form = self.open(PROFILE)
        return self.sign_in(user, password, path=form.url, page=form)

    def open(self, path, **more):
        return self.browser.get(self.blog + path, timeout=60, **more)

    def send(self, path, **fields):
        return self.browser.post(self.blog + path, data=fields, timeout=60)

    def log_in(self, name, password):
        """Try a password of the blog's own, when the limit of attempts lets it through."""
        given = {"log": name, "pwd": password, "redirect_to": f"{self.blog}/wp-admin/"}

        def answered():
            answer = self.send("/wp-login.php", **given)
            return answer if answer.status_code != 429 else None

        return wait_for(answered, 90, "the limit of attempts lets one through")[0]

    @property
    def nonce(self):
        """What the pages of this session send along; None for strangers."""
        answer = self.open("/wp-admin/admin-ajax.php?action=rest-nonce")
        return answer.text if answer.status_code == 200 and len(answer.text) == 10 else None

    def api(self, method, path, nonce=None, **fields):
        head = {"X-WP-Nonce": nonce or self.nonce or "0"}
        address = f"{self.blog}/wp-json/wp/v2/{path}"
        return self.browser.request(method, address, headers=head, json=fields, timeout=60)

    def me(self):
        """Whom the blog takes this browser for; None for nobody."""
        answer = self.api("GET", "users/me?context=edit")
        return answer.json() if answer.status_code == 200 else None

    def roles(self):
        found = self.me()
        return found and found["roles"]

    def cookies_of(self, blog, login):
        """Have WordPress's own cookies for an account, made with the blog's own keys."""
        said = blog.php(
            "$id = username_exists($given['login']); $until = time() + 600;"
            "$token = WP_Session_Tokens::get_instance($id)->create($until);"
            "foreach ([LOGGED_IN_COOKIE => 'logged_in', SECURE_AUTH_COOKIE => 'secure_auth']"
            " as $name => $kind)"
            " $made[$name] = wp_generate_auth_cookie($id, $until, $kind, $token);"
            "echo json_encode($made);",
            login=login,
        )
        for name, value in json.loads(said).items():
            self.browser.cookies.set(name, quote(value), domain=f"blog.{self.domain}")


@pytest.fixture
def guest(portal, blog):
    """Makes somebody of a name, in groups; returns name and password."""
    made = []

    def make(uid, *groups):
        password = random.token_hex(8)
        portal.remove(uid)
        portal.make(uid, password)
        for group in groups:
            portal.join(uid, group)
        made.append(uid)
        return uid, password

    yield make
    for uid in made:
        portal.remove(uid)
        if uid != "blogadmin":
            blog.forget(uid)


def test_one_password_opens_the_wiki_and_the_blog(portal, apps, guest):
    uid, password = guest("test-guest")
    here = Guest(portal)
    assert here.me() is None
    page = here.enter(uid, password)
    assert page.url == here.blog + PROFILE and page.status_code == 200
    me = here.me()
    assert (me["username"], me["roles"]) == (uid, ["subscriber"])
    assert (me["name"], me["email"]) == (f"Test {uid}", f"{uid}@{portal.domain}")
    # Who is inside is asked nothing: neither at the wiki nor here once more.
    assert here.browser.get(here.door, timeout=60).url == f"{here.wiki}/wiki/Help:Test"
    assert here.who()[0] == uid.capitalize()
    here.browser.cookies.clear(domain=f"blog.{portal.domain}")
    assert here.me() is None
    assert here.open("/wp-login.php?redirect_to=%2Ffeed%2F").url == f"{here.blog}/feed/"
    assert here.me()["username"] == uid


def test_groups_become_roles_at_the_blog(portal, guest):
    operator = Guest(portal)
    operator.enter("operator", portal.secrets["accounts-operator"])
    assert operator.roles() == ["administrator"]
    assert operator.open("/wp-admin/options-general.php").status_code == 200
    for groups, role in [
        ([], "subscriber"),
        (["blog-editors"], "editor"),
        (["blog-editors", "blog-admins"], "administrator"),
        ([], "subscriber"),
    ]:
        uid, password = guest("test-guest", *groups)
        here = Guest(portal)
        here.enter(uid, password)
        assert here.roles() == [role], groups
        allowed = here.open("/wp-admin/options-general.php").status_code
        assert allowed == (200 if role == "administrator" else 403), groups


def test_rights_by_hand_last_until_the_next_request(portal, blog, guest):
    here = Guest(portal)
    here.enter(*guest("test-guest"))
    blog.php(
        "get_user_by('login', 'test-guest')->set_role('administrator');"
        "wp_update_user(['ID' => username_exists('test-guest'), 'display_name' => 'Somebody']);"
    )
    assert here.roles() == ["subscriber"] and here.me()["name"] == "Test test-guest"


def test_signing_out_ends_all_wherever_it_is_done(portal, apps, guest):
    who = guest("test-guest")
    for leave in (
        lambda here: here.open("/wp-login.php?action=logout"),
        lambda here: here.browser.get(f"{here.wiki}/wiki/Special:UserLogout", timeout=60),
        lambda here: here.get("?logout=1"),
    ):
        here = Guest(portal)
        here.enter(*who)
        here.browser.get(here.door, timeout=60)
        assert here.me() and here.who()[0]
        kept = here.browser.cookies.copy()
        leave(here)
        # Not even with the cookies of before.
        here.browser.cookies.update(kept)
        assert here.me() is None and here.who()[0] is None and not here.inside
        assert here.open(PROFILE).url.startswith(f"{portal.url}oauth2/authorize?")


def test_who_is_locked_or_regrouped_is_signed_out(portal, blog, guest):
    for change in ("person_lock test-guest", "group_set test-guest blog-editors member=False"):
        here = Guest(portal)
        here.sign_in(*guest("test-guest", "blog-editors"))
        with EagerGate(portal, blog.host, "blog") as gate:
            gate.enter(here)
            here.browser.cookies.set(
                "sso_session", gate.cookies["sso_session"], domain=f"blog.{portal.domain}"
            )
            assert gate.knows() and here.roles() == ["editor"]
            done = portal.shell(f"salt-call --retcode-passthrough site_directory.{change}")
            assert done.returncode == 0, done.stdout
            wait_for(
                lambda gate=gate: not gate.knows(), 20, "the gate asks, and forgets who it was"
            )
        assert here.me() is None


def test_nobody_becomes_the_break_glass_account(portal, blog, guest):
    here = Guest(portal)
    page = here.enter(*guest("blogadmin"))
    assert page.status_code == 403 and page.url == here.blog + PROFILE
    assert here.me() is None and here.nonce is None
    said = blog.php("$a = get_user_by('login', 'BlogAdmin'); echo $a->user_email, $a->roles[0];")
    assert said == f"blog@{portal.domain}administrator"


def test_what_a_visitor_says_of_itself_counts_nothing(portal, blog):
    named = b64encode(b"operator").decode().rstrip("=")
    names = "SITE_SSO_USER Site-Sso-User X-Sso-User Remote-User OIDC_CLAIM_sub"
    here = Guest(portal)
    here.browser.headers.update(dict.fromkeys(names.split(), named))
    here.browser.cookies.set("sso_session", "forged", domain=f"blog.{portal.domain}")
    assert here.me() is None
    assert here.open(PROFILE).url.startswith(f"{portal.url}oauth2/authorize?")
    said = blog.host.check_output(
        "curl -s -o /dev/null -w '%{redirect_url}' -H 'X-Forwarded-Proto: https' "
        f"-H 'Host: {blog.name}' -b sso_session=forged -H 'Site-Sso-User: {named}' "
        f"'http://127.0.0.1{PROFILE}?SITE_SSO_USER={named}'"
    )
    assert said.startswith(f"{blog.url}/sso/login?to={PROFILE}")


def test_passwords_and_cookies_of_the_blog_s_own_open_nothing(portal, blog):
    name, word = "test-local", random.token_hex(16)
    blog.forget(name)
    blog.php(
        "wp_insert_user(['user_login' => $given['name'], 'user_pass' => $given['word'],"
        " 'user_email' => 'local@webplatform.test', 'role' => 'administrator']);",
        name=name,
        word=word,
    )
    try:
        right = (
            "$hash = get_user_by('login', $given['name'])->user_pass;"
            "echo wp_check_password($given['word'], $hash) ? 'right' : 'wrong';"
        )
        assert blog.php(right, name=name, word=word) == "right"
        for given in (name, "local@webplatform.test"):
            here = Guest(portal)
            answer = here.log_in(given, word)
            assert "do not fit together" in answer.text and here.me() is None
        here = Guest(portal)
        here.cookies_of(blog, name)
        assert here.me() is None
        assert here.open(PROFILE).url.startswith(f"{portal.url}oauth2/authorize?")
        here.cookies_of(blog, "BlogAdmin")
        assert here.me()["username"] == "BlogAdmin"
    finally:
        blog.forget(name)


def test_the_break_glass_account_gets_in_by_its_door(portal, blog):
    password = portal.secrets["wordpress-admin"]
    here = Guest(portal)
    assert here.open("/wp-login.php").url.startswith(f"{portal.url}oauth2/authorize?")
    assert 'name="pwd"' in here.open("/wp-login.php?breakglass").text
    assert "do not fit together" in here.log_in("BlogAdmin", "wrong").text
    assert here.me() is None
    page = here.log_in("BlogAdmin", password)
    assert page.status_code == 200 and page.url == f"{here.blog}/wp-admin/"
    assert here.roles() == ["administrator"]
    # Seen by nobody else, and out again.
    assert here.open("/").headers["X-Cache"] == "PASS"
    out = unescape(re.search(r"href=['\"]([^'\"]+action=logout[^'\"]+)", page.text)[1])
    assert here.browser.get(out, timeout=60).url == f"{here.blog}/"
    assert here.me() is None


def test_passwords_for_programs_open_nothing(portal, blog):
    word = blog.php(
        "$made = WP_Application_Passwords::create_new_application_password("
        "username_exists('BlogAdmin'), ['name' => 'fleet test']); echo $made[0];"
    )
    try:
        for password in (word, portal.secrets["wordpress-admin"]):
            answer = Guest(portal).browser.get(
                f"{blog.url}/wp-json/wp/v2/users/me", auth=("BlogAdmin", password), timeout=60
            )
            assert answer.status_code == 401
        assert Guest(portal).send("/xmlrpc.php", x="y").status_code == 404
    finally:
        blog.php(
            "WP_Application_Passwords::delete_all_application_passwords("
            "username_exists('BlogAdmin'));"
        )


def test_what_the_accounts_site_decides_is_not_changed_at_the_blog(portal, blog, guest):
    uid, password = guest("test-guest", "blog-admins")
    here = Guest(portal)
    page = here.enter(uid, password)
    fields = accounts.fields_of(page.text, "nickname")
    assert fields["email"] == f"{uid}@{portal.domain}" and "pass1" not in fields
    other = {"email": "other@example.org", "display_name": "x", "url": "http://a.example"}
    assert "profile updated" in here.send(PROFILE, **fields | other).text.lower()
    me = here.api("POST", "users/me", email=other["email"], name="x", password="x" * 20).json()
    assert (me["email"], me["name"]) == (f"{uid}@{portal.domain}", f"Test {uid}")
    assert me["url"] == "http://a.example"
    number = blog.php("echo username_exists('BlogAdmin');")
    assert here.api("POST", f"users/{number}", roles=["subscriber"]).status_code == 403
    assert blog.php("echo get_user_by('login', 'BlogAdmin')->roles[0];") == "administrator"
    new = {"username": "test-new", "email": "new@example.org", "password": "x" * 20}
    assert here.api("POST", "users", **new).status_code == 403
    assert here.open("/wp-admin/user-new.php").status_code == 403
    for action, page in (("register", "register"), ("lostpassword", "resetpwd")):
        stranger = Guest(portal)
        assert stranger.open(f"/wp-login.php?action={action}").url == f"{portal.url}{page}"


def test_a_request_from_elsewhere_does_nothing(portal, guest):
    who = guest("test-guest")
    here, before = Guest(portal), Guest(portal)
    before.enter(*who)
    here.enter(*who)
    assert here.me()
    bare = here.browser.get(f"{here.blog}/wp-json/wp/v2/users/me", timeout=60)
    assert bare.status_code == 401
    # What one session was given another one cannot use.
    assert here.api("GET", "users/me", nonce=before.nonce).status_code == 403


def test_many_first_requests_make_one_account(portal, blog, guest):
    here = Guest(portal)
    form = here.open("/wp-login.php?redirect_to=%2Fwp-includes%2Fcss%2Fbuttons.css")
    uid, password = guest("test-guest")
    here.sign_in(uid, password, path=form.url, page=form)
    assert blog.php("echo username_exists('test-guest') ?: 'nobody';") == "nobody"
    with futures.ThreadPoolExecutor(8) as crowd:
        pages = crowd.map(lambda number: here.open(f"/?s={number}").status_code, range(8))
    assert set(pages) == {200}
    count = "SELECT COUNT(*) FROM $wpdb->users WHERE user_login = 'test-guest'"
    assert blog.php(f'echo $wpdb->get_var("{count}");') == "1"


def test_who_reads_and_comments_at_the_blog(portal, blog, guest, visitor):
    uid, password = guest("test-guest")
    title, word = f"Fleet test {random.token_hex(4)}", random.token_hex(8)
    post = json.loads(
        blog.php(
            "$id = wp_insert_post(['post_title' => $given['title'], 'post_status' => 'publish',"
            " 'post_content' => 'To be commented on.', 'comment_status' => 'open']);"
            "echo json_encode([$id, get_permalink($id)]);",
            title=title,
        )
    )
    path = post[1].removeprefix(blog.url)
    try:
        visitor.open("blog", path)
        assert visitor.page.locator("#wpadminbar").count() == 0
        visitor.shot("stranger")
        visitor.page.locator(".must-log-in a").click()
        visitor.page.locator("input[name=user]").fill(uid)
        visitor.page.locator("input[name=password]").fill(password)
        visitor.page.locator("input[name=password]").press("Enter")
        visitor.page.wait_for_url(post[1])
        bar = visitor.page.locator("#wpadminbar")
        assert f"Test {uid}" in bar.inner_text()
        assert visitor.page.locator("#commentform input[name=author]").count() == 0
        assert f"Logged in as Test {uid}" in visitor.page.locator("#commentform").inner_text()
        visitor.shot("signed-in")
        visitor.page.locator("#comment").fill(f"A comment {word}")
        visitor.page.locator("#commentform [type=submit]").click()
        visitor.page.get_by_text(f"A comment {word}").wait_for()
        assert "awaiting moderation" in visitor.page.content()
        visitor.shot("commented")
        visitor.open("blog", PROFILE)
        assert not visitor.page.locator("#email").is_visible()
        visitor.shot("profile")
        # A reader's page is nobody's: neither the bar nor a comment that waits is on it.
        for expected in ("MISS", "HIT"):
            page = blog.get(path)
            assert page.headers["X-Cache"] in ("HIT", expected)
            assert "wpadminbar" not in page.text and word not in page.text
        blog.php(
            "foreach (get_comments(['post_id' => $given['id'], 'status' => 'hold']) as $one)"
            " wp_set_comment_status($one, 'approve');",
            id=post[0],
        )
        page = blog.get(path).text
        assert word in page and f"Test {uid}" in page
        visitor.open("blog", "/wp-login.php?action=logout")
        visitor.open("blog", path)
        assert visitor.page.locator("#wpadminbar").count() == 0
        assert visitor.errors == []
    finally:
        blog.php("wp_delete_post((int) $given['id'], true);", id=post[0])


def test_the_break_glass_door_is_readable(visitor):
    assert visitor.open("blog", "/wp-login.php?breakglass").status == 200
    assert visitor.page.locator("#user_pass").is_visible()
    visitor.shot()
