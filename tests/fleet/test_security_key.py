"""A security key as the second factor, in a real browser."""

import re

from tests.support.accounts import sign_in_by_form


def inside(visitor):
    """Whether the portal knows a session of this browser."""
    return visitor.page.evaluate("fetch('/ping').then(r => r.json()).then(j => j.status)") == 1


def test_a_security_key_is_registered_and_asked_for(visitors, portal, account):
    visitor = visitors("owner")
    visitor.open("accounts")
    visitor.security_key()
    sign_in_by_form(visitor.page, *account)
    assert inside(visitor)
    # The page asks the key by itself.
    visitor.open("accounts", "/2fregisters/webauthn")
    visitor.page.wait_for_url(re.compile("continue=1"))
    visitor.shot("registered")

    visitor.open("accounts", "/?logout=1")
    assert not inside(visitor)
    visitor.open("accounts")
    with visitor.page.expect_response(re.compile("webauthn2fcheck")):
        sign_in_by_form(visitor.page, *account)
    visitor.page.wait_for_load_state("load")
    visitor.page.wait_for_function(
        "fetch('/ping').then(answer => answer.json()).then(found => found.status === 1)"
    )

    # The password alone, without the key, opens nothing.
    thief = visitors("thief")
    thief.open("accounts")
    sign_in_by_form(thief.page, *account)
    thief.shot("asked")
    assert thief.page.get_by_text("WebAuthn authentication required").is_visible()
    assert not inside(thief)
