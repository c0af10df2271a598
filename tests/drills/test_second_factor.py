"""Who has rights over others needs a second factor, where the level asks for it."""

import json
import shlex

import pytest

from tests.support import accounts
from tests.support.waiting import wait_for

CONFIGURATION = "/etc/lemonldap-ng/conf/lmConf-1.json"
DEMAND = {"lemonldap-ng": {"second_factor": {"privileged": True}}}


def apply(portal, pillar=None):
    """The portal's states, with a pillar that says otherwise than the level's."""
    words = ["salt-call", "--retcode-passthrough", "--out=quiet", "state.apply", "lemonldap-ng"]
    if pillar:
        words.append("pillar=" + json.dumps(pillar))
    done = portal.shell(shlex.join(words), seconds=300)
    assert done.returncode == 0, done.stdout + done.stderr
    # Each process looks for another configuration when it last did so five seconds ago.
    seen = f"find {CONFIGURATION} -not -newermt '-6 seconds'"
    wait_for(lambda: portal.shell(seen).stdout, 20, "every process has the configuration")


@pytest.fixture(scope="module")
def demanded(portal):
    try:
        apply(portal, DEMAND)
        yield
    finally:
        apply(portal)


def test_an_administrator_without_a_second_factor_gets_nowhere(portal, account, demanded):
    uid, password = account
    person = portal.person()
    person.sign_in(uid, password)
    assert person.inside, "people without rights are not asked"

    portal.shell(f"salt-call site_directory.group_set {uid} wiki-admins")
    chosen = "long-enough-" + password
    page = person.sign_in(uid, password)
    # The stricter policy wants a new password first.
    given = accounts.fields_of(page.text, "newpassword")
    given |= {"oldpassword": password, "newpassword": chosen, "confirmpassword": chosen}
    person.post("", given)
    person = portal.person()
    page = person.sign_in(uid, chosen)
    assert "2fregisters" in page.url + page.text
    back, _ = person.authorize("wiki", portal.redirect, accounts.pkce()[1])
    assert not back or "code" not in back, "no site lets in who has no second factor"

    secret = person.register_totp()
    person = portal.person()
    page = person.sign_in(uid, chosen)
    assert not person.inside
    fields = accounts.fields_of(page.text, "code")
    person.post("totp2fcheck", fields | {"code": accounts.totp(secret)})
    assert person.inside
    back, _ = person.authorize("wiki", portal.redirect, accounts.pkce()[1])
    assert "code" in back
