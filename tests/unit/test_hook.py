"""The receiver of webhooks: what it takes, what it refuses, and that it forgets nothing."""

import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.conftest import load_module

NAME, APP = "webplatform/www", "www"
SIGNS, SIGNED = "what this repository signs with", "what it signed with before"
COMMIT = "deadbeef" * 5
REPOSITORIES = {
    NAME: {"app": APP, "branches": ["main"], "secrets": [SIGNS, SIGNED]},
    "webplatform/other": {"app": "other", "branches": ["main"], "secrets": ["another secret"]},
}


@pytest.fixture(scope="module")
def hook():
    return load_module("salt/hook/files/hook.py")


def pushed(**changes):
    body = {
        "ref": "refs/heads/main",
        "after": COMMIT,
        "deleted": False,
        "repository": {"full_name": NAME},
        "pusher": {"name": "ada"},
    }
    return body | changes


def sign(body, secret=SIGNS):
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def delivery(body, secret=SIGNS, **headers):
    """Headers and bytes as GitHub sends them; a header of None is left out."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    made = {
        "content-type": "application/json",
        "x-github-event": "push",
        "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "x-hub-signature-256": sign(raw, secret),
    }
    made |= {name.replace("_", "-"): value for name, value in headers.items()}
    return {name: value for name, value in made.items() if value is not None}, raw


def status_of(hook, headers, raw, name=NAME):
    try:
        hook.judge(REPOSITORIES, name, headers, raw)
    except hook.RefusedError as refused:
        assert refused.why
        return refused.status
    return 200


def test_a_push_is_taken(hook):
    headers, raw = delivery(pushed())
    assert hook.judge(REPOSITORIES, NAME, headers, raw) == {
        "app": APP,
        "repository": NAME,
        "branch": "main",
        "commit": COMMIT,
        "pusher": "ada",
        "delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "digest": hashlib.sha256(raw).hexdigest(),
    }


def test_the_example_of_github_s_documentation(hook):
    given = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    known = ["It's a Secret to Everybody"]
    assert hook.signed(known, b"Hello, World!", given)
    assert not hook.signed(known, b"Hello, World?", given)


def test_a_ping_is_answered(hook):
    headers, raw = delivery({"zen": "Design for failure."}, x_github_event="ping")
    assert hook.judge(REPOSITORIES, NAME, headers, raw) is None


def test_while_secrets_are_exchanged_both_count(hook):
    assert status_of(hook, *delivery(pushed(), SIGNED)) == 200


@pytest.mark.parametrize(
    ("changes", "headers", "secret", "status"),
    [
        ({}, {"x_hub_signature_256": None}, SIGNS, 401),
        ({}, {"x_hub_signature_256": ""}, SIGNS, 401),
        ({}, {"x_hub_signature_256": "sha1=" + "0" * 40}, SIGNS, 401),
        ({}, {"x_hub_signature_256": "sha256=" + "0" * 63}, SIGNS, 401),
        ({}, {"x_hub_signature_256": "sha256=" + "0" * 64}, SIGNS, 403),
        ({}, {}, "a guess", 403),
        ({}, {}, "another secret", 403),
        ({}, {"x_github_event": "ping"}, "a guess", 403),
        ({}, {"x_github_event": "release"}, SIGNS, 422),
        ({}, {"x_github_event": None}, SIGNS, 422),
        ({}, {"x_github_delivery": None}, SIGNS, 400),
        ({}, {"x_github_delivery": "../../etc"}, SIGNS, 400),
        ({}, {"x_github_delivery": "a" * 65}, SIGNS, 400),
        ({}, {"content_type": "application/x-www-form-urlencoded"}, SIGNS, 415),
        ({}, {"content_type": None}, SIGNS, 415),
        ({"repository": {"full_name": "webplatform/other"}}, {}, SIGNS, 422),
        ({"repository": "webplatform/www"}, {}, SIGNS, 422),
        ({"repository": None}, {}, SIGNS, 422),
        ({"ref": "refs/heads/topic"}, {}, SIGNS, 422),
        ({"ref": "refs/heads/main/../main"}, {}, SIGNS, 422),
        ({"ref": "refs/tags/main"}, {}, SIGNS, 422),
        ({"ref": ["refs/heads/main"]}, {}, SIGNS, 422),
        ({"after": "0" * 40, "deleted": True}, {}, SIGNS, 422),
        ({"after": "0" * 40}, {}, SIGNS, 422),
        ({"deleted": True}, {}, SIGNS, 422),
        ({"after": "main"}, {}, SIGNS, 422),
        ({"after": f"{COMMIT}; rm"}, {}, SIGNS, 422),
        ({"after": 7}, {}, SIGNS, 422),
    ],
)
def test_what_is_refused(hook, changes, headers, secret, status):
    assert status_of(hook, *delivery(pushed(**changes), secret, **headers)) == status


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(hook, body):
    assert status_of(hook, *delivery(body)) == 400


def test_a_repository_that_is_not_known(hook):
    headers, raw = delivery(pushed())
    assert status_of(hook, headers, raw, "webplatform/elsewhere") == 404
    headers["x-hub-signature-256"] = sign(raw, hook.NOBODY[0])
    assert status_of(hook, headers, raw, "webplatform/elsewhere") == 404


@given(at=st.integers(min_value=0), flip=st.integers(min_value=1, max_value=255))
def test_a_body_with_one_other_byte_is_forged(hook, at, flip):
    headers, raw = delivery(pushed())
    changed = bytearray(raw)
    changed[at % len(raw)] ^= flip
    assert status_of(hook, headers, bytes(changed)) == 403


@given(body=st.binary(), header=st.text(), event=st.text())
def test_noise_is_refused(hook, body, header, event):
    headers = {"x-hub-signature-256": header, "x-github-event": event}
    assert status_of(hook, headers, body) in (401, 403)


@given(
    body=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
    | st.fixed_dictionaries(
        {},
        optional={
            name: st.none() | st.text() | st.dictionaries(st.text(), st.text())
            for name in ("ref", "after", "deleted", "repository", "pusher")
        },
    )
)
def test_noise_that_is_signed_is_refused_too(hook, body):
    assert status_of(hook, *delivery(body)) in (400, 422)


@pytest.mark.parametrize(
    ("pusher", "kept"),
    [(None, ""), ("ada", ""), ({}, ""), ({"name": 7}, ""), ({"name": "a\n$(b) c"}, "ab c")],
)
def test_who_pushed_is_a_name_or_nothing(hook, pusher, kept):
    headers, raw = delivery(pushed(pusher=pusher))
    assert hook.judge(REPOSITORIES, NAME, headers, raw)["pusher"] == kept


# -- the table -------------------------------------------------------------------


@pytest.fixture
def config(tmp_path):
    return {"repositories": REPOSITORIES, "days": 90, "queue": str(tmp_path / "pushes.sqlite")}


def ask(hook, config, headers, raw, now=1000.0):
    return hook.answer(config, hook.Queue(config["queue"]), NAME, headers, raw, now)


def test_the_same_delivery_is_taken_once(hook, config):
    headers, raw = delivery(pushed())
    assert ask(hook, config, headers, raw) == (202, "accepted")
    assert ask(hook, config, headers, raw) == (202, "accepted before")


def test_an_old_body_under_a_new_id_is_a_replay(hook, config):
    headers, raw = delivery(pushed())
    assert ask(hook, config, headers, raw) == (202, "accepted")
    headers["x-github-delivery"] = "0" * 8
    assert ask(hook, config, headers, raw) == (202, "accepted before")


def test_ping_and_refusal_leave_nothing(hook, config, caplog):
    headers, raw = delivery({}, x_github_event="ping")
    assert ask(hook, config, headers, raw) == (200, "pong")
    headers, raw = delivery(pushed(), "a guess")
    assert ask(hook, config, headers, raw)[0] == 403
    assert "refused 403" in caplog.text
    with hook.sqlite3.connect(config["queue"]) as base:
        assert base.execute("SELECT count(*) FROM pushes").fetchone() == (0,)


def test_what_cannot_be_kept_is_not_accepted(hook, config):
    queue = hook.Queue(config["queue"])
    queue._base.execute("DROP TABLE pushes")
    headers, raw = delivery(pushed())
    status, said = hook.answer(config, queue, NAME, headers, raw, 1000.0)
    assert status == 503 and "again" in said


def test_after_a_while_what_was_told_is_forgotten(hook, config):
    headers, raw = delivery(pushed())
    ask(hook, config, headers, raw)
    with hook.sqlite3.connect(config["queue"]) as base:
        base.execute("UPDATE pushes SET told = 1001")
    another = delivery(pushed(after="a" * 40), x_github_delivery="1")
    ask(hook, config, *another, now=1002.0)
    assert ask(hook, config, headers, raw, now=1002.0)[1] == "accepted before"
    assert ask(hook, config, headers, raw, now=1002.0 + 91 * 86400)[1] == "accepted"


# -- its configuration -------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "well"),
    [
        ({}, True),
        ({"secrets": []}, False),
        ({"secrets": [""]}, False),
        ({"secrets": ["a", "b", "c"]}, False),
        ({"branches": []}, False),
        ({"app": ""}, False),
    ],
)
def test_a_configuration_is_checked(hook, config, tmp_path, change, well):
    config["repositories"] = {NAME: REPOSITORIES[NAME] | change}
    path = tmp_path / "hook.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    assert (hook.main([str(path), "--check"]) is None) == well
