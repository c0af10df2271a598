"""
What each kind of host gets in the sandbox, held against what was last agreed to.

`golden/<roles>/states.txt` has the states in their order, `golden/<roles>/files/` every
file made from a template, addresses and secrets replaced by names. A change that is
meant is agreed to by `pytest tests/render --update-golden` and a look at `git diff`.
"""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.support.offline import none
from tools import compiler

GOLDEN = Path(__file__).resolve().parent / "golden"
LEVEL = "sandbox"
REWRITE = "Cure: if it is meant, pytest tests/render --update-golden, and read `git diff`"
TREE = compiler.OFFLINE.parent.parent


def kinds(tree):
    """``{roles: id of the first such host}``."""
    found = {}
    for host in compiler.host_ids(tree, LEVEL):
        found.setdefault(re.sub(r"[0-9]*$", "", host.partition(".")[0]), host)
    return found


def normalised(text, tree):
    """Text with addresses as `<host>` and the sandbox's fakes as `<secret name>`."""
    known = sorted(compiler.addresses(tree, LEVEL).items(), key=lambda item: -len(item[1]))
    for host, address in known:
        text = re.sub(
            rf"(?<![\d.]){re.escape(address)}(?![\d])", f"<{host.partition('.')[0]}>", text
        )
    for name, value in compiler.secret_values(tree, LEVEL).items():
        # As it is, and as it stands inside JSON.
        for form in (value, json.dumps(value)[1:-1]):
            text = text.replace(form, f"<secret {name}>")
    return text


def golden_of(result, tree):
    """``{path under golden/<roles>: text}`` of one compiled host."""
    lines = []
    for state in result["states"]:
        mode = state["arguments"].get("mode") or state["arguments"].get("file_mode") or ""
        owner = state["arguments"].get("user", "")
        words = [state["id"], state["function"], state["name"].replace("\n", " ")[:60], mode, owner]
        lines.append(normalised(" ".join(word for word in map(str, words) if word), tree))
    texts = {"states.txt": "\n".join(lines) + "\n"}
    for path, file in result["files"].items():
        if file["template"] and file["text"] is not None:
            texts[f"files{path}"] = normalised(file["text"], tree)
    return texts


def compare(expected, found, roles):
    """Problems of one kind of host; both are ``{path: text}``."""
    problems = []
    for path in sorted(set(expected) | set(found)):
        where = f"tests/render/golden/{roles}/{path}"
        if path not in expected:
            problems.append(f"{where}: new. {REWRITE}")
        elif path not in found:
            problems.append(f"{where}: no longer rendered. {REWRITE}")
        elif expected[path] != found[path]:
            old, new = expected[path].splitlines(), found[path].splitlines()
            gone = [f"  - {line}" for line in old if line not in new][:10]
            came = [f"  + {line}" for line in new if line not in old][:10]
            problems.append("\n".join([f"{where}: differs. {REWRITE}", *gone, *came]))
    return problems


def read(folder):
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def write(folder, texts):
    shutil.rmtree(folder, ignore_errors=True)
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


@pytest.mark.parametrize(("roles", "host_id"), kinds(TREE).items(), ids=kinds(TREE).keys())
def test_golden(compiled, tree, request, roles, host_id):
    none(compiled[LEVEL][host_id]["problems"])
    found = golden_of(compiled[LEVEL][host_id], tree)
    if request.config.getoption("--update-golden", default=False):
        write(GOLDEN / roles, found)
    problems = compare(read(GOLDEN / roles), found, roles)
    none(problems)


def test_no_golden_of_a_host_that_is_gone(tree):
    gone = {path.name for path in GOLDEN.iterdir()} - set(kinds(tree))
    assert not gone, f"tests/render/golden/: no such hosts: {', '.join(gone)}. Cure: remove them"


def test_golden_tells_what_differs(tmp_path):
    old = {"states.txt": "a file.managed\n", "files/etc/a": "1\n"}
    write(tmp_path / "kind", old)
    assert compare(read(tmp_path / "kind"), old, "kind") == []
    changed = compare(old, {"states.txt": "b file.managed\n", "files/etc/b": "1\n"}, "kind")
    assert len(changed) == 3
    assert all("--update-golden" in problem for problem in changed)
    assert "  - a file.managed\n  + b file.managed" in changed[-1]


def test_addresses_and_secrets_are_named_not_shown(tree):
    host, address = next(iter(compiler.addresses(tree, LEVEL).items()))
    assert (
        normalised(f"{address}:80 {address}0", tree) == f"<{host.partition('.')[0]}>:80 {address}0"
    )
    name, value = next(iter(compiler.secret_values(tree, LEVEL).items()))
    assert normalised(f"password={value}", tree) == f"password=<secret {name}>"
