"""
Makes a release of the tree in the current folder, and says whether a master may serve it:

    LEVEL=sandbox python -m tools.release

The builder runs it for each push to this repository (pillar/apps.yaml). The tree is laid
out in `release/`, links turned into files, and what came out is checked as the offline
steps of the ladder do it: the rules of the data, then every host of the level compiled by
Salt's own compiler. No host, master or private key is needed, and none is there.
"""

import os
import sys
from pathlib import Path

from tools import compiler, tree
from tools.errors import FleetError

FOLDER = "release"
# Debian's python3-jsonschema, for a Salt that has an environment of its own.
PACKAGES = "/usr/lib/python3/dist-packages"
# A compiler takes a processor, and up to 200 MiB.
JOBS = 4
LONGEST = 1000


def data_problems(root):
    """
    What is wrong with the tables of a tree, before any host is compiled.

    root
        The tree.

    Returns a list of text, each with the file and a cure.
    """
    from tests.data import rules

    inventories = rules.inventories(root)
    levels = sorted(path.stem for path in (root / "pillar/level").glob("*.sls"))
    names = ("registry", "sites", "static-sites", "apps")
    registry, sites, static, apps = (rules.load(root / f"pillar/{name}.yaml") for name in names)
    upstreams = (root / "pillar/upstreams.yaml").read_text(encoding="utf-8")
    texts = {
        path.stem: path.read_text(encoding="utf-8") for path in (root / "inventory").glob("*.yaml")
    }
    return [
        *rules.wrong_inventories(inventories, registry, levels),
        *rules.doubled_hosts(texts),
        *rules.wrong_numbers(inventories, registry, levels),
        *rules.wrong_roles(registry, root),
        *rules.shared_ports(registry),
        *rules.wrong_sites(static, apps, sites, root),
        *rules.wrong_upstreams(upstreams, static, root),
        *rules.wrong_secrets(root),
        *rules.open_schemas(rules.schemas(root)),
    ]


def host_problems(root, level):
    """
    What is wrong with the hosts of a level.

    root
        The tree.

    level
        Its name.

    Returns ``{host id: [text]}``, in the order of the inventory. Raises CompileError
    where the level has no inventory.
    """
    from tests.data import rules
    from tests.render import rules as file_rules

    schemas, values = rules.schemas(root), compiler.secret_values(root, level)
    apps = rules.load(root / "pillar/apps.yaml")
    ids = compiler.host_ids(root, level)
    results = compiler.compile_hosts(root, ids, jobs=min(os.cpu_count() or 1, JOBS))
    found = {}
    for host, result in results.items():
        problems = list(result["problems"])
        if not problems and not result["states"]:
            problems.append("it gets no state. Cure: see salt/role/")
        if not problems:
            merged = rules.with_defaults(root, result)
            problems += rules.invalid(result["pillar"], host, schemas)
            problems += rules.invalid(merged, host, schemas, complete=True)
            problems += rules.misplaced_secrets(result, values)
            problems += rules.unforgotten(result, merged, apps)
            for rule in (file_rules.masked, file_rules.encrypted, file_rules.unmarked):
                problems += rule(result)
            problems += file_rules.open_secrets(result, values)
        found[host] = problems
    return found


def summary(found):
    """
    The first of all problems, and how many more there are.

    found
        ``{what: [text]}``.

    Returns text; empty where there is no problem.
    """
    wrong = {what: problems for what, problems in found.items() if problems}
    if not wrong:
        return ""
    what, problems = next(iter(wrong.items()))
    count = sum(map(len, wrong.values())) - 1
    where = f", of {len(wrong)} hosts" if len(wrong) > 1 else ""
    more = f"\nand {count} more{where}" if count else ""
    return f"{what}: {problems[0][:LONGEST]}{more}"


def main():
    """Lay out, check, and say the outcome; returns the exit code."""
    sys.path.append(PACKAGES)
    root, level = Path.cwd(), os.environ["LEVEL"]
    target = root / FOLDER
    try:
        tree.lay_out(root, target)
        # The hosts of a tree whose tables are wrong are not worth compiling.
        said = summary({"data": data_problems(target)})
        hosts = {} if said else host_problems(target, level)
        said = said or summary(hosts)
    except Exception as error:
        # Whatever it is, it is no tree that a master may serve.
        known = isinstance(error, (FleetError, compiler.CompileError))
        said = str(error) if known else f"the tree cannot be read: {type(error).__name__}: {error}"
    if said:
        print(said)
        return 1
    print(f"{level}: {len(hosts)} hosts compile")
    return 0


if __name__ == "__main__":
    sys.exit(main())
