"""The tables in docs/ that are made from the registry."""

import re

from tools.inventory import SITE_HOSTS, TREE, load_module

PAGE = TREE / "docs" / "architecture.md"


def roles_table(registry):
    """The roles: purpose, owner, and what each needs."""
    lines = ["| role | kind | purpose | owner | needs at least |", "|---|---|---|---|---|"]
    for name, role in registry["roles"].items():
        needs = ", ".join(f"{count} {wanted}" for wanted, count in role.get("needs", {}).items())
        lines.append(
            f"| {name} | {role['kind']} | {role['purpose']} | {role['owner']} | {needs or '-'} |"
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


def write():
    """Rewrite the tables; return whether that changed the page."""
    old = PAGE.read_text(encoding="utf-8")
    new = render(old)
    if new != old:
        PAGE.write_text(new, encoding="utf-8")
    return new != old


if __name__ == "__main__":
    print("changed" if write() else "as they were")
