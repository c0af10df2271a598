"""
What each kind of host gets in the sandbox, held against what was last agreed to.

`golden/<roles>/states.txt` has the states in their order, `golden/<roles>/files/` every
file made from a template, addresses and secrets replaced by names. A file that is the
same on several kinds of host, and on no kind different, is kept once, in `golden/shared/`.
A change that is meant is agreed to by `pytest tests/render --update-golden` and a look at
`git diff`.
"""

import json
import re
import shutil
from pathlib import Path

from tests.support.offline import none
from tools import compiler

GOLDEN = Path(__file__).resolve().parent / "golden"
SHARED = "shared"
LEVEL = "sandbox"
REWRITE = "Cure: if it is meant, pytest tests/render --update-golden, and read `git diff`"


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


def compare(golden, found):
    """Problems of all kinds of host; both are ``{roles: {path: text}}``."""
    problems = []
    shared = golden.get(SHARED, {})
    for roles, texts in found.items():
        own = golden.get(roles, {})
        for path, text in texts.items():
            folder = roles if path in own else SHARED
            where = f"tests/render/golden/{folder}/{path}"
            if path not in own and path not in shared:
                problems.append(f"{roles}: {path} is new. {REWRITE}")
            elif golden[folder][path] != text:
                old, new = golden[folder][path].splitlines(), text.splitlines()
                gone = [f"  - {line}" for line in old if line not in new][:10]
                came = [f"  + {line}" for line in new if line not in old][:10]
                problems.append(
                    "\n".join([f"{where}: differs on {roles}. {REWRITE}", *gone, *came])
                )
    rendered = {SHARED: {path for texts in found.values() for path in texts}, **found}
    for folder, texts in golden.items():
        problems += [
            f"tests/render/golden/{folder}/{path}: no longer rendered. {REWRITE}"
            for path in texts
            if path not in rendered.get(folder, ())
        ]
    return problems


def folded(found):
    """What is found, with what several kinds have alike kept once, as the folder has it."""
    kinds_with = {}
    for texts in found.values():
        for path, text in texts.items():
            kinds_with.setdefault(path, []).append(text)
    shared = {
        path: texts[0]
        for path, texts in kinds_with.items()
        if len(texts) > 1 and len(set(texts)) == 1
    }
    own = {
        roles: {path: text for path, text in texts.items() if path not in shared}
        for roles, texts in found.items()
    }
    return {SHARED: shared, **own}


def read(folder):
    return {
        kind.name: {
            str(path.relative_to(kind)): path.read_text(encoding="utf-8")
            for path in sorted(kind.rglob("*"))
            if path.is_file()
        }
        for kind in sorted(folder.iterdir())
    }


def write(folder, golden):
    shutil.rmtree(folder, ignore_errors=True)
    for kind, texts in golden.items():
        for path, text in texts.items():
            (folder / kind / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / kind / path).write_text(text, encoding="utf-8")


def test_golden(compiled, tree, request):
    found = {}
    for roles, host_id in kinds(tree).items():
        none(compiled[LEVEL][host_id]["problems"])
        found[roles] = golden_of(compiled[LEVEL][host_id], tree)
    if request.config.getoption("--update-golden", default=False):
        write(GOLDEN, folded(found))
    none(compare(read(GOLDEN), found))


def test_golden_tells_what_differs(tmp_path):
    found = {
        kind: {"states.txt": f"{kind} file.managed\n", "files/etc/a": "1\n", "files/etc/b": kind}
        for kind in ("one", "two")
    }
    write(tmp_path, folded(found))
    golden = read(tmp_path)
    assert golden[SHARED] == {"files/etc/a": "1\n"}
    assert compare(golden, found) == []

    found["one"] = {"states.txt": "other file.managed\n", "files/etc/a": "2\n", "files/etc/c": ""}
    changed = compare(golden, found)
    assert [problem.partition(" Cure:")[0] for problem in changed] == [
        "tests/render/golden/one/states.txt: differs on one.",
        "tests/render/golden/shared/files/etc/a: differs on one.",
        "one: files/etc/c is new.",
        "tests/render/golden/one/files/etc/b: no longer rendered.",
    ]
    assert all("--update-golden" in problem for problem in changed)
    assert changed[0].endswith("  - one file.managed\n  + other file.managed")
    assert any("shared/files/etc/a: no longer" in problem for problem in compare(golden, {}))


def test_addresses_and_secrets_are_named_not_shown(tree):
    host, address = next(iter(compiler.addresses(tree, LEVEL).items()))
    assert (
        normalised(f"{address}:80 {address}0", tree) == f"<{host.partition('.')[0]}>:80 {address}0"
    )
    name, value = next(iter(compiler.secret_values(tree, LEVEL).items()))
    assert normalised(f"password={value}", tree) == f"password=<secret {name}>"
