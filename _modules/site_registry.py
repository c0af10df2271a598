"""
What the registry says of this host: its services, and who may reach them.

The registry (``pillar/registry.yaml``) is one table; the firewall, monit's
checks, the port test and the port table of the docs are all made from it. The
functions whose names end in ``_of`` are pure; the others hand them this host's
registry, id and addresses.
"""

import ipaddress
import itertools
import re

from salt.exceptions import CommandExecutionError

# What may stand in `from` beside the names of roles.
ANY, SITE, NETWORK, OPERATORS = "any", "site", "network", "operators"
WORDS = (ANY, SITE, NETWORK, OPERATORS)
# The word for the default gateway in pillar nftables:operators.
GATEWAY = "gateway"
NO_GATEWAY = "0.0.0.0"  # noqa: S104 - as the routing table has it
# Addresses that are nobody's in public: a host itself, private networks, links, groups.
INSIDE = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "224.0.0.0/3",
    "::/127",
    "::ffff:0:0/96",
    "fc00::/7",
    "fe80::/10",
    "ff00::/8",
)
# The service by which people get in: never without a source.
LOGIN = "sshd"

ADDRESSES = ("internal", "public", "local")
PROTOCOLS = ("tcp", "udp")
CHECKS = (
    "none",
    "tcp",
    "ssh",
    "http",
    "https",
    "memcached",
    "redis",
    "mysql",
    "smtp",
    "dns",
)

_ROLE_KEYS = {"kind", "purpose", "owner", "needs", "most", "services", "pages"}
_SERVICE_KEYS = {"unit", "process", "listens", "site"}
_LISTEN_KEYS = {"port", "protocol", "address", "from", "check"}


def _listen(given):
    """One entry of ``listens`` with its defaults."""
    protocol = given.get("protocol", "tcp")
    return {
        "port": given["port"],
        "protocol": protocol,
        "address": given.get("address", "internal"),
        "from": list(given.get("from", [])),
        "check": given.get("check", "tcp" if protocol == "tcp" else "none"),
    }


def services_of(registry, roles, sites=None):
    """
    The services of a host with these roles, with the defaults filled in. Pure.

    registry
        The registry, as ``site_hosts.registry`` gives it.

    roles
        The roles of the host, as in its id.

    sites
        The names of the level's sites: a service that is there for another site only
        is left out. None for every service.

    Returns ``[{"name", "unit", "process", "listens": [{"port", "protocol",
    "address", "from", "check"}, …]}, …]``, sorted by name.

    CLI Example:

    .. code-block:: bash

        salt-call site_registry.services
    """
    tables = [registry["every"]] + [registry["roles"][role] for role in roles]
    found = [
        {
            "name": name,
            "unit": service["unit"],
            "process": service["process"],
            "listens": [_listen(given) for given in service.get("listens", [])],
        }
        for table in tables
        for name, service in table.get("services", {}).items()
        if sites is None or service.get("site") in (None, *sites)
    ]
    return sorted(found, key=lambda service: service["name"])


def sources_of(words, resolve, own=None):
    """
    The addresses and networks that the words of a ``from`` mean. Pure.

    words
        The list from the registry.

    resolve
        A function of one word, other than ``any``, that returns its addresses
        and networks as text.

    own
        The own address, which is left out: a host reaches itself over ``lo``.

    Returns ``"any"``, or a sorted list of text without what another entry
    contains; empty where nobody is known.

    Raises ValueError where a text is no address and no network.

    CLI Example:

    .. code-block:: bash

        salt-call site_registry.firewall
    """
    if ANY in words:
        return ANY
    found = {ipaddress.ip_network(text) for word in words for text in resolve(word)}
    if own:
        found.discard(ipaddress.ip_network(own))
    outermost = [
        one
        for one in found
        if not any(
            one != other and one.version == other.version and one.subnet_of(other)
            for other in found
        )
    ]
    outermost.sort(key=lambda network: (network.version, network))
    return [
        str(network.network_address if network.num_addresses == 1 else network)
        for network in outermost
    ]


def families_of(sources):
    """
    The same sources apart by IP version, as a packet filter wants them. Pure.

    sources
        What :py:func:`sources_of` returns.

    Returns ``{"ip": […], "ip6": […]}`` with the families that have any; empty
    for ``"any"``, which needs no list.

    CLI Example:

    .. code-block:: bash

        salt-call site_registry.firewall
    """
    found = {}
    for text in sources if sources != ANY else []:
        found.setdefault("ip6" if ":" in text else "ip", []).append(text)
    return found


def firewall_of(services, resolve, own=None):
    """
    Who may reach which port of a host. Pure.

    services
        What :py:func:`services_of` returns.

    resolve, own
        As in :py:func:`sources_of`.

    Returns ``[{"service", "port", "protocol", "sources", "families"}, …]`` for
    what listens beyond 127.0.0.1, sorted by port. ``sources`` is ``"any"`` or a
    list; an empty list means that the port stays closed. ``families`` is what
    :py:func:`families_of` makes of it.

    Raises CommandExecutionError where nobody could log in any more, and
    ValueError for a text that is no address.

    CLI Example:

    .. code-block:: bash

        salt-call site_registry.firewall
    """
    rules = [
        {
            "service": service["name"],
            "port": listen["port"],
            "protocol": listen["protocol"],
            "sources": sources_of(listen["from"], resolve, own),
        }
        for service in services
        for listen in service["listens"]
        if listen["address"] != "local"
    ]
    for rule in rules:
        rule["families"] = families_of(rule["sources"])
    if not any(rule["sources"] for rule in rules if rule["service"] == LOGIN):
        raise CommandExecutionError(
            f"no address may reach {LOGIN} here, so these rules would lock everybody out. "
            "Remedy: set nftables:operators in pillar/level/<level>.sls, or see that the "
            "hosts which the registry lets in are in the mine (`salt '*' mine.update`)"
        )
    return sorted(rules, key=lambda rule: (rule["port"], rule["protocol"]))


def services():
    """
    The services of this host.

    Returns what :py:func:`services_of` does.

    CLI Example:

    .. code-block:: bash

        salt-call site_registry.services
    """
    return services_of(
        __salt__["site_hosts.registry"](),
        __salt__["site_hosts.parse"]()["roles"],
        __salt__["site_hosts.sites"](),
    )


def _gateway():
    """The address of the default gateway; a route to an interface has none."""
    for route in __salt__["network.default_route"]("inet"):
        if route["gateway"] != NO_GATEWAY:
            return route["gateway"]
    raise CommandExecutionError(
        "nftables:operators names the gateway, but this host has no default gateway. "
        "Remedy: name the operators' networks in pillar"
    )


def _network():
    """The level's network: site_network, or the one that the own address stands in."""
    network = __opts__.get("site_network")
    if network:
        return network
    own = __salt__["site_hosts.address"]()
    for interface in __salt__["network.interfaces"]().values():
        for inet in interface.get("inet", []):
            if inet["address"] == own:
                return str(ipaddress.ip_interface(f"{own}/{inet['netmask']}").network)
    raise CommandExecutionError(
        f"no interface says in which network {own} is. Remedy: set site_network in "
        "/etc/salt/minion.d/host.conf to the level's network"
    )


def _resolve(word):
    """The addresses and networks that one word of a ``from`` means, for this host."""
    if word == SITE:
        return [host["address"] for host in __salt__["site_hosts.everyone"](complete=False)]
    if word == NETWORK:
        return [_network()]
    if word == OPERATORS:
        named = __pillar__.get("nftables", {}).get("operators", [])
        return [_gateway() if name == GATEWAY else name for name in named]
    return [host["address"] for host in __salt__["site_hosts.peers"](word, minimum=0)]


def firewall():
    """
    Who may reach which port of this host, today.

    Returns and raises what :py:func:`firewall_of` does; CommandExecutionError
    also for an operator's network that is none.

    CLI Example:

    .. code-block:: bash

        salt-call site_registry.firewall
    """
    try:
        return firewall_of(services(), _resolve, __salt__["site_hosts.address"]())
    except ValueError as error:
        raise CommandExecutionError(f"nftables:operators: {error}") from error


def fence(settings):
    """
    What a program that is to reach the world outside alone reaches, and what not.

    settings
        Pillar ``nftables:fenced``: ``reach`` names networks that are allowed although they
        are private; never the level's own.

    Returns ``[[verdict, {"ip": […], "ip6": […]}], …]``, which count in this order; a
    verdict is ``"refuse"`` or ``"reach"``, and what is in none is reached.

    Raises CommandExecutionError for a network that is none.

    CLI Example:

    .. code-block:: bash

        salt-call site_registry.fence '{reach: []}'
    """
    try:
        reach = families_of(sources_of(settings["reach"], lambda network: [network]))
    except ValueError as error:
        raise CommandExecutionError(f"nftables:fenced:reach: {error}") from error
    return [
        ["refuse", families_of(sources_of([SITE, NETWORK], _resolve))],
        ["reach", reach],
        ["refuse", families_of(INSIDE)],
    ]


def problems():
    """
    What is wrong with the registry that this host has.

    Returns what :py:func:`problems_of` does.

    CLI Example:

    .. code-block:: bash

        salt-call site_registry.problems
    """
    return problems_of(__salt__["site_hosts.registry"]())


def problems_of(registry):
    """
    What is wrong with a registry. Pure.

    registry
        The content of ``pillar/registry.yaml``.

    Returns a list of sentences, each with the place it speaks of; empty where
    all is well.

    CLI Example:

    .. code-block:: bash

        salt-call site_registry.problems
    """
    roles = registry.get("roles")
    every = registry.get("every")
    if not isinstance(roles, dict) or not isinstance(every, dict):
        return ["registry: `every` and `roles` must both be there, as mappings"]

    found = _service_problems("every", every)
    for name, role in roles.items():
        found += _role_problems(name, role, roles)
    if not found:
        # Only where each part is well formed can the parts be compared.
        found += _name_problems(roles)
        found += _reference_problems(registry)
        found += _duplicate_problems(registry)
    return found


def _text(value):
    return isinstance(value, str) and bool(value.strip())


def _whole(value):
    return isinstance(value, int) and not isinstance(value, bool)


def _unknown_keys(place, table, known):
    return [f"{place}: unknown key '{key}'" for key in table if key not in known]


def _role_problems(name, role, roles):
    """What is wrong inside one role."""
    place = f"roles.{name}"
    if not isinstance(role, dict):
        return [f"{place}: must be a mapping"]
    found = _unknown_keys(place, role, _ROLE_KEYS)
    for key in ("purpose", "owner"):
        if not _text(role.get(key)):
            found.append(f"{place}: has no {key}")
    kind = role.get("kind")
    if kind not in ("service", "duty"):
        found.append(f"{place}: kind must be service or duty")
    if kind == "service" and "services" not in role:
        found.append(f"{place}: a service must say its services ({{}} for none)")
    if kind == "duty" and "services" in role and not role["services"]:
        found.append(f"{place}: a duty has services, or not that key")
    most = role.get("most", 1)
    if not _whole(most) or most < 1:
        found.append(f"{place}.most: must be a whole number from 1")
    needs = role.get("needs", {})
    if not isinstance(needs, dict):
        return [*found, f"{place}.needs: must be a mapping"]
    for wanted, count in needs.items():
        if not _whole(count) or count < 1:
            found.append(f"{place}.needs.{wanted}: must be a whole number from 1")
        found += _unknown_roles(f"{place}.needs", wanted, roles)
    return found + _service_problems(place, role)


def _unknown_roles(place, wanted, roles):
    """A role, or several joined by hyphens, of which one is not there."""
    return [
        f"{place}: no such role '{part}' in '{wanted}'"
        for part in str(wanted).split("-")
        if part not in roles
    ]


def _service_problems(place, table):
    """What is wrong inside the services of a role, or of ``every``."""
    services_ = table.get("services", {})
    if not isinstance(services_, dict):
        return [f"{place}.services: must be a mapping"]
    found = []
    for name, service in services_.items():
        where = f"{place}.services.{name}"
        if not isinstance(service, dict):
            found.append(f"{where}: must be a mapping")
            continue
        found += _unknown_keys(where, service, _SERVICE_KEYS)
        if not _text(service.get("unit")) or not service["unit"].endswith(".service"):
            found.append(f"{where}: unit must be the full name of a systemd .service")
        if "site" in service and not _text(service["site"]):
            found.append(f"{where}: site must be the name of one in pillar/sites.yaml")
        found += _process_problems(where, service.get("process"))
        listens = service.get("listens", [])
        if not isinstance(listens, list):
            found.append(f"{where}.listens: must be a list")
            continue
        for listen in listens:
            found += _listen_problems(where, listen)
    return found


def _process_problems(where, process):
    """What is wrong with the regex that finds the daemon among all processes."""
    if not _text(process):
        return [f"{where}: has no process"]
    found = []
    try:
        re.compile(process)
    except re.error as error:
        found.append(f"{where}: process is no regular expression: {error}")
    if not process.startswith("^"):
        found.append(f"{where}: process must begin with ^, or it finds shells and editors, too")
    if '"' in process:
        found.append(f"{where}: process must not contain a double quote")
    return found


def _listen_problems(where, listen):
    """What is wrong with one entry of ``listens``."""
    if not isinstance(listen, dict):
        return [f"{where}.listens: each entry must be a mapping"]
    port = listen.get("port")
    if not _whole(port) or not 1 <= port <= 65535:
        return [f"{where}.listens: port must be a whole number from 1 to 65535, not {port!r}"]
    place = f"{where}: port {port}"
    found = _unknown_keys(place, listen, _LISTEN_KEYS)
    for key, allowed in (("protocol", PROTOCOLS), ("address", ADDRESSES), ("check", CHECKS)):
        if key in listen and listen[key] not in allowed:
            found.append(f"{place}: {key} must be one of {', '.join(allowed)}")
    if listen.get("protocol") == "udp" and listen.get("check", "none") not in ("none", "dns"):
        found.append(f"{place}: check of a udp port must be none or dns")
    given = listen.get("from")
    if listen.get("address") == "local":
        if "from" in listen:
            found.append(f"{place}: from has no meaning for a local address")
    elif not isinstance(given, list) or not given or not all(_text(word) for word in given):
        found.append(f"{place}: from must list who may connect")
    return found


def _name_problems(roles):
    """Names of roles that make ids or the words of ``from`` ambiguous."""
    found = []
    for name in roles:
        if not re.fullmatch(r"[a-z][a-z0-9]*", name):
            found.append(f"roles.{name}: a name is a letter, then letters a to z and digits")
        if name in WORDS:
            found.append(f"roles.{name}: that word has a meaning of its own in from")
        stem = name.rstrip("0123456789")
        if stem != name and stem in roles:
            found.append(f"roles.{name}: reads like host {name[len(stem) :]} of the role {stem}")
    return found


def _reference_problems(registry):
    """Roles in ``from`` that do not exist."""
    found = []
    tables = {"every": registry["every"]}
    tables.update({f"roles.{name}": role for name, role in registry["roles"].items()})
    for place, table in tables.items():
        for name, service in table.get("services", {}).items():
            for listen in service.get("listens", []):
                for word in listen.get("from", []):
                    if word not in WORDS:
                        found += _unknown_roles(
                            f"{place}.services.{name}: port {listen['port']}: from",
                            word,
                            registry["roles"],
                        )
    return found


def _clash(one, other):
    """Whether two listens cannot both be on one host."""
    same = (one["protocol"], one["port"]) == (other["protocol"], other["port"])
    kinds = {one["address"], other["address"]}
    return same and (len(kinds) == 1 or "public" in kinds)


def _duplicate_problems(registry):
    """Names or ports that two services would share on a host that an id can ask for."""
    roles = registry["roles"]
    duties = [name for name in roles if roles[name]["kind"] == "duty"]
    found = []
    for first in (name for name in roles if roles[name]["kind"] == "service"):
        for host in [[first]] + [[first, duty] for duty in duties]:
            here = services_of(registry, host)
            place = f"host {'-'.join(host)}"
            for one, other in itertools.combinations(here, 2):
                if one["name"] == other["name"]:
                    found.append(f"{place}: two services named {one['name']}")
            listens = [(service["name"], port) for service in here for port in service["listens"]]
            for (name, one), (other_name, other) in itertools.combinations(listens, 2):
                if _clash(one, other):
                    found.append(
                        f"{place}: {name} and {other_name} both listen on "
                        f"{one['protocol']} port {one['port']}"
                    )
    return found
