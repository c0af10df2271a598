"""
Runs on a host, as root, by Salt's Python: puts the gate to the proof.

A second gate is started there, with the host's own configuration and program; only
its ports and its provider are others. The provider is this script, which may do what
an honest one never does: sign with a wrong key, leave the signature out, answer for
somebody else. What is tried is mod_auth_openidc as the site has configured it.

Prints one JSON object: what became of each case.
"""

import base64
import hashlib
import http.client
import http.server
import json
import re
import secrets
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from pathlib import Path

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import padding, rsa

GATE, PROVIDER = 4199, 4198
# The store that all hosts share remembers a provider by its address, and for a day:
# each trial has one that nobody knows yet.
PLACE = f"/{secrets.token_hex(8)}/"
ISSUER = f"https://127.0.0.1:{PROVIDER}{PLACE}"


def packed(data):
    if isinstance(data, dict):
        data = json.dumps(data).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unpacked(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()


KEY, OTHER = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))


def signed(claims, how="RS256", key=KEY, secret=b""):
    head = packed({"alg": how, "typ": "JWT"} | ({"kid": "one"} if how == "RS256" else {}))
    body = f"{head}.{packed(claims)}"
    if how == "none":
        return body + "."
    if how == "HS256":
        mac = hmac.HMAC(secret, hashes.SHA256())
        mac.update(body.encode())
        return f"{body}.{packed(mac.finalize())}"
    return f"{body}.{packed(key.sign(body.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


class Provider:
    """What a provider would remember, and how it misbehaves for a code."""

    def __init__(self, client, secret):
        self.client, self.secret = client, secret
        self.codes = {}
        self.used = []

    def code(self, query, wrong="", sid="sid-1", groups=()):
        made = secrets.token_hex(8)
        self.codes[made] = dict(query, wrong=wrong, sid=sid, groups=list(groups))
        return made

    def tokens(self, form, authorization):
        name, _, password = base64.b64decode(authorization.split()[-1]).decode().partition(":")
        asked = self.codes.get(form.get("code"))
        if (urllib.parse.unquote(name), urllib.parse.unquote(password)) != (
            self.client,
            self.secret,
        ):
            return 401, {"error": "invalid_client"}
        if not asked or form["code"] in self.used:
            return 400, {"error": "invalid_grant"}
        self.used.append(form["code"])
        if form.get("redirect_uri") != asked["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        challenge = packed(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if challenge != asked["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        return 200, {
            "access_token": f"at-{form['code']}",
            "token_type": "Bearer",
            "expires_in": 3600,
            "id_token": self.id_token(asked),
        }

    def id_token(self, asked):
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "sub": "jane",
            "aud": self.client,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            "sid": asked["sid"],
            "name": "Jané Dœ",
            "email": "jane@example.org",
        }
        if asked["groups"]:
            claims["groups"] = asked["groups"]
        wrong = asked["wrong"]
        if wrong == "expired":
            claims |= {"iat": now - 7200, "exp": now - 3600}
        elif wrong == "audience":
            claims["aud"] = "somebody-else"
        elif wrong == "issuer":
            claims["iss"] = "https://evil.example/"
        elif wrong == "nonce":
            claims["nonce"] = "another"
        elif wrong == "no-nonce":
            del claims["nonce"]
        if wrong == "unsigned":
            return signed(claims, "none")
        if wrong == "client-secret":
            return signed(claims, "HS256", secret=self.secret.encode())
        if wrong == "public-key-as-secret":
            return signed(claims, "HS256", secret=json.dumps(jwks()).encode())
        return signed(claims, key=OTHER if wrong == "key" else KEY)

    def person(self, authorization):
        if authorization.removeprefix("Bearer at-") not in self.used:
            return 401, {}
        return 200, {"sub": "jane", "email": "jane@example.org"}

    def answer(self, handler):
        path = "/" + urllib.parse.urlsplit(handler.path).path.removeprefix(PLACE)
        length = int(handler.headers.get("Content-Length") or 0)
        form = dict(urllib.parse.parse_qsl(handler.rfile.read(length).decode()))
        if path == "/.well-known/openid-configuration":
            return 200, {
                "issuer": ISSUER,
                "authorization_endpoint": f"{ISSUER}authorize",
                "token_endpoint": f"{ISSUER}token",
                "userinfo_endpoint": f"{ISSUER}userinfo",
                "jwks_uri": f"{ISSUER}jwks",
                "end_session_endpoint": f"{ISSUER}logout",
                "response_types_supported": ["code"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic"],
                # It offers all of them; the gate must still insist on its own.
                "id_token_signing_alg_values_supported": ["none", "HS256", "RS256"],
            }
        if path == "/jwks":
            return 200, jwks()
        if path == "/token":
            return self.tokens(form, handler.headers.get("Authorization", "none"))
        if path == "/userinfo":
            return self.person(handler.headers.get("Authorization", ""))
        return 404, {}


def jwks():
    numbers = KEY.public_key().public_numbers()
    number = lambda value: packed(value.to_bytes((value.bit_length() + 7) // 8, "big"))  # noqa: E731
    one = {"kty": "RSA", "kid": "one", "use": "sig", "alg": "RS256"}
    return {"keys": [one | {"n": number(numbers.n), "e": number(numbers.e)}]}


def serve(provider):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            status, body = provider.answer(self)
            self.send_response(status)
            text = json.dumps(body).encode()
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/etc/ssl/site/host.crt", "/etc/ssl/site/host.key")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", PROVIDER), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()


class Browser:
    """Cookies of one browser; asks the gate as nginx does."""

    def __init__(self, host, jar=None):
        self.host, self.cookies = host, dict(jar or {})

    def ask(self, path, method="GET", body=None, headers=None):
        line = http.client.HTTPConnection("127.0.0.1", GATE, timeout=30)
        given = {"Host": self.host, "X-Forwarded-Proto": "https", "User-Agent": "trial"}
        if self.cookies:
            given["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        line.request(method, path, body=body, headers=given | (headers or {}))
        answer = line.getresponse()
        text = answer.read().decode()
        self.set = answer.headers.get_all("Set-Cookie") or []
        for cookie in self.set:
            name, _, value = cookie.split(";")[0].partition("=")
            self.cookies[name] = value
        return answer.status, answer.headers, text

    def begin(self, path="/sso/login?to=/wiki/X?a=b&c=%C3%A9"):
        """The query of the request to the provider."""
        status, headers, _ = self.ask(path)
        assert status == 302, status
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(headers["Location"]).query))

    def finish(self, code, state):
        query = urllib.parse.urlencode({"code": code, "state": state})
        return self.ask(f"/sso/callback?{query}")

    def who(self):
        _, headers, _ = self.ask("/sso/check")
        return {
            name: unpacked(headers[f"X-Sso-{name}"])
            for name in ("User", "Name", "Email", "Groups", "Sid")
            if headers.get(f"X-Sso-{name}")
        }


def gate(folder, site):
    """A gate like the host's own, for this provider."""
    text = Path("/etc/sso-gate/apache2.conf").read_text("utf-8")
    text = text.replace("/var/lib/sso-gate", str(folder)).replace("/run/sso-gate", str(folder))
    text = re.sub(r"127\.0\.0\.1:4180\b", f"127.0.0.1:{GATE}", text)
    text = re.sub(
        r"^OIDCProviderMetadataURL .*$",
        f"OIDCProviderMetadataURL {ISSUER}.well-known/openid-configuration",
        text,
        flags=re.MULTILINE,
    )
    text = text.replace("Include secrets.conf", "Include /etc/sso-gate/secrets.conf")
    text = text.replace(
        f"ServerName {site}\n",
        f"ServerName {site}\n<Location /sso/require/trial>\nAuthType openid-connect\n"
        "Require claim groups:trial\nOIDCUnAuthAction 401\nAuthzSendForbiddenOnFailure On\n"
        'RewriteEngine On\nRewriteCond expr "! (${SIGNED})"\nRewriteRule ^ - [F]\n</Location>\n'
        "AliasMatch ^/sso/require/ /usr/local/share/sso-gate/sso/check\n",
    )
    config = folder / "apache2.conf"
    config.write_text(text, "utf-8")
    shutil.chown(folder, "sso-gate", "sso-gate")
    return subprocess.Popen(
        ["runuser", "-u", "sso-gate", "--", "/usr/sbin/apache2", "-f", config, "-DFOREGROUND"],
        stdin=subprocess.DEVNULL,
    )


def up(host):
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            Browser(host).ask("/")
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the second gate did not come up")


def signed_in(provider, host, **more):
    browser = Browser(host)
    query = browser.begin()
    status, headers, _ = browser.finish(provider.code(query, **more), query["state"])
    return browser, query, status, headers


def good(provider, host):
    browser, query, status, headers = signed_in(provider, host, groups=["operators", "wiki-admins"])
    cookie = next((line for line in browser.set if line.startswith("sso_session=")), "")
    back = headers.get("Location", "")
    after, then, _ = browser.ask(
        urllib.parse.urlsplit(back)._replace(scheme="", netloc="").geturl()
    )
    return {
        "asked": {
            name: query.get(name)
            for name in ("response_type", "client_id", "redirect_uri", "code_challenge_method")
        },
        "nonce": len(query.get("nonce", "")),
        "returned": [status, back],
        "cookie": re.sub(r"=[^;]*", "=…", cookie, count=1),
        "landed": [after, then.get("Location")],
        "who": browser.who(),
    }


def replayed(provider, host):
    browser = Browser(host)
    query = browser.begin()
    before = dict(browser.cookies)
    code = provider.code(query)
    browser.finish(code, query["state"])
    jar = dict(browser.cookies)
    fresh = Browser(host)
    again = fresh.begin()
    stranger = Browser(host)
    other = stranger.begin()
    return {
        "the same return twice": Browser(host, before).finish(code, query["state"])[0],
        "the same return in another browser": Browser(host).finish(code, query["state"])[0],
        "a state of another browser": Browser(host, fresh.cookies).finish(
            provider.code(other), other["state"]
        )[0],
        "a code used twice": [fresh.finish(code, again["state"])[0], fresh.who()],
        "a changed session": Browser(host, {"sso_session": jar["sso_session"][::-1]}).who(),
    }


def ended(provider, host):
    client = provider.client
    browser, *_ = signed_in(provider, host, sid="sid-ends")

    def told(how="RS256", key=KEY, **more):
        now = int(time.time())
        event = {"http://schemas.openid.net/event/backchannel-logout": {}}
        claims = {"iss": ISSUER, "aud": client, "iat": now, "exp": now + 120, "jti": "x"}
        claims |= {"sub": "jane", "sid": "sid-ends", "events": event} | more
        claims["jti"] = secrets.token_hex(4)
        status, _, _ = Browser(host).ask(
            "/sso/callback?logout=backchannel",
            "POST",
            "logout_token=" + signed(claims, how, key),
            {"Content-Type": "application/x-www-form-urlencoded"},
        )
        return [status, bool(browser.who())]

    return {
        "unsigned": told("none"),
        "wrong key": told(key=OTHER),
        "for another": told(aud="somebody-else"),
        "good": told(),
    }


def main():
    domain, site, client = sys.argv[1:4]
    host = f"{site}.{domain}"
    stored = Path("/etc/sso-gate/secrets.conf").read_text("utf-8")
    secret = re.search(rf'^Define CLIENT_{client.upper()} "(.*)"$', stored, re.MULTILINE)[1]
    provider = Provider(client, secret)
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o750)
        second = gate(Path(name), f"https://{host}")
        try:
            up(host)
            # Before the provider is there at all.
            status, _, page = Browser(host).ask("/sso/login?to=/")
            said = {"provider away": [status, "<h1>" in page, Browser(host).who()]}
            serve(provider)
            said["good"] = good(provider, host)
            said["wrong"] = {}
            for wrong in (
                "unsigned", "client-secret", "public-key-as-secret", "key", "expired", "audience",
                "issuer", "nonce", "no-nonce",
            ):  # fmt: skip
                browser, _, status, _ = signed_in(provider, host, wrong=wrong)
                said["wrong"][wrong] = [status, browser.who()]
            said["replayed"] = replayed(provider, host)
            said["forged"] = forged(host)
            said["redirects"] = redirects(provider, host)
            said["ended"] = ended(provider, host)
            said["groups"] = groups(provider, host)
            browser, *_ = signed_in(provider, host)
            status, headers, _ = browser.ask("/sso/logout")
            said["logout"] = [status, headers["Location"]]
            status, headers, _ = browser.ask(headers["Location"].removeprefix(f"https://{host}"))
            said["logout"] += [status, headers["Location"].split("?")[0], browser.who()]
        finally:
            second.terminate()
            second.wait(20)
    print(json.dumps(said))


def forged(host):
    headers = {
        name: packed(b"jane")
        for name in ("X-Sso-User", "OIDC_CLAIM_sub", "OIDC-CLAIM-sub", "REMOTE_USER", "Remote-User")
    }
    _, answer, _ = Browser(host).ask("/sso/check", headers=headers)
    return {name: value for name, value in answer.items() if name.lower().startswith("x-sso")}


def redirects(provider, host):
    browser, *_ = signed_in(provider, host)
    found = {}
    for to in (
        "//evil.example/", "/\\evil.example/", "https://evil.example/", "javascript:alert(1)",
        "/%0d%0aX:y", "/wiki/A?b=c&d=//e", "/wiki/What%3F?a=%3f", "/\t/evil.example/",
    ):  # fmt: skip
        quoted = to.replace("\t", "%09").replace("\\", "%5C") if "\t" in to else to
        status, headers, _ = browser.ask(f"/sso/login?to={quoted}")
        found[to] = [status, headers.get("Location")]
    status, headers, _ = browser.ask("/sso/callback?logout=https%3A%2F%2Fevil.example%2F")
    found["logout"] = [status, headers.get("Location")]
    return found


def groups(provider, host):
    outsider, *_ = signed_in(provider, host, groups=["operators"])
    member, *_ = signed_in(provider, host, groups=["operators", "trial"])
    unsigned, *_ = signed_in(provider, host, groups=["trial"], wrong="unsigned")
    return {
        "unsigned": unsigned.ask("/sso/require/trial")[0],
        "stranger": Browser(host).ask("/sso/require/trial")[0],
        "outsider": outsider.ask("/sso/require/trial")[0],
        "member": member.ask("/sso/require/trial")[0],
    }


main()
