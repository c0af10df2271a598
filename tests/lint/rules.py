"""The rules of style that a program can check; each returns a list of problems."""

import ast
import ipaddress
import math
import re
from collections import Counter
from pathlib import Path

import yaml

# Include lists and orchestrations.
NOT_COMPONENTS = {"base", "role", "orch"}
ID = re.compile(r"^(?P<quote>[\"']?)(?P<id>[^\s#{\"'][^\"'#]*?)(?P=quote):\s*$")
FUNCTION = re.compile(r"^  ([a-z_0-9]+\.[a-z_0-9]+):")
KEBAB = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
DECLARATIONS = {"include", "extend", "exclude"}
JINJA = re.compile(r"\{[{%#].*?[}%#]\}", re.DOTALL)


def components(tree):
    """Folders under salt/ that are components, sorted."""
    return sorted(
        path
        for path in (Path(tree) / "salt").iterdir()
        if path.is_dir() and not path.name.startswith("_") and path.name not in NOT_COMPONENTS
    )


def state_files(tree):
    """The SLS files of the components."""
    return [sls for folder in components(tree) for sls in sorted(folder.rglob("*.sls"))]


def states(path):
    """
    ``[(line, id, function, text)]`` of one SLS file as it is written.

    Jinja in an id becomes ``x``; a state that stands in a loop is one state.
    """
    found, state_id, current = [], None, None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        plain = JINJA.sub("x", line)
        named = ID.match(plain)
        if named:
            state_id, current = named["id"], None
            continue
        function = FUNCTION.match(plain)
        if function and state_id and state_id not in DECLARATIONS:
            current = [number, state_id, function[1], ""]
            found.append(current)
        elif current and (plain.startswith("    ") or not plain.strip()):
            current[3] += plain + "\n"
    return [tuple(state) for state in found]


def wrong_states(tree):
    """Ids, names, packages, modes and commands of the components' states."""
    tree, problems, seen = Path(tree), [], {}
    for path in state_files(tree):
        component = path.relative_to(tree / "salt").parts[0]
        for line, state_id, function, text in states(path):
            where = f"{path.relative_to(tree)}:{line}: {state_id}"
            if not KEBAB.fullmatch(state_id) or not state_id.startswith(f"{component}-"):
                problems.append(f"{where}: no id of this component. Cure: {component}-<thing>")
            # Twice in one file are two branches of an `if`; else Salt refuses to render.
            first = seen.setdefault(state_id, path)
            if first != path:
                problems.append(
                    f"{where}: the id stands in {first.relative_to(tree)}, too. Cure: another id"
                )
            names = re.findall(r"^    - (names?|pkgs|sources):", text, flags=re.MULTILINE)
            if function.startswith("pkg.") and not {"pkgs", "sources"} & set(names):
                problems.append(f"{where}: {function} without pkgs. Cure: - pkgs: [...]")
            elif not names and not function.startswith("test."):
                problems.append(f"{where}: {function} without a name. Cure: - name: ...")
            if function == "module.run":
                problems.append(f"{where}: module.run. Cure: a state, or a custom state of ours")
            if function in ("cmd.run", "cmd.script", "cmd.wait") and not re.search(
                r"^    - (unless|onlyif|creates|onchanges(_any)?)\b", text, flags=re.MULTILINE
            ):
                problems.append(
                    f"{where}: {function} runs every time. Cure: unless, onlyif, creates or "
                    "onchanges"
                )
    return problems


MODE = re.compile(r"^\s+- (?:\w+_)?mode:[ \t]*(.*?)\s*(?:#.*)?$", re.MULTILINE)


def wrong_modes(tree):
    """Modes without quotes or without their leading zero."""
    tree = Path(tree)
    return [
        f'{path.relative_to(tree)}: mode {mode}. Cure: quoted with a leading zero, "0644"'
        for path in state_files(tree)
        for mode in MODE.findall(path.read_text(encoding="utf-8"))
        if not re.fullmatch(r'"0[0-7]{3,4}"|keep|"?\{\{.*\}\}"?', mode)
    ]


def wrong_role_files(tree):
    """Role files that are long, without their header, or more than an include list."""
    tree, problems = Path(tree), []
    registry = yaml.safe_load((tree / "pillar/registry.yaml").read_text(encoding="utf-8"))
    for path in sorted((tree / "salt/role").glob("*.sls")):
        where, text = path.relative_to(tree), path.read_text(encoding="utf-8")
        lines = text.splitlines()
        if len(lines) > 20:
            problems.append(f"{where}: {len(lines)} lines. Cure: 20 at most; a role is a list")
        if not re.match(rf"# Role {path.stem}: \S.+", text):
            problems.append(f"{where}: no header. Cure: # Role {path.stem}: <purpose>")
        owner = re.search(r"^# Owner: (\S+)$", text, flags=re.MULTILINE)
        wanted = registry["roles"].get(path.stem, {}).get("owner")
        if not owner or owner[1] != wanted:
            problems.append(f"{where}: the owner is not the registry's. Cure: # Owner: {wanted}")
        if set(re.findall(r"^([^\s#].*?):", text, flags=re.MULTILINE)) != {"include"}:
            problems.append(f"{where}: more than an include list. Cure: states go to a component")
    return problems


def code_files(tree):
    """What Salt renders or loads: SLS, templates, custom Python."""
    tree = Path(tree)
    return sorted(
        path
        for pattern in ("salt/**/*", "pillar/**/*.sls", "reactor/*.sls", "_*/*.py")
        for path in tree.glob(pattern)
        if path.is_file() and not any(part.is_symlink() for part in path.parents)
    )


def mine_calls(tree):
    """The mine, asked anywhere but in site_hosts.peers."""
    tree = Path(tree)
    return [
        f"{path.relative_to(tree)}: asks the mine. Cure: site_hosts.peers()"
        for path in code_files(tree)
        if path.name != "site_hosts.py"
        and re.search(r"\bmine\.(get|send|get_docker)\b", _text(path))
    ]


def masked_pillar(tree):
    """``__salt__["pillar.…"]`` in custom Python: its values are masked."""
    tree, problems = Path(tree), []
    for path in sorted(tree.glob("_*/*.py")):
        for node in ast.walk(ast.parse(_text(path))):
            if (
                isinstance(node, ast.Subscript)
                and isinstance(node.value, ast.Name)
                and node.value.id == "__salt__"
                and isinstance(node.slice, ast.Constant)
                and str(node.slice.value).startswith("pillar.")
            ):
                problems.append(
                    f"{path.relative_to(tree)}:{node.lineno}: {node.slice.value} is masked. "
                    "Cure: __pillar__, or an argument"
                )
    return problems


def site_prefixes(tree):
    """Custom Python whose name does not begin with ``site_``."""
    tree = Path(tree)
    return [
        f"{path.relative_to(tree)}: Cure: rename it to site_{path.name}"
        for path in sorted(tree.glob("_*/*.py"))
        if not path.name.startswith("site_")
    ]


# Formats that know no comment, and the one file of a program that refuses them.
UNCOMMENTABLE = {"redis/templates/users.acl.j2"}
WITHOUT_COMMENTS = {".json", ".pem", ".crt", ".key", ".png", ".gif", ".ico", ".jpg", ".woff2"}


def unmarked(tree):
    """Templates and files that do not begin by saying who manages them."""
    tree, problems = Path(tree), []
    for folder in components(tree):
        for path in sorted((folder / "templates").rglob("*")) + sorted(
            (folder / "files").rglob("*")
        ):
            name = Path(path.name.removesuffix(".j2"))
            inner = str(path.relative_to(tree / "salt"))
            if name.suffix in WITHOUT_COMMENTS or inner in UNCOMMENTABLE or not path.is_file():
                continue
            # After a shebang, <?php or a declaration, and after Jinja that leaves nothing.
            head = JINJA.sub("", _text(path)).lstrip().splitlines()[:3]
            if inner.startswith(f"{folder.name}/files/") and path.suffix == ".j2":
                # A template that is copied: who manages it is not for what is made of it.
                head = _text(path).splitlines()[:1]
            if not any(f"Managed by Saltworks: {folder.name}." in line for line in head):
                problems.append(
                    f"{path.relative_to(tree)}: does not say who manages it. Cure: begin it with "
                    f"the comment `Managed by Saltworks: {folder.name}. Local changes are "
                    "overwritten.`"
                )
    return problems


def incomplete_components(tree):
    """
    Components without a manual; those that read pillar, without a schema; and those
    that read a key of their own with defaults, without defaults.yaml.
    """
    tree, problems = Path(tree), []
    for folder in components(tree):
        states_ = "".join(_text(path) for path in sorted(folder.rglob("*.sls")))
        needed = [folder / "init.sls", folder / "README.md"]
        if f'pillar.get("{folder.name}"' in states_:
            needed.append(folder / "defaults.yaml")
        if re.search(r"\bpillar\b", states_):
            needed.append(tree / "pillar/schema" / f"{folder.name}.yaml")
        problems += [
            f"{path.relative_to(tree)}: missing. Cure: write it, see docs/writing-a-component.md"
            for path in needed
            if not path.is_file()
        ]
    return problems


def wrong_readmes(tree):
    """
    Manuals that neither explain a key of defaults.yaml nor send the reader there, and
    manuals that name a key that is not there.
    """
    tree, problems = Path(tree), []
    for folder in components(tree):
        readme, defaults = folder / "README.md", folder / "defaults.yaml"
        if not readme.is_file() or not defaults.is_file():
            continue  # incomplete_components speaks of it
        keys = set(yaml.safe_load(_text(defaults)) or {})
        quoted = re.findall(r"`([^`\n]+)`", _text(readme))
        where = readme.relative_to(tree)
        named = {
            word.removeprefix(f"{folder.name}:").split(":")[0].split(".")[0] for word in quoted
        }
        if "defaults.yaml" not in _text(readme):
            problems += [
                f"{where}: nothing of the key `{key}`. Cure: explain it in backticks, or send the "
                "reader to defaults.yaml"
                for key in sorted(keys - named)
            ]
        claimed = {
            word.split(":")[1]
            for word in quoted
            if re.fullmatch(rf"{re.escape(folder.name)}(:[\w<>.*-]+)+", word)
        }
        problems += [
            f"{where}: `{folder.name}:{key}` is no key of defaults.yaml. Cure: remove or add it"
            for key in sorted(claimed - keys - {"secrets"})
        ]
    return problems


ADDRESS = re.compile(r"(?<![\d.])(\d{1,3}(?:\.\d{1,3}){3})(/\d{1,2})?(?![\d.]*\d)")
ALLOWED_NETWORKS = [
    ipaddress.ip_network(text)
    for text in ("0.0.0.0/32", "127.0.0.0/8", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24",
                 "255.0.0.0/8", "224.0.0.0/4")
]  # fmt: skip
PRIVATE_NETWORKS = {
    "10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"
}  # fmt: skip


def addresses(files, networks):
    """
    Addresses of hosts that stand in git.

    files
        ``{path: text}``. Tests are left out by the caller: their hosts are invented.

    networks
        The inventories' networks: their own text is allowed in inventory/ and docs/.
    """
    problems = []
    for path, text in files.items():
        for number, line in enumerate(text.splitlines(), start=1):
            for found in ADDRESS.finditer(line):
                if line[: found.start()].endswith(("==", "v", "-")):
                    continue  # a version
                try:
                    address = ipaddress.ip_address(found[1])
                except ValueError:
                    continue
                if any(address in network for network in ALLOWED_NETWORKS):
                    continue
                if found[0] in PRIVATE_NETWORKS:
                    continue
                if found[0] in networks and path.startswith(("inventory/", "docs/")):
                    continue
                problems.append(
                    f"{path}:{number}: the address {found[0]}. Cure: site_hosts.peers(); in prose "
                    "an address of 192.0.2.0/24"
                )
    return problems


# Written in two parts, so that this file does not hold what it looks for.
REGISTRIES = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"),
        ("maven", "org"), ("packagist", "org"), ("rubygems", "org"), ("crates", "io"),
        ("docker", "io"), ("ghcr", "io"), ("quay", "io"), ("proxy.golang", "org"),
    )
]  # fmt: skip


def registries(files):
    """Host names of package registries: where packages come from is the machine's business."""
    return [
        f"{path}:{number}: names the registry {name}. Cure: leave it to pip's or apt's own "
        "configuration"
        for path, text in files.items()
        for number, line in enumerate(text.splitlines(), start=1)
        for name in REGISTRIES
        if name in line
    ]


BLOCK = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY( BLOCK)?-----\s*\n\s*[A-Za-z0-9+/=:-]")
BASE64 = re.compile(r"(?<![A-Za-z0-9+/_.-])[A-Za-z0-9+/]{32,}={0,2}(?![A-Za-z0-9+/_-])")
HEXADECIMAL = re.compile(r"(?<![0-9A-Za-z])[0-9a-f]{32,}(?![0-9A-Za-z])")
PUBLIC_KEY = re.compile(r"\b(ssh-|ecdsa-|sk-)\S+ AAAA\S+")
CHECKSUM = re.compile(r"sha(256|512)|source_hash|checksum|digest", re.IGNORECASE)


def entropy(text):
    """Bits for each character."""
    count = Counter(text)
    return -sum(n / len(text) * math.log2(n / len(text)) for n in count.values())


def leaked(files):
    """
    Private keys and texts that look like a secret.

    files
        ``{path: text}`` without pillar/secrets/: there they are fakes or encrypted.
    """
    problems = []
    cure = "Cure: take it as known to all, make a new one, and put it under pillar/secrets/"
    for path, text in files.items():
        if BLOCK.search(text):
            problems.append(f"{path}: a private key. {cure}")
        for number, line in enumerate(text.splitlines(), start=1):
            if CHECKSUM.search(line):
                continue
            line = PUBLIC_KEY.sub("", line)  # noqa: PLW2901 - the rest of the line
            for word in BASE64.findall(line):
                mixed = all(re.search(kind, word) for kind in ("[a-z]", "[A-Z]", r"\d.*\d.*\d"))
                if mixed and entropy(word) > 4.2:
                    problems.append(f"{path}:{number}: looks like a secret. {cure}")
            for word in HEXADECIMAL.findall(line):
                if entropy(word) > 3.2:
                    problems.append(f"{path}:{number}: looks like a secret. {cure}")
    return problems


CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)")


def broken_links(tree, pages):
    """Links between pages of this repository that lead nowhere."""
    tree = Path(tree)
    return [
        f"{page}: the link to {target} leads nowhere. Cure: correct it"
        for page in pages
        for target in LINK.findall(CODE.sub("", _text(tree / page)))
        if not (tree / page).parent.joinpath(target).exists()
    ]


def wrong_links(tree):
    """Folders of custom Python that the fileserver would not show, or by a wrong link."""
    tree, problems = Path(tree), []
    for folder in sorted(tree.glob("_*")):
        link = tree / "salt" / folder.name
        linked = link.is_symlink() and str(link.readlink()) == f"../{folder.name}"
        if folder.is_dir() and any(folder.glob("*.py")) and not linked:
            problems.append(
                f"salt/{folder.name}: no link. Cure: ln -s ../{folder.name} salt/{folder.name}"
            )
    return problems


def _text(path):
    return path.read_text(encoding="utf-8", errors="replace")
