"""Which hosts a level has: inventory/<level>.yaml."""

import importlib.util
import ipaddress
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import yaml

from tools.errors import FleetError

TREE = Path(__file__).resolve().parent.parent


def load_module(name):
    """One of the modules under _modules/, which are no package, by its name."""
    path = TREE / "_modules" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# The grammar of host ids; it needs no Salt.
SITE_HOSTS = load_module("site_hosts")


@dataclass(frozen=True)
class Host:
    """One host of an inventory."""

    id: str
    name: str
    roles: tuple
    index: int | None

    @property
    def sort_key(self):
        return (self.roles, self.index or 0)


@dataclass(frozen=True)
class Inventory:
    """One level's hosts, the master first."""

    level: str
    network: ipaddress.IPv4Network | None
    hosts: tuple
    names: dict

    @property
    def master(self):
        return next(host for host in self.hosts if host.roles[0] == "salt")

    def addresses(self):
        """
        An address in the level's network for every host: {host id: text}.

        Made from the host's name, so that a new host moves no other; but for
        the rare case that the two meet on one address.

        Raises FleetError where the network is too small.
        """
        # The low ones are for the gateway and whatever else stands in a network.
        pool = [str(address) for address in self.network.hosts()][9:]
        if len(pool) < len(self.hosts):
            raise FleetError(
                f"inventory/{self.level}.yaml: {self.network} has {len(pool)} addresses for "
                f"{len(self.hosts)} hosts",
                "write a larger network",
            )
        found = {}
        for host in self.hosts:
            at = zlib.crc32(host.name.encode())
            while pool[at % len(pool)] in found.values():
                at += 1
            found[host.id] = pool[at % len(pool)]
        return found

    def find(self, wanted):
        """The host of that id or first label; raises FleetError for any other word."""
        for host in self.hosts:
            if wanted in (host.id, host.name):
                return host
        known = ", ".join(host.name for host in self.hosts)
        raise FleetError(
            f"no host '{wanted}' in inventory/{self.level}.yaml", f"hosts of this level: {known}"
        )


def levels():
    """The levels that have an inventory."""
    return sorted(path.stem for path in (TREE / "inventory").glob("*.yaml"))


def is_sandbox(level, tree=TREE):
    """
    Whether a level is a sandbox: all of it on one machine, in a network made for it.

    That is what `network:` in its inventory says. Its secrets are fakes in clear.
    """
    path = Path(tree) / "inventory" / f"{level}.yaml"
    if not path.is_file():
        return False
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    return isinstance(data, dict) and bool(data.get("network"))


def too_many(hosts, registry):
    """
    Roles that more hosts of a level have than may.

    hosts
        The roles of each.

    Returns ``[(role, how many there may be, how many there are)]``.
    """
    counts = Counter(role for roles in hosts for role in roles)
    return [
        (name, role["most"], counts[name])
        for name, role in registry["roles"].items()
        if counts[name] > role.get("most", counts[name])
    ]


def load(level, tree=TREE):
    """
    Read and check inventory/<level>.yaml.

    Raises FleetError that names the file and the cure.
    """
    path = tree / "inventory" / f"{level}.yaml"
    where = f"inventory/{level}.yaml"
    if not path.is_file():
        raise FleetError(
            f"no such level: {where} does not exist", f"levels here: {', '.join(levels())}"
        )
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FleetError(f"{where} is not YAML: {error}", "correct the file") from error
    if not isinstance(data, dict) or not isinstance(data.get("hosts"), dict):
        raise FleetError(
            f"{where}: expected the keys level and hosts", "see inventory/sandbox.yaml"
        )
    unknown = set(data) - {"level", "network", "hosts"}
    if unknown:
        raise FleetError(f"{where}: unknown key {', '.join(sorted(unknown))}", "remove it")
    if data.get("level") != level:
        raise FleetError(f"{where}: level is {data.get('level')!r}", f"write `level: {level}`")

    names = SITE_HOSTS.load_names(tree / "pillar")
    if level not in names["levels"]:
        raise FleetError(
            f"{where}: level '{level}' has no pillar", f"write pillar/level/{level}.sls"
        )
    hosts = []
    for name in data["hosts"]:
        try:
            host = SITE_HOSTS.parse_id(f"{name}.{level}.{names['domain']}", names)
        except SITE_HOSTS.HostIdError as error:
            raise FleetError(f"{where}: {error}", "correct the name") from error
        hosts.append(Host(host["id"], host["name"], tuple(host["roles"]), host["index"]))
    if [host.roles[0] for host in hosts].count("salt") != 1:
        raise FleetError(f"{where}: a level has exactly one host with the role salt", "add `salt:`")

    for role, most, there in too_many([host.roles for host in hosts], names):
        raise FleetError(
            f"{where}: {there} hosts have the role {role}, of which a level has at most {most}",
            "take the others out; pillar/registry.yaml says at `most` why",
        )

    network = data.get("network")
    try:
        network = network and ipaddress.IPv4Network(network)
    except ValueError as error:
        raise FleetError(f"{where}: network: {error}", "write it in CIDR notation") from error
    hosts.sort(key=lambda host: (host.roles[0] != "salt", host.sort_key))
    return Inventory(level, network, tuple(hosts), names)
