"""The gate of each role that has one: what it takes from a provider, and what from others."""

import json

import pytest
import yaml

from tests.support.waiting import wait_for
from tools.inventory import TREE

TRIAL = TREE / "tests/support/gate_trial.py"
ROLES = yaml.safe_load((TREE / "pillar/registry.yaml").read_text("utf-8"))["roles"]
GUARDED = sorted(role for role, about in ROLES.items() if "sso-gate" in about.get("services", {}))


@pytest.fixture(scope="module", params=GUARDED)
def tried(request, fleet):
    """What became of each case of the trial, on the first host of a role; its public name."""
    hosts = fleet.with_role(request.param)
    if not hosts:
        pytest.skip(f"no host with the role {request.param}")
    config = hosts[0].file("/etc/sso-gate/apache2.conf").content_string
    public = config.split("ServerName https://")[1].split()[0]
    client = (
        config.split(f"OIDCRedirectURI https://{public}/")[0].split("OIDCClientID ")[-1].split()[0]
    )
    site, _, domain = public.partition(".")
    done = fleet.shell(
        hosts[0].name,
        f"/opt/salt/bin/python - {domain} {site} {client}",
        stdin=TRIAL.read_text("utf-8"),
        seconds=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1]) | {"public": public, "client": client}


def test_a_sign_in_asks_for_all_that_protects_it(tried):
    good, public = tried["good"], tried["public"]
    assert good["asked"] == {
        "response_type": "code",
        "client_id": tried["client"],
        "redirect_uri": f"https://{public}/sso/callback",
        "code_challenge_method": "S256",
    }
    assert good["nonce"] >= 32
    assert good["returned"] == [302, f"https://{public}/sso/login?to=/wiki/X?a=b&c=%C3%A9"]
    assert good["landed"] == [303, f"https://{public}/wiki/X?a=b&c=%C3%A9"]
    for part in ("Path=/", "Secure", "HttpOnly", "SameSite=Lax"):
        assert part in good["cookie"].split("; ")
    assert "Domain" not in good["cookie"] and "Expires" not in good["cookie"]


def test_the_gate_tells_who_it_is(tried):
    who = tried["good"]["who"]
    assert (who["User"], who["Name"], who["Email"]) == ("jane", "Jané Dœ", "jane@example.org")
    assert who["Groups"] == "operators,wiki-admins"


@pytest.mark.parametrize(
    "wrong",
    [
        "client-secret", "public-key-as-secret", "key", "expired", "audience", "issuer", "nonce",
        "no-nonce",
    ],
)  # fmt: skip
def test_a_bad_token_signs_nobody_in(tried, wrong):
    status, who = tried["wrong"][wrong]
    assert status == 400 and not who


def test_a_token_without_a_signature_makes_nobody(tried):
    _, who = tried["wrong"]["unsigned"]
    assert "User" not in who
    assert tried["groups"]["unsigned"] == 403


def test_nothing_is_used_twice(tried):
    replayed = tried["replayed"]
    assert replayed["a code used twice"] == [400, {}]
    assert replayed["a changed session"] == {}
    assert {status for status in replayed.values() if isinstance(status, int)} == {400}


def test_what_a_client_claims_counts_nothing(tried):
    assert tried["forged"] == {}


def test_nobody_is_sent_to_another_site(tried):
    for to, (status, location) in tried["redirects"].items():
        assert status == 400 or location.startswith(f"https://{tried['public']}/"), to
    assert tried["redirects"]["//evil.example/"][0] == 400
    assert tried["redirects"]["logout"][0] == 400


def test_only_the_provider_ends_sessions(tried):
    ended = tried["ended"]
    for wrong in ("unsigned", "wrong key", "for another"):
        assert ended[wrong] == [400, True], wrong
    assert ended["good"] == [200, False]


def test_a_group_s_page_is_for_the_group(tried):
    groups = tried["groups"]
    assert (groups["stranger"], groups["outsider"], groups["member"]) == (401, 403, 200)


def test_logout_ends_the_session_here_and_asks_the_provider(tried):
    public = tried["public"]
    first, to, second, provider, who = tried["logout"]
    assert (first, to) == (303, f"https://{public}/sso/callback?logout=https://{public}/")
    assert second == 302 and provider.endswith("/logout") and who == {}


def test_without_the_provider_it_says_so_and_goes_on(tried):
    status, page, who = tried["provider away"]
    assert status >= 500 and page and who == {}


@pytest.mark.parametrize("role", GUARDED)
def test_secrets_are_the_gate_s_own(fleet, role):
    for host in fleet.with_role(role):
        for name in ("secrets.conf", "apache2.conf"):
            file = host.file(f"/etc/sso-gate/{name}")
            assert (file.user, file.group, file.mode) == ("root", "sso-gate", 0o640)
        processes = host.check_output("ps -o user=,args= -C apache2")
        assert {line.split()[0] for line in processes.splitlines()} == {"sso-gate"}
        secret = host.check_output(
            "sed -n 's/^Define CLIENT_[A-Z]* \"\\(.*\\)\"/\\1/p' /etc/sso-gate/secrets.conf"
        )
        assert secret and secret not in host.check_output("ps -eo args=")
        assert secret not in host.check_output("journalctl -t sso-gate --no-pager")


@pytest.mark.parametrize("role", GUARDED)
def test_the_gate_comes_back_by_itself(fleet, role):
    for host in fleet.with_role(role)[:1]:
        before = host.check_output("systemctl show -P MainPID sso-gate")
        host.run_expect([0], f"kill -9 {before}")
        wait_for(
            lambda host=host: host.socket("tcp://127.0.0.1:4180").is_listening,
            20,
            "the gate listens again",
        )
