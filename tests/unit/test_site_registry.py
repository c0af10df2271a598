"""Services, firewall rules and the rules of the registry itself."""

import copy
import ipaddress

import pytest

from tests.unit.conftest import load_module

module = load_module("_modules/site_registry.py")

SMALL = {
    "domain": "wpd.internal",
    "every": {
        "services": {
            "sshd": {
                "unit": "ssh.service",
                "process": "^sshd",
                "listens": [{"port": 22, "from": ["salt", "operators"], "check": "ssh"}],
            },
            "agent": {"unit": "agent.service", "process": "^/usr/sbin/agent"},
        }
    },
    "roles": {
        "salt": {"kind": "service", "purpose": "Master", "owner": "platform", "services": {}},
        "edge": {
            "kind": "service",
            "purpose": "Edge",
            "owner": "platform",
            "needs": {"edge-fast": 1},
            "services": {
                "web": {
                    "unit": "web.service",
                    "process": "^web",
                    "listens": [
                        {"port": 443, "address": "public", "from": ["any"], "check": "https"},
                        {"port": 8080, "address": "local", "check": "http"},
                        {"port": 53, "protocol": "udp", "from": ["site", "edge-fast"]},
                    ],
                }
            },
        },
        "fast": {"kind": "duty", "purpose": "Quick", "owner": "platform"},
    },
}


def known(word):
    """What the words mean in these tests."""
    return {
        "salt": ["10.0.0.1"],
        "operators": ["192.0.2.0/24"],
        "site": ["10.0.0.1", "10.0.0.7"],
        "edge-fast": [],
    }[word]


def nobody(word):
    return []


def test_the_registry_of_this_tree_has_no_problems(registry):
    assert module.problems_of(registry) == []


def test_services_have_their_defaults():
    found = module.services_of(SMALL, ["edge", "fast"])
    assert [service["name"] for service in found] == ["agent", "sshd", "web"]
    assert found[0] == {
        "name": "agent",
        "unit": "agent.service",
        "process": "^/usr/sbin/agent",
        "listens": [],
    }
    assert found[1]["listens"] == [
        {
            "port": 22,
            "protocol": "tcp",
            "address": "internal",
            "from": ["salt", "operators"],
            "check": "ssh",
        }
    ]
    assert found[2]["listens"][1:] == [
        {"port": 8080, "protocol": "tcp", "address": "local", "from": [], "check": "http"},
        {
            "port": 53,
            "protocol": "udp",
            "address": "internal",
            "from": ["site", "edge-fast"],
            "check": "none",
        },
    ]


def test_a_tcp_port_is_checked_by_default():
    registry = copy.deepcopy(SMALL)
    del registry["every"]["services"]["sshd"]["listens"][0]["check"]
    assert module.services_of(registry, ["salt"])[1]["listens"][0]["check"] == "tcp"


@pytest.mark.parametrize(
    ("meant", "own", "expected"),
    [
        (["10.0.0.10", "10.0.0.9"], None, ["10.0.0.9", "10.0.0.10"]),
        (["10.0.0.9", "10.0.0.0/24"], None, ["10.0.0.0/24"]),
        (["10.0.0.0/24", "10.0.0.0/8"], None, ["10.0.0.0/8"]),
        (["10.0.0.0/24", "10.0.1.0/24"], None, ["10.0.0.0/24", "10.0.1.0/24"]),
        (["2001:db8::1", "10.0.0.1", "2001:db8::/32"], None, ["10.0.0.1", "2001:db8::/32"]),
        (["::/0", "10.0.0.1"], None, ["10.0.0.1", "::/0"]),
        (["10.0.0.1", "10.0.0.2"], "10.0.0.1", ["10.0.0.2"]),
        ([], None, []),
    ],
)
def test_sources(meant, own, expected):
    assert module.sources_of(["role"], lambda word: meant, own) == expected


def test_any_is_any_and_asks_nobody():
    assert module.sources_of(["salt", "any"], None) == "any"


@pytest.mark.parametrize("text", ["10.0.0.1/24", "10.0.0", "example.org", ""])
def test_what_is_no_address_is_an_error(text):
    with pytest.raises(ValueError, match=r"does not appear to be|has host bits set"):
        module.sources_of(["role"], lambda word: [text])


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ("any", {}),
        ([], {}),
        (["10.0.0.1", "2001:db8::1"], {"ip": ["10.0.0.1"], "ip6": ["2001:db8::1"]}),
    ],
)
def test_families(sources, expected):
    assert module.families_of(sources) == expected


def test_the_firewall_has_each_port_beyond_the_host():
    rules = module.firewall_of(module.services_of(SMALL, ["edge"]), known, "10.0.0.7")
    assert rules == [
        {
            "service": "sshd",
            "port": 22,
            "protocol": "tcp",
            "sources": ["10.0.0.1", "192.0.2.0/24"],
            "families": {"ip": ["10.0.0.1", "192.0.2.0/24"]},
        },
        {
            "service": "web",
            "port": 53,
            "protocol": "udp",
            "sources": ["10.0.0.1"],
            "families": {"ip": ["10.0.0.1"]},
        },
        {"service": "web", "port": 443, "protocol": "tcp", "sources": "any", "families": {}},
    ]


def test_nobody_known_is_a_closed_port():
    rules = module.firewall_of(
        module.services_of(SMALL, ["edge"]),
        lambda word: ["192.0.2.1"] if word == "operators" else [],
    )
    assert [rule["sources"] for rule in rules] == [["192.0.2.1"], [], "any"]


def test_rules_that_lock_everybody_out_are_refused():
    with pytest.raises(module.CommandExecutionError, match="lock everybody out"):
        module.firewall_of(module.services_of(SMALL, ["edge"]), nobody)


def test_a_host_that_only_it_itself_may_enter_is_locked_out():
    services = module.services_of(SMALL, ["salt"])
    with pytest.raises(module.CommandExecutionError, match="lock everybody out"):
        module.firewall_of(
            services, lambda word: ["10.0.0.1"] if word == "salt" else [], "10.0.0.1"
        )


def test_no_sshd_at_all_is_locked_out():
    with pytest.raises(module.CommandExecutionError, match="lock everybody out"):
        module.firewall_of([], known)


INTERFACES = {
    "lo": {"inet": [{"address": "127.0.0.1", "netmask": "255.0.0.0"}]},
    "wg0": {},
    "eth0": {"inet": [{"address": "10.0.0.7", "netmask": "255.255.255.0"}]},
}
ROUTES = [{"gateway": "10.0.0.254"}]


def on_host(
    registry=SMALL, operators=("gateway",), routes=ROUTES, opts=None, interfaces=INTERFACES
):
    """The module as it is on the host edge1, 10.0.0.7."""
    everyone = [{"address": "10.0.0.1"}, {"address": "10.0.0.7"}]

    def peers(role, minimum):
        assert minimum == 0
        return [{"address": "10.0.0.1"}] if role == "salt" else []

    def site_everyone(complete):
        assert complete is False
        return everyone

    return load_module(
        "_modules/site_registry.py",
        opts=opts or {},
        pillar={} if operators is None else {"nftables": {"operators": list(operators)}},
        salt={
            "site_hosts.registry": lambda: registry,
            "site_hosts.sites": lambda: {"docs": {}},
            "site_hosts.parse": lambda: {"roles": ["edge"]},
            "site_hosts.address": lambda: "10.0.0.7",
            "site_hosts.everyone": site_everyone,
            "site_hosts.peers": peers,
            "network.default_route": lambda family: routes if family == "inet" else None,
            "network.interfaces": lambda: interfaces,
        },
    )


def test_services_of_this_host():
    assert [service["name"] for service in on_host().services()] == ["agent", "sshd", "web"]


@pytest.mark.parametrize(("site", "there"), [("docs", True), ("mail", False)])
def test_a_service_for_one_site_is_there_where_the_site_is(site, there):
    registry = broken(("roles", "edge", "services", "web", "site"), site)
    assert module.problems_of(registry) == []
    names = [service["name"] for service in on_host(registry).services()]
    assert ("web" in names) is there
    assert "web" in [service["name"] for service in module.services_of(registry, ["edge"])]


def sources(host):
    return {rule["port"]: rule["sources"] for rule in host.firewall()}


def test_firewall_of_this_host():
    assert sources(on_host(operators=["gateway", "2001:db8::/32"])) == {
        22: ["10.0.0.1", "10.0.0.254", "2001:db8::/32"],
        53: ["10.0.0.1"],
        443: "any",
    }


def test_without_operators_the_salt_host_is_the_way_in():
    assert sources(on_host(operators=None))[22] == ["10.0.0.1"]


@pytest.mark.parametrize("routes", [[], [{"gateway": "0.0.0.0"}]])
def test_no_gateway_is_an_error(routes):
    host = on_host(routes=routes)
    with pytest.raises(host.CommandExecutionError, match="no default gateway"):
        host.firewall()


def test_a_fence_has_the_level_before_what_is_allowed():
    fence = on_host().fence({"reach": ["192.168.0.0/16", "10.0.0.0/8", "fd00::/8"]})
    (first, level), (second, reach), (third, inside) = fence
    assert (first, second, third) == ("refuse", "reach", "refuse")
    assert reach == {"ip": ["10.0.0.0/8", "192.168.0.0/16"], "ip6": ["fd00::/8"]}
    networks = [ipaddress.ip_network(text) for text in level["ip"]]
    assert any(ipaddress.ip_address("10.0.0.1") in network for network in networks)
    assert {"127.0.0.0/8", "169.254.0.0/16"} <= set(inside["ip"]) and "::/127" in inside["ip6"]
    with pytest.raises(module.CommandExecutionError, match="nftables:fenced:reach: 'home'"):
        module.fence({"reach": ["home"]})


def test_an_operators_network_that_is_none():
    host = on_host(operators=["10.0.0.1/8"])
    with pytest.raises(host.CommandExecutionError, match=r"nftables:operators: 10.0.0.1/8"):
        host.firewall()


def open_to_the_network():
    registry = copy.deepcopy(SMALL)
    registry["roles"]["edge"]["services"]["web"]["listens"][2]["from"] = ["site", "network"]
    return registry


def test_the_network_is_that_of_the_own_address():
    assert sources(on_host(open_to_the_network()))[53] == ["10.0.0.0/24"]


def test_the_network_is_site_network_where_it_is_set():
    host = on_host(open_to_the_network(), opts={"site_network": "10.0.0.0/16"})
    assert sources(host)[53] == ["10.0.0.0/16"]


def test_no_interface_with_the_own_address():
    host = on_host(open_to_the_network(), interfaces={})
    with pytest.raises(host.CommandExecutionError, match=r"in which network 10.0.0.7 is"):
        host.firewall()


def test_problems_of_the_own_registry():
    assert on_host().problems() == []
    assert on_host({"roles": {}}).problems() == [
        "registry: `every` and `roles` must both be there, as mappings"
    ]


def broken(path, value):
    """The small registry with one value put, or with ``del`` taken away."""
    registry = copy.deepcopy(SMALL)
    *way, last = path
    place = registry
    for key in way:
        place = place[key]
    if value == "del":
        del place[last]
    else:
        place[last] = value
    return registry


SSHD = ("every", "services", "sshd")
WEB = ("roles", "edge", "services", "web")
LISTEN = (*WEB, "listens", 0)
PROBLEMS = [
    (("every",), [], "`every` and `roles` must both be there"),
    (("roles",), "del", "`every` and `roles` must both be there"),
    (("roles", "salt"), "x", "roles.salt: must be a mapping"),
    (("roles", "salt", "port"), 1, "roles.salt: unknown key 'port'"),
    (("roles", "salt", "purpose"), "del", "roles.salt: has no purpose"),
    (("roles", "salt", "purpose"), " ", "roles.salt: has no purpose"),
    (("roles", "salt", "owner"), 7, "roles.salt: has no owner"),
    (("roles", "salt", "kind"), "other", "roles.salt: kind must be service or duty"),
    (("roles", "salt", "services"), "del", "roles.salt: a service must say its services"),
    (("roles", "fast", "services"), {}, "roles.fast: a duty has services, or not that key"),
    (("roles", "edge", "most"), 0, "roles.edge.most: must be a whole number from 1"),
    (("roles", "edge", "most"), "1", "roles.edge.most: must be a whole number from 1"),
    (("roles", "edge", "needs"), ["salt"], "roles.edge.needs: must be a mapping"),
    (("roles", "edge", "needs"), {"salt": 0}, "roles.edge.needs.salt: must be a whole number"),
    (("roles", "edge", "needs"), {"salt": True}, "roles.edge.needs.salt: must be a whole number"),
    (("roles", "edge", "needs"), {"salt-x": 1}, "roles.edge.needs: no such role 'x' in 'salt-x'"),
    (("roles", "edge", "services"), [], "roles.edge.services: must be a mapping"),
    (WEB, "x", "roles.edge.services.web: must be a mapping"),
    ((*WEB, "units"), "x", "roles.edge.services.web: unknown key 'units'"),
    ((*WEB, "unit"), "web", "must be the full name of a systemd .service"),
    ((*WEB, "site"), "", "web: site must be the name of one in pillar/sites.yaml"),
    ((*WEB, "unit"), "del", "must be the full name of a systemd .service"),
    ((*WEB, "process"), "del", "roles.edge.services.web: has no process"),
    ((*WEB, "process"), "^(", "process is no regular expression"),
    ((*WEB, "process"), "web", "process must begin with ^"),
    ((*WEB, "process"), '^"', "process must not contain a double quote"),
    ((*WEB, "listens"), {}, "roles.edge.services.web.listens: must be a list"),
    (LISTEN, 443, "roles.edge.services.web.listens: each entry must be a mapping"),
    ((*LISTEN, "port"), 0, "port must be a whole number from 1 to 65535, not 0"),
    ((*LISTEN, "port"), 65536, "not 65536"),
    ((*LISTEN, "port"), "443", "not '443'"),
    ((*LISTEN, "port"), True, "not True"),
    ((*LISTEN, "adress"), "local", "port 443: unknown key 'adress'"),
    ((*LISTEN, "protocol"), "sctp", "port 443: protocol must be one of tcp, udp"),
    ((*LISTEN, "address"), "lo", "port 443: address must be one of internal, public, local"),
    ((*LISTEN, "check"), "ping", "port 443: check must be one of none, tcp, ssh"),
    ((*LISTEN, "protocol"), "udp", "port 443: check of a udp port must be none or dns"),
    ((*LISTEN, "from"), "del", "port 443: from must list who may connect"),
    ((*LISTEN, "from"), [], "port 443: from must list who may connect"),
    ((*LISTEN, "from"), "any", "port 443: from must list who may connect"),
    ((*LISTEN, "from"), [None], "port 443: from must list who may connect"),
    ((*WEB, "listens", 1, "from"), ["any"], "port 8080: from has no meaning for a local address"),
    ((*LISTEN, "from"), ["salt-slow"], "web: port 443: from: no such role 'slow' in 'salt-slow'"),
    ((*SSHD, "listens", 0, "from"), ["slat"], "every.services.sshd: port 22: from: no such role"),
    (("roles", "salt2"), SMALL["roles"]["salt"], "salt2: reads like host 2 of the role salt"),
    (("roles", "site"), SMALL["roles"]["salt"], "roles.site: that word has a meaning of its own"),
    (("roles", "a-b"), SMALL["roles"]["salt"], "roles.a-b: a name is a letter, then letters"),
    (("roles", "2a"), SMALL["roles"]["salt"], "roles.2a: a name is a letter, then letters"),
    (
        ("roles", "salt", "services"),
        {"sshd": SMALL["every"]["services"]["sshd"]},
        "host salt: two services named sshd",
    ),
    ((*LISTEN, "port"), 22, "host edge: sshd and web both listen on tcp port 22"),
    (
        (*WEB, "listens", 2),
        {"port": 443, "from": ["any"]},
        "host edge: web and web both listen on tcp port 443",
    ),
    (
        ("roles", "fast", "services"),
        {"x": {"unit": "x.service", "process": "^x", "listens": [{"port": 22, "from": ["any"]}]}},
        "host salt-fast: sshd and x both listen on tcp port 22",
    ),
]


@pytest.mark.parametrize(("path", "value", "message"), PROBLEMS)
def test_each_problem_is_named(path, value, message):
    found = module.problems_of(broken(path, value))
    assert any(message in problem for problem in found), found


def test_a_sound_registry_is_silent():
    assert module.problems_of(SMALL) == []


def test_one_port_may_be_local_and_internal_at_once():
    listens = (*WEB, "listens", 0)
    assert module.problems_of(broken(listens, {"port": 8080, "from": ["site"]})) == []


def test_a_name_that_ends_in_digits_is_no_host_where_the_stem_is_no_role():
    assert module.problems_of(broken(("roles", "webat25"), SMALL["roles"]["salt"])) == []
