"""The portal as people and programs meet it, through the public edge."""

import contextlib
import json
import re
import secrets as random
from concurrent import futures

import pytest

from tests.support import accounts
from tests.support.services import stopped
from tests.support.waiting import wait_for


@pytest.fixture(scope="module")
def operator(portal):
    """The first operator, signed in."""
    person = portal.person()
    person.sign_in("operator", portal.secrets["accounts-operator"])
    assert person.inside
    return person


def code_for(portal, person, client="wiki", redirect=None):
    """A fresh code and the verifier that belongs to it."""
    verifier, challenge = accounts.pkce()
    back, page = person.authorize(client, redirect or portal.redirect, challenge)
    assert back and "code" in back, back or accounts.message(page.text)
    return back["code"], verifier


# -- the provider --------------------------------------------------------------


def test_discovery_says_code_flow_alone(portal):
    found = portal.person().get(".well-known/openid-configuration").json()
    assert found["issuer"] == portal.url
    assert found["response_types_supported"] == ["code"]
    assert "S256" in found["code_challenge_methods_supported"]
    keys = portal.person().browser.get(found["jwks_uri"], timeout=30).json()["keys"]
    assert keys and all(key["kty"] == "RSA" and "d" not in key for key in keys)


def test_a_code_becomes_tokens_with_claims_once(portal, operator):
    code, verifier = code_for(portal, operator)
    secret = portal.secrets["oidc-wiki"]
    answer = accounts.tokens(operator, "wiki", secret, code, portal.redirect, verifier)
    assert answer.status_code == 200, answer.text
    said = accounts.claims(answer.json()["id_token"])
    assert said["iss"] == portal.url and said["aud"] == ["wiki"]
    assert (said["sub"], said["preferred_username"]) == ("operator", "operator")
    assert "operators" in said["groups"] and "@" in said["email"] and said["name"]
    assert said["exp"] - said["iat"] <= 900
    again = accounts.tokens(operator, "wiki", secret, code, portal.redirect, verifier)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"secret": "of-another-level"}, "invalid_client"),
        ({"client": "nobody"}, "invalid_client"),
        ({"client": "blog", "secret": "oidc-blog"}, "invalid_grant"),
        ({"verifier": None}, "invalid_grant"),
        ({"verifier": "x" * 64}, "invalid_grant"),
        ({"redirect_uri": "https://elsewhere.example/"}, "invalid_grant"),
        ({"code": "0" * 64}, "invalid_grant"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else value,
)
def test_a_wrong_exchange_is_refused(portal, operator, change, error):
    code, verifier = code_for(portal, operator)
    given = {
        "client": "wiki",
        "secret": "oidc-wiki",
        "code": code,
        "redirect_uri": portal.redirect,
        "verifier": verifier,
    } | change
    given["secret"] = portal.secrets.get(given["secret"], given["secret"])
    answer = accounts.tokens(operator, **given)
    assert answer.status_code in (400, 401), answer.text
    assert answer.json()["error"] in (error, "invalid_request")


def test_without_pkce_there_is_no_code(portal, operator):
    back, _ = operator.authorize("wiki", portal.redirect)
    assert back["error"] == "invalid_request" and "code" not in back


@pytest.mark.parametrize("method", ["plain", "", "s256"])
def test_a_challenge_that_is_not_hashed_gets_no_code(portal, operator, method):
    given = {"code_challenge_method": method}
    back, _ = operator.authorize("wiki", portal.redirect, accounts.pkce()[0], **given)
    assert not back or "code" not in back, back
    # The same with its hash does.
    assert code_for(portal, operator)[0]


@pytest.mark.parametrize("wrong", ["https://elsewhere.example/cb", "{}x", "{}?a=b", "{}/../x"])
def test_another_address_gets_no_code(portal, operator, wrong):
    back, page = operator.authorize("wiki", wrong.format(portal.redirect), accounts.pkce()[1])
    assert back is None and page.status_code != 302


@pytest.mark.parametrize("kind", ["token", "id_token", "code id_token"])
def test_no_other_flow_is_served(portal, operator, kind):
    back, _ = operator.authorize("wiki", portal.redirect, accounts.pkce()[1], response_type=kind)
    assert not back or not {"code", "id_token", "access_token"} & set(back)


def test_a_forged_token_opens_nothing(portal, operator):
    code, verifier = code_for(portal, operator)
    secret = portal.secrets["oidc-wiki"]
    tokens = accounts.tokens(operator, "wiki", secret, code, portal.redirect, verifier).json()

    def asked(token):
        return operator.get("oauth2/userinfo", headers={"Authorization": f"Bearer {token}"})

    assert asked(tokens["access_token"]).json()["sub"] == "operator"
    assert asked("0" * 64).status_code == 401
    assert asked(tokens["id_token"]).status_code == 401


def test_a_page_for_operators_is_not_for_others(portal, account):
    person = portal.person()
    person.sign_in(*account)
    redirect = f"https://mail.{portal.domain}/sso/callback"
    back, page = person.authorize("operators", redirect, accounts.pkce()[1])
    assert back is None and accounts.message(page.text) == accounts.REFUSED_PARTNER


# -- people --------------------------------------------------------------------


def test_who_signs_out_is_out(portal, account):
    person = portal.person()
    person.sign_in(*account)
    assert person.inside
    cookie = next(c for c in person.browser.cookies if c.name == "sso")
    assert cookie.secure and cookie.domain.lstrip(".") == portal.name
    assert cookie.has_nonstandard_attr("HttpOnly")
    person.get("?logout=1")
    assert not person.inside
    person.browser.cookies.set("sso", cookie.value, domain=portal.name)
    assert not person.inside


def test_no_process_remembers_an_ended_session(portal, account):
    """Each of the portal's processes has seen it a moment before."""

    def asked(person, times=8):
        with futures.ThreadPoolExecutor(times) as pool:
            return set(pool.map(lambda _: person.inside, range(times)))

    for _ in range(3):
        person = portal.person()
        person.sign_in(*account)
        kept = person.browser.cookies.copy()
        assert asked(person) == {True}
        person.get("?logout=1")
        person.browser.cookies.update(kept)
        assert asked(person) == {False}


@pytest.mark.parametrize("name", ["*", "operator)(uid=*", "*)(objectClass=*", "operator\\00", "(|"])
def test_a_name_is_no_filter(portal, name):
    person = portal.person()
    answer = person.sign_in(name, portal.secrets["accounts-operator"])
    assert accounts.message(answer.text) in (accounts.BAD_CREDENTIALS, accounts.MALFORMED)
    assert not person.inside


def test_who_guesses_waits_even_with_the_right_password(portal, account):
    uid, password = account
    for _ in range(5):
        portal.person().sign_in(uid, "wrong-" + random.token_hex(4))
    person = portal.person()
    answer = person.sign_in(uid, password)
    assert accounts.message(answer.text) == accounts.WAIT
    assert not person.inside


def test_old_sessions_go_as_soon_as_the_databases_can_be_reached(fleet):
    """After a start of the host the timer makes up for what it missed, before it can."""
    host, unit = fleet.with_role("accounts")[0], "liblemonldap-ng-portal-perl.service"

    def state():
        return host.check_output(f"systemctl show --value --property=SubState {unit}")

    with stopped(host, "haproxy"):
        host.run_expect([0], f"systemctl start {unit}")
        wait_for(lambda: state() == "auto-restart", 20, "without its database it waits")
    wait_for(lambda: state() == "dead", 60, "it has done its work")
    assert host.check_output(f"systemctl show --value --property=Result {unit}") == "success"


def test_an_operator_ends_sessions_and_locks(portal, account):
    uid, password = account
    person = portal.person()
    person.sign_in(uid, password)
    assert person.inside
    done = portal.shell(f"salt-call --retcode-passthrough site_lemonldap.end_sessions {uid}")
    assert done.returncode == 0, done.stdout
    assert not person.inside
    person.sign_in(uid, password)
    assert person.inside
    done = portal.shell(f"salt-call --retcode-passthrough site_directory.person_lock {uid}")
    assert done.returncode == 0, done.stdout
    assert not person.inside
    person.sign_in(uid, password)
    assert not person.inside


def test_nothing_of_the_portal_s_inside_is_served(portal):
    for path in ("manager.html", "config/latest", "sessions/global/0", "index.psgi", "confs"):
        answer = portal.person().get(path)
        assert answer.status_code in (401, 403, 404) or "password" in answer.text, path
        assert "managerPassword" not in answer.text


def test_a_second_factor_is_asked_for(portal, account):
    uid, password = account
    person = portal.person()
    person.sign_in(uid, password)
    secret = person.register_totp()

    other = portal.person()
    page = other.sign_in(uid, password)
    assert not other.inside
    fields = accounts.fields_of(page.text, "code")
    other.post("totp2fcheck", fields | {"code": "000000"})
    assert not other.inside
    page = other.sign_in(uid, password)
    fields = accounts.fields_of(page.text, "code")
    other.post("totp2fcheck", fields | {"code": accounts.totp(secret)})
    assert other.inside


def test_somebody_signs_up_and_resets_the_password(portal):
    name = "t" + random.token_hex(4)
    address = f"{name}@{portal.domain}"
    person = portal.person()
    with contextlib.ExitStack() as after:
        # What stands in a name never becomes a part of the directory's own names.
        person.sign_up("Test", f"{name}*,ou=groups", address)
        link = re.search(r"https://\S+register_token=[0-9a-f]+[^\s\"<]*", portal.mail(address))
        uid = f"t{name}ougroups"
        after.callback(portal.remove, uid)
        person.browser.get(link.group().replace("&amp;", "&"), timeout=60)
        text, _ = wait_for(
            lambda: portal.mail(address) if "register_token" not in portal.mail(address) else None,
            60,
            "the mail with the first password",
        )
        first = re.search(r"\b[A-Za-z0-9]{20}\b", re.sub(r"<[^>]+>", " ", text)).group()
        assert uid in text
        # The first password opens nothing but the form to change it.
        page = person.sign_in(uid, first)
        assert not person.inside and "newpassword" in page.text

        person.forgot(address)
        text, _ = wait_for(
            lambda: portal.mail(address) if "mail_token" in portal.mail(address) else None,
            60,
            "the mail to reset the password",
        )
        link = re.search(r"https://\S+mail_token=[0-9a-f]+[^\s\"<]*", text)
        link = link.group().replace("&amp;", "&")
        refused = person.reset(person.browser.get(link, timeout=60), "short")
        assert accounts.message(refused.text) == accounts.TOO_SHORT
        person.forgot(address)
        before = text

        def another():
            newest = portal.mail(address)
            return newest if newest != before else None

        text, _ = wait_for(another, 60, "another mail to reset the password")
        chosen = random.token_hex(8)
        link = re.search(r"https://\S+mail_token=[0-9a-f]+[^\s\"<]*", text)
        link = link.group().replace("&amp;", "&")
        person.reset(person.browser.get(link, timeout=60), chosen)
        person = portal.person()
        person.sign_in(uid, chosen)
        assert person.inside


# -- the directory -------------------------------------------------------------


def test_no_app_host_reaches_the_directory(portal):
    address = portal.fleet.address(portal.host)
    question = f'timeout 2 bash -c "exec 3<>/dev/tcp/{address}/$port" && echo open $port'
    command = f"for port in 389 636; do ( {question} ) & done; wait; echo asked"
    for host in portal.fleet.with_role("app"):
        assert host.run(command).stdout == "asked\n", host.name


def test_nobody_asks_without_a_name(portal):
    done = portal.shell(f"ldapsearch -x -LLL -H ldapi:/// -b {portal.base}")
    assert done.returncode != 0 and "dn:" not in done.stdout


def as_portal(portal, command, stdin=None):
    who = f"-x -H ldapi:/// -D cn=portal,ou=services,{portal.base} -y /etc/ldap/secrets/portal"
    return portal.shell(f"{command} {who}", stdin=stdin)


def test_the_portal_s_account_makes_nobody_an_operator(portal, account):
    group = f"cn=operators,ou=groups,{portal.base}"
    change = f"dn: {group}\nchangetype: modify\nadd: member\nmember: {portal.dn(account[0])}\n"
    assert as_portal(portal, "ldapmodify", change).returncode == 50
    done = as_portal(portal, f"ldapsearch -LLL -b {portal.dn('operator')} -s base")
    assert "mail:" in done.stdout and "userPassword" not in done.stdout


def test_privileged_people_need_a_longer_password(portal, account):
    dn = portal.dn(account[0])
    twelve = random.token_hex(6)

    def set_to(password):
        return as_portal(portal, f"ldappasswd -T /dev/stdin {dn}", password).returncode

    assert set_to("short") != 0
    assert set_to(twelve) == 0
    portal.change(
        f"dn: {dn}\nchangetype: modify\nreplace: pwdPolicySubentry\n"
        f"pwdPolicySubentry: cn=privileged,ou=policies,{portal.base}\n"
    )
    assert set_to(random.token_hex(7)) != 0
    assert set_to(random.token_hex(9)) == 0
    assert set_to(twelve) != 0


@pytest.mark.role("accounts")
def test_what_is_secret_is_read_by_its_reader_alone(fleet, host):
    for path, mode in [
        ("/etc/ldap/slapd.conf", 0o640),
        ("/etc/ldap/secrets/portal", 0o600),
        ("/etc/lemonldap-ng/conf/lmConf-1.json", 0o640),
        ("/etc/lemonldap-ng/secrets/database", 0o600),
    ]:
        assert host.file(path).mode == mode, path
    broken = fleet.shell(host.name, "lemonldap-ng-check-candidate /dev/stdin", stdin="{}")
    assert broken.returncode != 0
    good = json.loads(host.file("/etc/lemonldap-ng/conf/lmConf-1.json").content_string)
    good["oidcServicePublicKeySig"] = ""
    broken = fleet.shell(
        host.name, "lemonldap-ng-check-candidate /dev/stdin", stdin=json.dumps(good)
    )
    assert broken.returncode != 0
