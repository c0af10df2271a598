"""What is made in docs/: tables from the registry, and a page of each drill."""

import re

from tools import drills
from tools.inventory import SITE_HOSTS, TREE, load_module

PAGE = TREE / "docs" / "architecture.md"


def roles_table(registry):
    """The roles: purpose, owner, and what each needs."""
    lines = [
        "| role | kind | purpose | owner | needs at least | at most |",
        "|---|---|---|---|---|---|",
    ]
    for name, role in registry["roles"].items():
        needs = ", ".join(f"{count} {wanted}" for wanted, count in role.get("needs", {}).items())
        lines.append(
            f"| {name} | {role['kind']} | {role['purpose']} | {role['owner']} | {needs or '-'} "
            f"| {role.get('most', '-')} |"
        )
    return lines


def ports_table(registry, services_of):
    """Every port: who listens, on what, and who may ask."""
    lines = ["| role | service | unit | port | where | from |", "|---|---|---|---|---|---|"]
    for name, table in [("every host", registry["every"]), *registry["roles"].items()]:
        for service in services_of({"every": table, "roles": {}}, []):
            for listen in service["listens"]:
                where = "127.0.0.1" if listen["address"] == "local" else listen["address"]
                lines.append(
                    f"| {name} | {service['name']} | {service['unit']} "
                    f"| {listen['port']}/{listen['protocol']} | {where} "
                    f"| {', '.join(listen['from']) or 'this host'} |"
                )
    return lines


def render(text):
    """The page's text with its tables made anew."""
    registry = SITE_HOSTS.load_names(TREE / "pillar")
    tables = {
        "roles": roles_table(registry),
        "ports": ports_table(registry, load_module("site_registry").services_of),
    }
    for name, lines in tables.items():
        begin, end = f"<!-- {name}: made by ./fleet docs -->", f"<!-- end of {name} -->"
        text = re.sub(
            rf"{re.escape(begin)}\n.*?{re.escape(end)}",
            lambda _, b=begin, e=end, made=lines: "\n".join([b, *made, e]),
            text,
            flags=re.S,
        )
    return text


def made():
    """``{path: text}`` of every page that is made, or has a part that is."""
    return {PAGE: render(PAGE.read_text(encoding="utf-8")), **drills.pages()}


def behind():
    """The pages that are not as they would be made, and those of drills that are no more."""
    wanted = made()
    return [
        path
        for path in sorted({*wanted, *drills.PAGES.glob("*.md")})
        if not path.exists() or path.read_text(encoding="utf-8") != wanted.get(path)
    ]


def write():
    """Make what is behind anew; return whether that changed anything."""
    wanted, old = made(), behind()
    for path in old:
        if path in wanted:
            path.parent.mkdir(exist_ok=True)
            path.write_text(wanted[path], encoding="utf-8")
        else:
            path.unlink()
    return bool(old)


if __name__ == "__main__":
    print("changed" if write() else "as they were")
