"""The files of nftables and monit, for every kind of rule that the registry can ask for."""

import re

import jinja2
import pytest
import yaml

from tests.unit.conftest import ROOT, load_module

REGISTRY = load_module("_modules/site_registry.py")
JINJA = jinja2.Environment(  # noqa: S701 - no page, and Salt does not escape either
    loader=jinja2.FileSystemLoader(ROOT / "salt"), undefined=jinja2.StrictUndefined
)


def defaults(component):
    return yaml.safe_load((ROOT / f"salt/{component}/defaults.yaml").read_text(encoding="utf-8"))


def firewall(*rules, mail=None, fence=None, users=()):
    """nftables.conf for rules of (service, port, protocol, sources)."""
    settings = defaults("nftables") | {"fenced": {"users": list(users), "reach": []}}
    full = [
        dict(
            zip(("service", "port", "protocol", "sources"), rule, strict=True),
            families=REGISTRY.families_of(rule[3]),
        )
        for rule in rules
    ]
    template = JINJA.get_template("nftables/templates/nftables.conf.j2")
    return template.render(nftables=settings, rules=full, mail=mail, fence=fence)


def accepted(text):
    """The lines that let a port in."""
    return [line.strip() for line in text.splitlines() if " dport " in line]


def test_the_table_replaces_itself_and_no_other():
    text = firewall()
    assert text.startswith("# Managed by Saltworks: nftables.")
    assert "flush" not in text
    assert text.index("\ntable inet site\ndelete table inet site\n") < text.index("inet site {")


def test_both_chains_drop_by_default():
    text = firewall()
    for hook in ("input", "forward"):
        assert re.search(rf"type filter hook {hook} priority filter; policy drop;", text)
    assert "hook output" not in text


def test_mail_leaves_for_the_mail_hosts_alone():
    text = firewall(mail={"ports": [25, 465], "families": {"ip": ["10.0.0.1"]}})
    chain = text[text.index("hook output") :]
    accept = chain.index("ip daddr { 10.0.0.1 } tcp dport { 25, 465 } accept")
    assert accept < chain.index("tcp dport { 25, 465 } counter reject")


@pytest.mark.parametrize("mail", [None, {"ports": [25], "families": {"ip": ["10.0.0.1"]}}])
def test_a_fenced_user_is_refused_before_anything_is_let_out(mail):
    fence = [["refuse", {"ip": ["10.0.0.0/24"]}], ["reach", {"ip": ["10.0.0.0/8"]}]]
    fence.append(["refuse", {"ip": ["10.0.0.0/8"], "ip6": ["::/127"]}])
    text = firewall(mail=mail, fence=fence, users=["builder-fetch"])
    rules = text[text.index("chain fenced") : text.index("hook output")]
    words = ["th dport 53 accept", "ip daddr { 10.0.0.0/24 } counter reject"]
    words += ["ip daddr { 10.0.0.0/8 } return", "ip daddr { 10.0.0.0/8 } counter reject"]
    words += ["ip6 daddr { ::/127 } counter reject"]
    places = [rules.index(word) for word in words]
    assert places == sorted(places)
    chain = text[text.index("hook output") :]
    first = chain.splitlines()[1:3]
    assert [line.strip() for line in first if line.strip()] == [
        'meta skuid "builder-fetch" jump fenced'
    ]
    assert text.count("{") == text.count("}")


def test_a_port_without_sources_has_no_rule():
    text = firewall(("mariadb", 3306, "tcp", []))
    assert accepted(text) == []
    assert "set tcp_3306" not in text
    assert "# tcp 3306 (mariadb) is closed" in text


def test_any_is_the_only_rule_without_a_source():
    text = firewall(("nginx", 443, "tcp", "any"), ("named", 53, "udp", ["10.0.0.0/24"]))
    assert accepted(text) == [
        'tcp dport 443 counter accept comment "nginx"',
        'ip saddr @udp_53_ip udp dport 53 counter accept comment "named"',
    ]


def test_each_family_has_its_set():
    text = firewall(("sshd", 22, "tcp", ["10.0.0.1", "10.0.0.2", "2001:db8::/32"]))
    assert accepted(text) == [
        'ip saddr @tcp_22_ip tcp dport 22 counter accept comment "sshd"',
        'ip6 saddr @tcp_22_ip6 tcp dport 22 counter accept comment "sshd"',
    ]
    sets = re.findall(r"set (\w+) \{\s+type (\w+)\s+flags interval\s+elements = \{([^}]*)\}", text)
    assert [(name, kind, elements.split()) for name, kind, elements in sets] == [
        ("tcp_22_ip", "ipv4_addr", ["10.0.0.1,", "10.0.0.2"]),
        ("tcp_22_ip6", "ipv6_addr", ["2001:db8::/32"]),
    ]


def monitrc(**listen):
    """monitrc for one service with one listen."""
    full = {"port": 7, "protocol": "tcp", "address": "internal", "from": [], "check": "tcp"}
    service = {
        "name": "thing",
        "unit": "thing.service",
        "process": r"^thing.*\[x\]",
        "listens": [full | listen],
    }
    return JINJA.get_template("monit/templates/monitrc.j2").render(
        monit=defaults("monit"),
        address="10.0.0.7",
        host_id="db1.sandbox.wpd.internal",
        domain="webplatform.test",
        services=[service],
    )


def asked(text):
    """The lines that ask a port."""
    return [line.strip() for line in text.splitlines() if line.startswith("  if failed")]


def test_a_service_is_started_never_restarted():
    text = monitrc()
    assert 'check process thing matching "^thing.*\\[x\\]"' in text
    assert 'start program = "/usr/bin/systemctl --no-block start thing.service"' in text
    assert "then restart" not in text


@pytest.mark.parametrize("check", [check for check in REGISTRY.CHECKS if check != "none"])
def test_every_check_has_its_question(check):
    (line,) = asked(monitrc(check=check))
    assert line.startswith("if failed host 10.0.0.7 port 7 ")
    assert line.endswith("for 2 cycles then alert")
    assert (check == "tcp") == (line == "if failed host 10.0.0.7 port 7 for 2 cycles then alert")


def test_no_check_no_question():
    assert asked(monitrc(check="none")) == []


def test_local_is_asked_on_localhost_and_udp_as_udp():
    (line,) = asked(monitrc(address="local", protocol="udp", check="dns"))
    assert line == ("if failed host 127.0.0.1 port 7 type udp protocol dns for 2 cycles then alert")


def test_a_check_that_is_not_known_does_not_render():
    with pytest.raises(jinja2.UndefinedError):
        monitrc(check="ping")
