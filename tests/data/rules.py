"""What is asked of the data of the fleet; each rule returns a list of problems."""

import hashlib
import ipaddress
import re
from collections import Counter
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator

from tools import compiler, secrets
from tools.inventory import SITE_HOSTS, is_sandbox, load_module, too_many

PEOPLE = {"site", "network", "operators", "any"}


def load(path):
    return yaml.safe_load(Path(path).read_text(encoding="utf-8"))


def inventories(tree):
    """``{level: inventory}`` of every file under inventory/."""
    return {path.stem: load(path) for path in sorted((Path(tree) / "inventory").glob("*.yaml"))}


# -- schemas -------------------------------------------------------------------


def schemas(tree):
    """``{top key: schema}``."""
    return {path.stem: load(path) for path in sorted((Path(tree) / "pillar/schema").glob("*.yaml"))}


def open_schemas(found):
    """Schemas that are wrong, or that let unknown keys pass."""
    problems = []
    for key, schema in found.items():
        try:
            Draft202012Validator.check_schema(schema)
        except Exception as error:
            problems.append(f"pillar/schema/{key}.yaml: no JSON Schema: {error}. Cure: mend it")
            continue
        problems += [
            f"pillar/schema/{key}.yaml: {where or '/'} lets unknown keys pass. "
            "Cure: additionalProperties: false"
            for where in sorted(set(_open_parts(schema, schema, "", False, ())))
        ]
    return problems


# Schemas of the same value, and schemas of what is in it.
SAME = ("if", "then", "else", "not")
SAME_LISTS = ("allOf", "anyOf", "oneOf")
INSIDE = ("items", "additionalProperties", "unevaluatedProperties", "contains")
INSIDE_MAPS = ("properties", "patternProperties")


def _open_parts(part, root, where, closed, seen):
    """Where in a schema a mapping has known keys and lets others pass."""
    if not isinstance(part, dict):
        return
    shut = [part[key] for key in ("additionalProperties", "unevaluatedProperties") if key in part]
    closed = closed or any(value is not True for value in shut)
    if "properties" in part and not closed:
        yield where
    reference = part.get("$ref")
    if reference and reference not in seen:
        target = root
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]
        yield from _open_parts(target, root, reference, closed, (*seen, reference))
    for key in SAME:
        yield from _open_parts(part.get(key), root, f"{where}/{key}", closed, seen)
    for key in SAME_LISTS:
        for number, inner in enumerate(part.get(key, ())):
            yield from _open_parts(inner, root, f"{where}/{key}/{number}", closed, seen)
    for key in INSIDE:
        yield from _open_parts(part.get(key), root, f"{where}/{key}", False, seen)
    for key in INSIDE_MAPS:
        for name, inner in part.get(key, {}).items():
            yield from _open_parts(inner, root, f"{where}/{key}/{name}", False, seen)


def invalid(pillar, host_id, found, complete=False):
    """
    What the schemas say of a pillar.

    pillar
        ``{top key: value}``.

    complete
        Whether what is required must be there: so for pillar with the defaults
        merged in, and not for pillar alone.
    """
    problems = []
    for key, value in pillar.items():
        if key == "_errors":
            continue
        if key not in found:
            problems.append(
                f"pillar of {host_id}: the key '{key}' has no schema. "
                f"Cure: write pillar/schema/{key}.yaml, or correct the key in pillar/"
            )
            continue
        for error in Draft202012Validator(found[key]).iter_errors(value):
            if error.validator == "required" and not complete:
                continue
            # Only where and which rule: the value may be a secret.
            where = ":".join(str(part) for part in (key, *error.absolute_path))
            names = f" ({error.message})" if error.validator in SAFE else ""
            problems.append(
                f"pillar of {host_id}: {where} is not as pillar/schema/{key}.yaml wants it: "
                f"{error.validator}{names}. Cure: correct it in pillar/ or in "
                f"salt/{key}/defaults.yaml"
            )
    return problems


# Kinds of error whose message names keys, and not values.
SAFE = {"additionalProperties", "required", "unevaluatedProperties"}


def merge(defaults, over):
    """Deep merge as ``slsutil.merge`` does it: mappings merge, all else is replaced."""
    if not isinstance(defaults, dict) or not isinstance(over, dict):
        return over
    merged = dict(defaults)
    for key, value in over.items():
        merged[key] = merge(defaults[key], value) if key in defaults else value
    return merged


def defaults_of(tree, component):
    path = Path(tree) / "salt" / component / "defaults.yaml"
    return (load(path) or {}) if path.is_file() else None


def with_defaults(tree, result):
    """``{component: defaults and pillar merged}`` of a compiled host."""
    components = {state["sls"].split(".")[0] for state in result["states"]}
    merged = {}
    for component in sorted(components):
        defaults = defaults_of(tree, component)
        if defaults:
            merged[component] = merge(defaults, result["pillar"].get(component) or {})
    return merged


# -- the fleet -----------------------------------------------------------------


def wrong_inventories(found, registry, known_levels):
    """Names, levels and networks of the inventories."""
    names = dict(registry, levels=known_levels)
    problems, networks, owners = [], {}, {}
    for file, inventory in found.items():
        where = f"inventory/{file}.yaml"
        level = inventory.get("level")
        if level != file:
            problems.append(f"{where}: level is '{level}'. Cure: level: {file}")
        if file not in known_levels:
            problems.append(f"{where}: no such level. Cure: write pillar/level/{file}.sls")
            continue
        for name in inventory.get("hosts") or {}:
            host_id = f"{name}.{file}.{registry['domain']}"
            try:
                SITE_HOSTS.parse_id(host_id, names)
            except SITE_HOSTS.HostIdError as error:
                problems.append(f"{where}: {error}. Cure: correct the name, or add the role")
            address = (inventory["hosts"][name] or {}).get("address")
            if address and owners.setdefault(address, host_id) != host_id:
                problems.append(
                    f"{where}: {host_id} and {owners[address]} have the address {address}. "
                    "Cure: give one of them another"
                )
        if inventory.get("network"):
            networks[file] = ipaddress.ip_network(inventory["network"])
    for one, network in networks.items():
        for other, second in networks.items():
            if one < other and network.overlaps(second):
                problems.append(
                    f"inventory/{one}.yaml and inventory/{other}.yaml: their networks overlap. "
                    "Cure: give one of them another"
                )
    return problems


def doubled_hosts(texts):
    """Hosts that stand twice in one file: YAML keeps the last and says nothing."""
    problems = []
    for file, text in texts.items():
        count = Counter(re.findall(r"^  ([a-z0-9-]+):", text, flags=re.MULTILINE))
        problems += [
            f"inventory/{file}.yaml: {name} stands there twice. Cure: remove one"
            for name, number in count.items()
            if number > 1
        ]
    return problems


def wrong_numbers(found, registry, known_levels):
    """Roles in an inventory without the hosts they need, or with more than there may be."""
    names = dict(registry, levels=known_levels)
    problems = []
    for level, inventory in found.items():
        hosts = []
        for name in inventory.get("hosts") or {}:
            try:
                hosts.append(
                    SITE_HOSTS.parse_id(f"{name}.{level}.{registry['domain']}", names)["roles"]
                )
            except SITE_HOSTS.HostIdError:
                continue  # wrong_inventories speaks of it
        problems += [
            f"inventory/{level}.yaml: {there} hosts have the role {role}, of which a level has at "
            f"most {most}. Cure: take the others out; pillar/registry.yaml says why"
            for role, most, there in too_many(hosts, registry)
        ]
        for role in sorted({role for roles in hosts for role in roles}):
            for wanted, least in registry["roles"][role].get("needs", {}).items():
                there = sum(set(wanted.split("-")) <= set(roles) for roles in hosts)
                if there < least:
                    problems.append(
                        f"inventory/{level}.yaml: role {role} needs {least} hosts with the role "
                        f"{wanted}, there are {there}. Cure: add hosts, or lower `needs` in "
                        "pillar/registry.yaml"
                    )
    return problems


def wrong_roles(registry, tree):
    """Roles that miss an owner, a file, or name roles that do not exist."""
    problems = []
    roles, tree = registry["roles"], Path(tree)
    where = "pillar/registry.yaml"
    for name, role in roles.items():
        for key in ("purpose", "owner"):
            if not role.get(key):
                problems.append(f"{where}: role {name} has no {key}. Cure: give it")
        if not (tree / f"pillar/role/{name}.sls").is_file():
            problems.append(
                f"pillar/role/{name}.sls: missing. Cure: write it, `{{}}` where the role has none"
            )
        if role["kind"] == "service" and not (tree / f"salt/role/{name}.sls").is_file():
            problems.append(f"salt/role/{name}.sls: missing. Cure: write its include list")
        named = list(role.get("needs", {}))
        for service in (role.get("services") or {}).values():
            for listen in service.get("listens", []):
                named += [source for source in listen.get("from", []) if source not in PEOPLE]
        unknown = {part for wanted in named for part in wanted.split("-")} - set(roles)
        if unknown:
            problems.append(
                f"{where}: role {name} names the unknown {', '.join(sorted(unknown))}. "
                f"Cure: correct it; known roles: {', '.join(sorted(roles))}"
            )
    for path in sorted(tree.glob("salt/role/*.sls")) + sorted(tree.glob("pillar/role/*.sls")):
        if path.stem not in roles:
            problems.append(
                f"{path.relative_to(tree)}: no such role. Cure: add it to {where}, or remove the "
                "file"
            )
    return problems


def shared_ports(registry):
    """Two services of one host on one port."""
    problems = []
    every = registry.get("every", {}).get("services", {})
    for name, role in registry["roles"].items():
        seen = {}
        for service, data in {**every, **(role.get("services") or {})}.items():
            for listen in (data or {}).get("listens", []):
                local = listen.get("address") == "local"
                key = (listen["port"], listen.get("protocol", "tcp"), local)
                if seen.setdefault(key, service) != service:
                    problems.append(
                        f"pillar/registry.yaml: role {name}: {service} and {seen[key]} listen on "
                        f"port {key[0]}/{key[1]}. Cure: give one another port"
                    )
    return problems


# -- sites and domains ---------------------------------------------------------


def wrong_sites(static, apps, sites, tree):
    """Apps without a first version, first versions of none, names of two sites or of none."""
    seeds = Path(tree) / "salt/gitolite/seeds"
    problems = [
        f"pillar/static-sites.yaml: {name} stands in pillar/sites.yaml, too. Cure: another name"
        for name in sorted(set(static) & set(sites))
    ]
    problems += [
        f"pillar/apps.yaml: {app}: `cached` has {name}, which is not in pillar/sites.yaml. "
        "Cure: correct it"
        for app, entry in apps.items()
        for name in entry.get("cached", [])
        if name not in sites
    ]
    there = {str(path.relative_to(seeds)) for path in seeds.glob("*/*")}
    # What others make, what no host runs, and this repository itself have none of ours.
    ours = {
        name: app
        for name, app in apps.items()
        if app.get("branches") and app.get("roles") and not app.get("tree")
    }
    wanted = {app["repository"]: name for name, app in (static | ours).items()}
    for repository in sorted(set(wanted) - there):
        file, table = ("index.html.j2", "static-sites")
        if wanted[repository] in apps:
            file, table = ("README.md", "apps")
        problems.append(
            f"pillar/{table}.yaml: {wanted[repository]} has no first version. "
            f"Cure: salt/gitolite/seeds/{repository}/{file}"
        )
    for repository in sorted(there - set(wanted)):
        problems.append(
            f"salt/gitolite/seeds/{repository}: no app or static site has it. Cure: an "
            "entry in pillar/apps.yaml or pillar/static-sites.yaml, or remove it"
        )
    return problems


def unforgotten(result, merged, apps):
    """
    Wikis and blogs of a host whose pages the edge keeps, and which no app makes it forget.

    result, merged
        A compiled host, and what :py:func:`with_defaults` makes of it.

    apps
        pillar/apps.yaml, as data.
    """
    served = set(merged.get("mediawiki", {}).get("wikis", {}))
    if "wordpress" in merged:
        served.add(merged["wordpress"]["host"])
    sites = result["pillar"]["sites"]
    kept = {name for name in served if name in sites and sites[name].get("cache", True)}
    forgotten = {name for app in apps.values() for name in app.get("cached", [])}
    return [
        f"pillar/apps.yaml: no app has {name} of {result['id']} in `cached`: after a deploy the "
        "edge would go on with its old pages. Cure: name it at the app that it is made of"
        for name in sorted(kept - forgotten)
    ]


def wrong_upstreams(text, static, tree):
    """
    The table of the code of others: entries that the schema does not know, names twice, and
    repositories that somebody is to push to.

    text
        pillar/upstreams.yaml, as it is written.
    """
    where = "pillar/upstreams.yaml"
    table = yaml.safe_load(text) or {}
    count = Counter(re.findall(r"^([^\s#:]+):", text, flags=re.MULTILINE))
    problems = [
        f"{where}: {name} stands there {number} times. Cure: remove one"
        for name, number in sorted(count.items())
        if number > 1
    ]
    schema = load(Path(tree) / "pillar/schema/upstreams.yaml")["properties"]["repositories"]
    problems += [
        f"{where}: {':'.join(map(str, error.absolute_path)) or 'the table'}: {error.message}. "
        "Cure: <owner>/<name>: {debian: <package>} or {git: https://…}"
        for error in Draft202012Validator(schema).iter_errors(table)
    ]
    pushed = {site["repository"]: name for name, site in static.items()}
    problems += [
        f"{where}: the static site {pushed[name]} is pushed to {name}. Cure: another name"
        for name in sorted(set(table) & set(pushed))
    ]
    return problems


def wrong_domains(table, text, own, host_domain, static, sites, redirects):
    """
    Further domains of all levels: what site_domains says of each, and names twice.

    table, text
        pillar/domains.yaml, as data and as it is written.

    own
        ``{level: its public domain}``.

    host_domain
        What the ids of hosts end with.
    """
    where = "pillar/domains.yaml"
    count = Counter(re.findall(r"^  ([^\s#:]+):", text, flags=re.MULTILINE))
    problems = [
        f"{where}: {name} stands there {number} times. Cure: remove one"
        for name, number in sorted(count.items())
        if number > 1
    ]
    for level, domains in table.items():
        if level not in own:
            problems.append(
                f"{where}: no such level '{level}'. Cure: write pillar/level/{level}.sls"
            )
            continue
        others = [domain for other, domain in own.items() if other != level]
        problems += [
            f"{where}: {level}: {sentence}. Cure: correct it; docs/runbooks/add-domain.md"
            for sentence in load_module("site_domains").problems(
                domains or {}, own[level], [*others, host_domain], static, sites, redirects
            )
        ]
    return problems


# -- secrets -------------------------------------------------------------------


def wrong_secrets(tree):
    """Names and values of the levels' secrets."""
    tree, problems, seen = Path(tree), [], {}
    clear = compiler.secrets_of(tree, secrets.FIRST_LEVEL)
    for level in compiler.levels(tree):
        where = f"pillar/secrets/{level}/secrets.yaml"
        try:
            table = compiler.secrets_of(tree, level)
        except compiler.CompileError as error:
            problems.append(str(error))
            continue
        missing = sorted(set(clear) - set(table))
        if missing:
            problems.append(
                f"{where}: missing {', '.join(missing)}. Cure: ./fleet secret init {level}"
            )
        surplus = sorted(set(table) - set(clear))
        if surplus:
            problems.append(
                f"{where}: {', '.join(surplus)} is not in {secrets.FIRST_LEVEL}. "
                f"Cure: ./fleet secret set {secrets.FIRST_LEVEL} NAME --generate, or remove it"
            )
        if list(table) != sorted(table):
            problems.append(f"{where}: not sorted by name. Cure: sort it")
        in_clear = is_sandbox(level, tree)
        for name, value in table.items():
            if in_clear and compiler.PGP_BLOCK in value:
                problems.append(f"{where}: {name} is encrypted. Cure: a fake in clear")
            if in_clear and name.endswith("-rsa-key") and "PRIVATE KEY" not in value:
                problems.append(
                    f"{where}: {name} is no key. Cure: ./fleet secret set {level} {name} --generate"
                )
            if not in_clear and not is_encrypted(value):
                problems.append(
                    f"{where}: {name} stands in clear. Cure: take it as known to all: "
                    f"./fleet secret set {level} {name} --generate"
                )
            digest = hashlib.sha256("".join(value.split()).encode()).hexdigest()
            other = seen.setdefault(digest, (level, name))
            if other != (level, name):
                problems.append(
                    f"{where}: {name} has the value of {other[1]} of level {other[0]}. "
                    f"Cure: ./fleet secret set {level} {name} --generate"
                )
    return problems


def is_encrypted(value):
    lines = value.strip().splitlines()
    return lines[:1] == [secrets.PGP_BLOCK] and lines[-1:] == ["-----END PGP MESSAGE-----"]


def leaves(data, path=()):
    """``(path, text)`` of every text in nested data."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from leaves(value, (*path, str(key)))
    elif isinstance(data, list):
        for value in data:
            yield from leaves(value, path)
    else:
        yield path, str(data)


def secrets_in(pillar, values):
    """``[(name, path)]`` of every secret in a host's pillar."""
    return [
        (name, path)
        for path, text in leaves(pillar)
        for name, value in values.items()
        if value in text
    ]


def misplaced_secrets(result, values):
    """
    Secrets of a host that do not stand under ``<component>:secrets``, or whose
    component the host does not have. (A host that does not compile has no component
    at all; the render step speaks of that.)
    """
    problems = []
    components = {state["sls"].split(".")[0] for state in result["states"]}
    for name, path in secrets_in(result["pillar"], values):
        shown = ":".join(path)
        if len(path) < 2 or path[1] != "secrets":
            problems.append(
                f"pillar of {result['id']}: the secret {name} stands at {shown}. "
                "Cure: put it under <component>:secrets"
            )
        elif components and path[0] not in components:
            problems.append(
                f"pillar of {result['id']}: it has the secret {name} ({shown}) and not the "
                f"component {path[0]}. Cure: take it out of the pillar/role file"
            )
    return problems


def unused_secrets(results, values_by_level):
    """Secrets that no host of any level has."""
    used = {
        name
        for level, hosts in results.items()
        for result in hosts.values()
        for name, _ in secrets_in(result["pillar"], values_by_level[level])
    }
    known = {name for values in values_by_level.values() for name in values}
    return [
        f"pillar/secrets/: no host of any level has {name}. Cure: use it in a pillar/role file, or "
        "remove it from every level"
        for name in sorted(known - used)
    ]


# -- one place, and used -------------------------------------------------------


def unused_defaults(tree):
    """Keys of defaults.yaml that nothing in the component or in custom Python names."""
    tree, problems = Path(tree), []
    python = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in ("_modules", "_states", "_returners", "_runners", "_engines", "_utils")
        for path in sorted((tree / folder).glob("*.py"))
    )
    for path in sorted(tree.glob("salt/*/defaults.yaml")):
        own = "\n".join(
            other.read_text(encoding="utf-8", errors="replace")
            for other in sorted(path.parent.rglob("*"))
            if other.is_file() and other.name not in ("README.md", "defaults.yaml")
        )
        for key in load(path) or {}:
            if not re.search(rf"\b{re.escape(str(key))}\b", own + python):
                problems.append(
                    f"{path.relative_to(tree)}: nothing uses the key '{key}'. Cure: use it or "
                    "remove it"
                )
    return problems


def other_pins(files, pinned):
    """
    Versions of what stands in requirements/salt.txt that are written anywhere else.

    files
        ``{path: text}`` of the repository without requirements/salt.txt.

    pinned
        The text of requirements/salt.txt.
    """
    versions = dict(re.findall(r"^([\w.-]+)==(\S+)", pinned, flags=re.MULTILINE))
    problems = []
    for name, version in versions.items():
        # Prose may speak of a version; Salt's own number means nothing else anywhere.
        spelling = rf"\b{re.escape(name)}\s*(==|>=|~=|@|:)"
        number = rf"(?<![\d.]){re.escape(version)}(?![\d.]*\d)" if name == "salt" else "(?!)"
        pattern = re.compile(rf"{spelling}\s*['\"]?v?\d[\d.]*\d|{number}", re.IGNORECASE)
        problems += [
            f"{path}: {found.group()} pins what requirements/salt.txt pins. "
            "Cure: read it from there"
            for path, text in files.items()
            if not path.endswith(".md")
            for found in pattern.finditer(text)
        ]
    return problems
