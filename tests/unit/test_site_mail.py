"""What postfix and the packet filter know of mail."""

import pytest
from salt.exceptions import CommandExecutionError

HOST = {"name": "mail1", "level": "staging", "domain": "wpd.internal", "roles": ["mail"]}
MAIL = [
    {"id": "mail1.staging.wpd.internal", "name": "mail1", "address": "192.0.2.1"},
    {"id": "mail2.staging.wpd.internal", "name": "mail2", "address": "192.0.2.2"},
]
SETTINGS = {"deliver": "sink", "aliases": {"root": ["operators"]}}


@pytest.fixture
def site_mail(load):
    return load("_modules/site_mail.py")


def test_a_satellite_binds_the_name_in_the_certificate_to_the_address(site_mail):
    found = site_mail.satellite("example.org", HOST, MAIL)
    assert found["next_hops"] == "[192.0.2.1]:25, [192.0.2.2]:25"
    assert found["policies"] == (
        "{ [192.0.2.1]:25 = secure match=mail1.staging.wpd.internal }, "
        "{ [192.0.2.2]:25 = secure match=mail2.staging.wpd.internal }"
    )


def test_without_a_mail_host_there_is_nowhere_to_go(site_mail):
    found = site_mail.satellite("example.org", HOST, [])
    assert (found["next_hops"], found["policies"]) == ("", "")


def test_the_site_its_hosts_and_bounces_are_senders(site_mail):
    wanted = "{ <> = OK }, { example.org = OK }, { staging.wpd.internal = OK }"
    assert site_mail.satellite("example.org", HOST, [])["senders"] == wanted
    assert site_mail.relay("example.org", HOST, MAIL, SETTINGS)["senders"] == wanted


def test_a_relay_takes_mail_from_each_host_over_tls_and_in_its_own_name(site_mail):
    found = site_mail.relay("example.org", HOST, MAIL, SETTINGS)
    assert found["clients"] == ["192.0.2.1", "192.0.2.2"]
    assert found["client_rules"] == (
        "{ 192.0.2.1 = reject_plaintext_session, site_sender }, "
        "{ 192.0.2.2 = reject_plaintext_session, site_sender }"
    )
    assert found["public_name"] == "mail1.example.org"
    assert found["names"] == [{"pattern": r"staging\.wpd\.internal", "domain": "example.org"}]


@pytest.mark.parametrize("deliver", ["Sink", "", "inside", None])
def test_where_mail_ends_is_one_of_two(site_mail, deliver):
    with pytest.raises(CommandExecutionError, match="must be outside or sink"):
        site_mail.relay("example.org", HOST, MAIL, {**SETTINGS, "deliver": deliver})


def test_aliases_are_whole_addresses(site_mail):
    wanted = {"root": ["operators"], "team": ["root", "a@example.net", "operators@example.org"]}
    assert site_mail.aliases("example.org", wanted) == [
        ("root@example.org", ["operators@example.org"]),
        ("team@example.org", ["root@example.org", "a@example.net", "operators@example.org"]),
    ]


@pytest.mark.parametrize("target", ["nobody", "nobody@example.org"])
def test_an_alias_that_leads_nowhere_is_an_error(site_mail, target):
    with pytest.raises(CommandExecutionError, match="root leads to 'nobody"):
        site_mail.aliases("example.org", {"root": [target]})


def outbound(load, deliver, roles):
    registry = load("_modules/site_registry.py")
    module = load(
        "_modules/site_mail.py",
        pillar={"postfix": {"deliver": deliver}} if deliver else {},
        salt={
            "site_hosts.parse": lambda: {**HOST, "roles": roles},
            "site_hosts.peers": lambda role, minimum: MAIL if (role, minimum) == ("mail", 0) else 0,
            "site_registry.families_of": registry.families_of,
        },
    )
    return module.outbound()


@pytest.mark.parametrize(
    ("deliver", "roles"),
    [(None, ["mail"]), ("sink", ["mail"]), ("sink", ["app"]), ("outside", ["app"])],
)
def test_mail_leaves_a_host_for_the_mail_hosts_only(load, deliver, roles):
    assert outbound(load, deliver, roles) == {
        "ports": [25, 465, 587],
        "families": {"ip": ["192.0.2.1", "192.0.2.2"]},
    }


def test_a_mail_host_that_delivers_outside_has_no_limit(load):
    assert outbound(load, "outside", ["mail"]) is None


def test_modules_that_ask_the_dns_are_off_where_there_is_none(site_mail):
    off, on = site_mail.modules_off(lookups=False), site_mail.modules_off(lookups=True)
    assert off == sorted(off)
    assert set(off) - set(on) == {"dmarc", "mid", "phishing", "rbl", "spf", "surbl", "whitelist"}
    # The check of signatures is a part of what signs.
    assert "dkim" not in off


def test_the_records_of_the_site_domain(load):
    pem = "-----BEGIN PUBLIC KEY-----\nMIIB\nAQAB\n-----END PUBLIC KEY-----\n"
    hosts = [MAIL[0], {**MAIL[1], "address": "2001:db8::2"}]
    module = load(
        "_modules/site_mail.py",
        pillar={"site": {"domain": "example.org"}, "rspamd": {"secrets": {"dkim": "the key"}}},
        salt={
            "site_hosts.peers": lambda role: hosts,
            "x509.get_public_key": lambda key: pem if key == "the key" else None,
        },
    )
    found = {(each["name"], each["type"], each["value"]) for each in module.dns_records()}
    assert found == {
        ("mail1.example.org", "A", "192.0.2.1"),
        ("mail2.example.org", "AAAA", "2001:db8::2"),
        ("example.org", "MX", "10 mail1.example.org."),
        ("example.org", "MX", "10 mail2.example.org."),
        ("example.org", "TXT", "v=spf1 mx -all"),
        ("site1._domainkey.example.org", "TXT", "v=DKIM1; k=rsa; p=MIIBAQAB"),
        ("_dmarc.example.org", "TXT", "v=DMARC1; p=reject; rua=mailto:postmaster@example.org"),
    }
