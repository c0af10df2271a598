"""One login: a person at the accounts site and at the wiki, through the public edge."""

import json
import re
import secrets as random
import shlex
from email import message_from_string

import pytest

from tests.fleet import test_accounts as of_accounts
from tests.support import accounts
from tests.support.waiting import wait_for

portal, account = of_accounts.portal, of_accounts.account
WHO = "/w/api.php?action=query&meta=userinfo&uiprop=groups&format=json"
SESSIONS = "/usr/share/lemonldap-ng/bin/lemonldap-ng-sessions"


class Reader(accounts.Person):
    """Somebody with one browser for all of the sites."""

    def __init__(self, portal):
        super().__init__(portal.url, portal.person().browser)
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

    def __init__(self, portal, host):
        self.portal, self.host, self.site = portal, host, f"docs.{portal.domain}"
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
