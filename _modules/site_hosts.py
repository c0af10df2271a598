"""
Identity of hosts: what a host id says, and where the other hosts of the level are.

:py:func:`parse_id` is the one implementation of the grammar of host ids. It is
pure: grains, pillar, states, the command line and the tests all call it.

:py:func:`peers` is the one door to another host's address.
"""

import ipaddress
import re
import time
from pathlib import Path

import yaml

try:
    from salt.exceptions import CommandExecutionError
except ImportError:  # the command line reads ids before it has a Salt

    class CommandExecutionError(Exception):
        """Stands in for Salt's own where Salt is not installed."""


MINE_ALIAS = "site_address"
# So long an answer of the mine is taken for the present: no longer than a run.
MINE_SECONDS = 20
NAMES_FILE = "/etc/salt/site_names.yaml"

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_INDEX = re.compile(r"[1-9][0-9]*")


class HostIdError(CommandExecutionError, ValueError):
    """A host id that does not follow the grammar, or names what does not exist."""


def parse_id(host_id, names):
    """
    Say what a host id means. Pure: no file, no network, no Salt.

    host_id
        ``<role>[-<role>…][<index>].<level>.<domain>``; the older form
        ``<role>[-<role>…][<index>]-<level>.<domain>`` is understood, too.

    names
        ``{"domain": str, "levels": [str, …], "roles": {name: {"kind":
        "service" | "duty"}}}``, as :py:func:`names` gives it.

    Returns ``{"id", "name", "roles", "level", "index", "domain"}``: the name is
    the first label, roles in the order of the id, index a whole number from 1
    or None.

    Raises :py:class:`HostIdError`, with what is wrong and what is known.

    CLI Example:

    .. code-block:: bash

        salt-call site_hosts.parse db1.staging.wpd.internal
    """
    if not isinstance(host_id, str) or not host_id:
        raise HostIdError(f"host id {host_id!r}: expected <role>[<index>].<level>.<domain>")

    def wrong(what):
        return HostIdError(f"host id '{host_id}': {what}")

    name, _, rest = host_id.partition(".")
    for label in host_id.split("."):
        if len(label) > 63 or not _LABEL.fullmatch(label):
            raise wrong(
                f"'{label}' is not a host name label (a to z, 0 to 9 and inner hyphens, "
                "at most 63, in lower case)"
            )
    levels, domain = names["levels"], names["domain"]
    known_levels = "known levels: " + ", ".join(sorted(levels))

    if rest == domain:
        service, _, level = name.rpartition("-")
        if not service or level not in levels:
            raise wrong(f"no level in it; {known_levels}")
    else:
        service = name
        level, _, rest_domain = rest.partition(".")
        if not rest:
            raise wrong(f"no level in it; {known_levels}")
        if level not in levels:
            raise wrong(f"no such level '{level}'; {known_levels}")
        if rest_domain != domain:
            raise wrong(f"the domain is '{rest_domain}', not '{domain}'")

    roles, index = _split_roles(service, names["roles"], wrong)
    return {
        "id": host_id,
        "name": name,
        "roles": roles,
        "level": level,
        "index": index,
        "domain": domain,
    }


def _split_roles(service, known, wrong):
    """Roles and index of the part of an id that says what the host is for."""
    index = None
    roles = service.split("-")
    last = roles[-1]
    # The longest role that fits: digits may belong to a role's name (webat25).
    for role in sorted(known, key=len, reverse=True):
        if last == role:
            break
        if last.startswith(role) and _INDEX.fullmatch(last[len(role) :]):
            roles[-1], index = role, int(last[len(role) :])
            break
    for role in roles:
        if role not in known:
            raise wrong(f"no such role '{role}'; known roles: {', '.join(sorted(known))}")
    if len(set(roles)) != len(roles):
        raise wrong("a role stands in it twice")
    if known[roles[0]]["kind"] != "service":
        services = sorted(r for r in known if known[r]["kind"] == "service")
        raise wrong(
            f"'{roles[0]}' is a duty inside a service and cannot come first; "
            f"services: {', '.join(services)}"
        )
    for role in roles[1:]:
        if known[role]["kind"] != "duty":
            raise wrong(
                f"'{role}' is a service of its own and stands only first: one host, one service"
            )
    return roles, index


def sort_key(host):
    """
    Order of hosts in every rendered list: by roles, then index as a number.

    host
        What :py:func:`parse_id` returns.

    CLI Example:

    .. code-block:: bash

        salt-call site_hosts.sort_key '{roles: [db], index: 2, id: db2.staging.wpd.internal}'
    """
    return (host["roles"], host["index"] or 0, host["id"])


def load_names(pillar_root):
    """
    Read the registry and the levels from a pillar tree.

    pillar_root
        Path of the folder that holds ``registry.yaml`` and ``level/``.

    Returns the registry, with ``levels`` (a sorted list) added.

    CLI Example:

    .. code-block:: bash

        salt-call --local site_hosts.load_names /srv/saltworks/pillar
    """
    root = Path(pillar_root)
    registry = yaml.safe_load((root / "registry.yaml").read_text(encoding="utf-8"))
    registry["levels"] = sorted(path.stem for path in (root / "level").glob("*.sls"))
    return registry


def registry():
    """
    The registry with the levels: from pillar on a minion, from the tree where
    the master renders pillar.

    CLI Example:

    .. code-block:: bash

        salt-call site_hosts.registry
    """
    found = __pillar__.get("registry")
    if found:
        return found
    for root in __opts__.get("pillar_roots", {}).get("base", []):
        if (Path(root) / "registry.yaml").is_file():
            return load_names(root)
    raise CommandExecutionError(
        "the registry is neither in pillar nor under pillar_roots: "
        "is this minion accepted, and does its pillar render?"
    )


def sites_of(table, level):
    """
    The public sites of a level. Pure.

    table
        The content of ``pillar/sites.yaml``.

    level
        The content of the level's file, ``pillar/level/<level>.sls``.

    Returns the table without the sites that show the level's mailbox (``only: sink``)
    where its mail goes anywhere else.

    CLI Example:

    .. code-block:: bash

        salt-call site_hosts.sites_of '{mail: {only: sink}}' '{postfix: {deliver: outside}}'
    """
    sunk = level.get("postfix", {}).get("deliver", "sink") == "sink"
    return {
        name: site
        for name, site in table.items()
        if "only" not in site or (site["only"] == "sink" and sunk)
    }


def sites(level=None):
    """
    The public sites of a level: on a minion its own from pillar, from the tree where
    the master renders pillar.

    level
        Where the master renders pillar, whose it is: the options of a module there
        are the master's own.

    CLI Example:

    .. code-block:: bash

        salt-call site_hosts.sites
    """
    if level is None and "sites" in __pillar__:
        return __pillar__["sites"]
    for root in map(Path, __opts__.get("pillar_roots", {}).get("base", [])):
        if level and (root / "sites.yaml").is_file():
            files = (root / "sites.yaml", root / "level" / f"{level}.sls")
            return sites_of(*(yaml.safe_load(file.read_text("utf-8")) for file in files))
    raise CommandExecutionError(
        "the sites are neither in pillar nor under pillar_roots: "
        "is this minion accepted, and does its pillar render?"
    )


def parse(host_id=None):
    """
    Say what a host id means, with the roles and levels of this site.

    host_id
        The id to parse; the own one if left out.

    Returns and raises what :py:func:`parse_id` does.

    CLI Example:

    .. code-block:: bash

        salt-call site_hosts.parse memcache-sessions1.staging.wpd.internal
    """
    return parse_id(host_id or __opts__["id"], registry())


def address():
    """
    The own internal address: what the mine publishes.

    Where the minion's configuration has ``site_network`` (CIDR), it is the one
    address inside that network; else the host must have exactly one address.

    Raises CommandExecutionError when there is none, or more than one.

    CLI Example:

    .. code-block:: bash

        salt-call site_hosts.address
    """
    found = sorted(__salt__["network.ip_addrs"]())
    network = __opts__.get("site_network")
    if network:
        inside = ipaddress.ip_network(network)
        found = [ip for ip in found if ipaddress.ip_address(ip) in inside]
    if len(found) != 1:
        where = f"in site_network {network}" if network else "and no site_network is set"
        raise CommandExecutionError(
            f"this host has {len(found)} internal addresses {where}: {', '.join(found) or 'none'}. "
            "Set site_network in /etc/salt/minion.d/host.conf to the level's network"
        )
    return found[0]


def _needed(wanted):
    """How many hosts of these roles this host's roles need, says the registry."""
    known = registry()
    needs = [
        known["roles"][role].get("needs", {}).get("-".join(wanted), 0) for role in parse()["roles"]
    ]
    return max(needs, default=0)


def peers(*roles, minimum=None):
    """
    The hosts of the own level that have all these roles, with their addresses.

    roles
        ``"memcache", "sessions"``; also ``"memcache-sessions"``.

    minimum
        How many there must be at least. Left out, the registry says (``needs``
        of the own roles). 0 allows none.

    Returns ``[{"id", "name", "address"}, …]``, sorted by role and index.

    Raises CommandExecutionError when there are fewer than ``minimum``: a file
    is never rendered with a list too short.

    CLI Example:

    .. code-block:: bash

        salt-call site_hosts.peers memcache sessions
    """
    wanted = [part for role in roles for part in role.split("-")]
    known = registry()
    unknown = [role for role in wanted if role not in known["roles"]]
    if unknown or not wanted:
        raise CommandExecutionError(
            f"no such role '{', '.join(unknown)}'; known roles: {', '.join(sorted(known['roles']))}"
        )
    if minimum is None:
        minimum = _needed(wanted)
    level = parse()["level"]

    found = [host for host in _mined(known, level) if set(wanted) <= set(host["roles"])]
    if len(found) < minimum:
        raise CommandExecutionError(
            f"{len(found)} hosts with the role {'-'.join(wanted)} are known in level {level}, "
            f"at least {minimum} needed. Remedy: see that they run and are accepted "
            "(`salt-run manage.status`), then `salt '*' mine.update`"
        )
    return [{key: host[key] for key in ("id", "name", "address")} for host in found]


def _mined(known, level):
    """The hosts of a level that the mine knows, parsed, with ``address``, sorted."""
    found = []
    for host_id, address_ in _mine().items():
        try:
            host = parse_id(host_id, known)
        except HostIdError:
            continue
        if host["level"] == level and address_:
            found.append(dict(host, address=str(ipaddress.ip_address(address_))))
    return sorted(found, key=sort_key)


def _mine():
    """
    What the mine holds: {host id: address}.

    One question for all templates of a run: each opens a channel to the master, and
    reading the private key for that took a fifth of a run's processor time.
    """
    asked, known = __context__.get("site_hosts.mine", (None, None))
    now = time.monotonic()
    if asked is None or now - asked > MINE_SECONDS:
        known = __salt__["mine.get"]("*", MINE_ALIAS) or {}
        __context__["site_hosts.mine"] = now, known
    return known


def everyone(complete=True):
    """
    Every host of the own level, this one among them, with its address.

    complete
        False takes what the mine knows so far, be it nobody.

    Returns ``[{"id", "name", "address"}, …]``, sorted by role and index.

    Raises CommandExecutionError where the mine does not know this host itself:
    then it is not filled yet, and would name too few.

    CLI Example:

    .. code-block:: bash

        salt-call site_hosts.everyone
    """
    own = parse()
    found = _mined(registry(), own["level"])
    if complete and own["id"] not in [host["id"] for host in found]:
        raise CommandExecutionError(
            f"the mine does not know this host, {own['id']}, so it cannot be complete. "
            "Remedy: `salt '*' mine.update` on the master"
        )
    return [{key: host[key] for key in ("id", "name", "address")} for host in found]


def accepted(keys="/etc/salt/pki/master/minions", roles=None):
    """
    The hosts of the own level whose keys the master has accepted. On the master only.

    Unlike the mine it knows a host before that host has ever said anything.

    keys
        The folder with the accepted keys.

    roles
        Only hosts that have all these roles, e.g. ``memcache-sessions``.

    Returns the ids, sorted by role and index. Ids that do not parse and those
    of other levels are left out.

    Raises CommandExecutionError where there is no such folder.

    CLI Example:

    .. code-block:: bash

        salt-call site_hosts.accepted roles=db
    """
    known = registry()
    # An orchestration runs under the master's own name.
    level = parse_id(__opts__["id"].removesuffix("_master"), known)["level"]
    found = []
    for host_id in __salt__["site_keys.accepted"](keys):
        try:
            host = parse_id(host_id, known)
        except HostIdError:
            continue
        if host["level"] == level and set(roles.split("-") if roles else ()) <= set(host["roles"]):
            found.append(host)
    return [host["id"] for host in sorted(found, key=sort_key)]
