"""A person and a program at the portal: what a browser and a relying party send."""

import base64
import hashlib
import hmac
import json
import re
import secrets
import struct
import time
from email import message_from_string
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import pytest

# Messages of the portal.
BAD_CREDENTIALS, MALFORMED, REFUSED_PARTNER, WAIT, TOO_SHORT = 5, 40, 84, 86, 29


class _Forms(HTMLParser):
    """The forms of a page: ``[{"action", "id", "fields": {name: value}}]``."""

    def __init__(self, text):
        super().__init__()
        self.forms = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "form":
            self.forms.append(
                {"action": given.get("action") or "", "id": given.get("id"), "fields": {}}
            )
        elif tag in ("input", "button") and self.forms and given.get("name"):
            self.forms[-1]["fields"][given["name"]] = given.get("value") or ""


def fields_of(text, having):
    """The fields of the first form of a page that has a field of this name."""
    for form in _Forms(text).forms:
        if having in form["fields"]:
            return form["fields"]
    return {}


def said(text):
    """What the portal tells a person: the names of its messages."""
    return re.findall(r'trmsg="(\d+)"|trspan="(PE\d+)"', text)


def message(text):
    """The number of the portal's message on a page, or None."""
    found = re.search(r'trmsg="(\d+)"', text) or re.search(r'trspan="PE(\d+)"', text)
    return int(found.group(1)) if found else None


def pkce():
    """A verifier and its challenge (S256)."""
    verifier = secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    return verifier, base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def totp(secret, moment=None):
    """The code that an authenticator shows for a secret in base32 (RFC 6238)."""
    key = base64.b32decode(secret.upper() + "=" * (-len(secret) % 8))
    counter = struct.pack(">Q", int((moment or time.time()) // 30))
    digest = hmac.new(key, counter, hashlib.sha1).digest()
    at = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[at : at + 4])[0] & 0x7FFFFFFF) % 10**6:06d}"


class Person:
    """Somebody with a browser of their own."""

    def __init__(self, portal, browser):
        self.portal, self.browser = portal, browser

    def get(self, path="", **how):
        return self.browser.get(urljoin(self.portal, path), timeout=60, **how)

    def post(self, path="", data=None, **how):
        return self.browser.post(urljoin(self.portal, path), data=data, timeout=60, **how)

    def sign_in(self, user, password, path="", page=None):
        """Fill in the form of the portal; returns the answer."""
        page = page or self.get(path)
        given = fields_of(page.text, "password") | {"user": user, "password": password}
        return self.post(path, given)

    @property
    def inside(self):
        """Whether there is a session that holds."""
        return self.get("ping").json()["status"] == 1

    def sign_up(self, first, last, mail):
        given = fields_of(self.get("register").text, "mail")
        given |= {"firstname": first, "lastname": last, "mail": mail}
        return self.post("register", given)

    def forgot(self, mail):
        given = fields_of(self.get("resetpwd").text, "mail") | {"mail": mail}
        return self.post("resetpwd", given)

    def reset(self, page, password):
        """Set a password in the form that the link of the mail leads to."""
        given = fields_of(page.text, "newpassword")
        given |= {"newpassword": password, "confirmpassword": password}
        return self.post("resetpwd", given)

    def register_totp(self):
        """Add an authenticator app to the account that is signed in; returns its secret."""
        self.browser.headers["X-CSRF-Check"] = "1"
        key = self.post("2fregisters/totp/getkey", {}).json()
        assert "secret" in key, key
        given = {"token": key["token"], "code": totp(key["secret"]), "TOTPName": "test"}
        done = self.post("2fregisters/totp/verify", given)
        assert done.json().get("result") == 1, done.text
        return key["secret"]

    def authorize(self, client, redirect_uri, challenge=None, **more):
        """
        Ask for a code.

        Returns ``(parameters of the way back, None)``, or ``(None, answer)`` where
        the portal shows a page of its own.
        """
        asked = {
            "response_type": "code",
            "client_id": client,
            "redirect_uri": redirect_uri,
            "scope": "openid profile email groups",
            "state": secrets.token_hex(8),
            "nonce": secrets.token_hex(8),
        }
        if challenge:
            asked |= {"code_challenge": challenge, "code_challenge_method": "S256"}
        answer = self.get(f"oauth2/authorize?{urlencode(asked | more)}", allow_redirects=False)
        return self.way_back(answer)

    def way_back(self, answer):
        place = answer.headers.get("Location", "")
        if place and not place.startswith(self.portal):
            return {key: values[0] for key, values in parse_qs(urlsplit(place).query).items()}, None
        return None, answer


def sign_in_by_form(page, user, password):
    """Fill in the portal's form in a real browser (a Playwright Page), on whatever way to it."""
    page.locator("input[name=user]").fill(user)
    page.locator("input[name=password]").fill(password)
    form = page.locator("form").filter(has=page.locator("input[name=password]"))
    with page.expect_navigation():
        form.locator("button[type=submit]").first.click()


def text_of(mail):
    """The text of a mail as it lies in a mailbox, its encoding undone."""
    parts = [part for part in message_from_string(mail).walk() if not part.is_multipart()]
    return "\n".join(
        part.get_payload(decode=True).decode("utf-8", "replace")
        for part in parts
        if part.get_content_maintype() == "text"
    )


class Portal:
    """
    The accounts site, from outside and, for what a test needs beside it, as root of its host.

    site
        :py:class:`tests.support.site.Site`.
    """

    def __init__(self, site):
        self.site, self.fleet, self.domain = site, site.fleet, site.domain
        self.name = f"accounts.{self.domain}"
        self.url = f"https://{self.name}/"
        self.redirect = f"https://docs.{self.domain}/sso/callback"
        self.host = self.fleet.with_role("accounts")[0].name
        self.base = ",".join(f"dc={part}" for part in self.domain.split("."))
        self.secrets = self.fleet.secrets()

    def person(self):
        """Somebody with a new browser."""
        return Person(self.url, self.site.session())

    def shell(self, command, stdin=None, seconds=60):
        return self.fleet.shell(self.host, command, stdin=stdin, seconds=seconds)

    def dn(self, uid):
        return f"uid={uid},ou=people,{self.base}"

    def change(self, ldif):
        done = self.shell("ldapmodify -Q -Y EXTERNAL -H ldapi:///", stdin=ldif)
        assert done.returncode == 0, done.stderr

    def make(self, uid, password):
        """A person with a password, made by root of the directory's host."""
        self.change(
            f"dn: {self.dn(uid)}\nchangetype: add\nobjectClass: inetOrgPerson\nuid: {uid}\n"
            f"cn: Test {uid}\nsn: {uid}\ngivenName: Test\nmail: {uid}@{self.domain}\n"
            f"userPassword: {password}\n"
        )

    def join(self, uid, group, change="add"):
        """Put somebody into a group, or take out of it (``delete``), as root does."""
        self.change(
            f"dn: cn={group},ou=groups,{self.base}\nchangetype: modify\n"
            f"{change}: member\nmember: {self.dn(uid)}\n"
        )

    def remove(self, uid):
        self.shell(
            "ldapmodify -Q -Y EXTERNAL -H ldapi:///", f"dn: {self.dn(uid)}\nchangetype: delete\n"
        )

    def mail(self, address):
        """The newest mail to somebody, out of the sink."""
        hosts = self.fleet.with_role("mail")
        if not hosts:
            pytest.skip("this level has no mail host")
        done = self.fleet.shell(
            hosts[0].name, f"/usr/local/bin/sink-mail --to {address} --wait 40", seconds=60
        )
        assert done.returncode == 0, done.stderr
        return text_of(done.stdout)


def tokens(person, client, secret, code, redirect_uri, verifier=None):
    """Exchange a code, as a client does; returns the answer."""
    given = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
    if verifier:
        given["code_verifier"] = verifier
    return person.post("oauth2/token", given, auth=(client, secret))


def claims(token):
    """What a token says; its signature is not looked at."""
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
