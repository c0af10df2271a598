"""The drills of tests/drills: which there are, running them, and the runbook page of each."""

import ast
import contextlib
import json
import os
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tools import ladder
from tools.errors import FleetError
from tools.inventory import TREE

FOLDER = TREE / "tests" / "drills"
PAGES = TREE / "docs" / "runbooks" / "drills"
# The folder in which a run leaves what each drill came to.
RECORDS = "FLEET_DRILLS"
KEYS = ("name", "passed", "detect_s", "recover_s", "requests_failed", "lost")
# What a drill's docstring says after its first line and its story.
PARTS = {
    "Noticed": "How it is noticed",
    "Heals": "What heals it",
    "Do": "What a person does",
}


@dataclass(frozen=True)
class Drill:
    """A test that takes the fixture ``drill``."""

    name: str
    path: str
    function: str
    quick: bool
    text: str

    @property
    def title(self):
        """The first line of its docstring, without the full stop."""
        return self.text.partition("\n")[0].removesuffix(".")

    def parts(self):
        """
        ``(story, {part: text})`` of its docstring, each of one or more paragraphs.

        Raises FleetError where one is missing.
        """
        story, parts = [], {}
        into = story
        for paragraph in self.text.split("\n\n")[1:]:
            word = re.match(rf"({'|'.join(PARTS)}): ", paragraph)
            if word:
                into = parts[word[1]] = []
            # In Markdown as in the other pages: a paragraph is a line.
            text = " ".join(paragraph[word.end() if word else 0 :].split())
            into.append(text[:1].upper() + text[1:])
        missing = [part for part in PARTS if part not in parts] + ([] if story else ["a story"])
        if missing:
            raise FleetError(
                f"{self.path}: {self.function}: its docstring lacks {', '.join(missing)}",
                "a title, a story, and paragraphs that begin with "
                + ", ".join(f"`{part}: `" for part in PARTS),
            )
        return "\n\n".join(story), {part: "\n\n".join(parts[part]) for part in PARTS}


def name_of(test):
    """The name of a drill by its test: ``db-writer-dies`` of ``test_db_writer_dies``."""
    function, bracket, variant = test.partition("[")
    return function.removeprefix("test_").replace("_", "-") + bracket + variant


def known(folder=FOLDER):
    """Every drill, by name."""
    found = []
    for path in sorted(folder.glob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
                continue
            if "drill" not in [argument.arg for argument in node.args.args]:
                continue
            marks = [ast.unparse(mark) for mark in node.decorator_list]
            found.append(
                Drill(
                    name_of(node.name),
                    f"tests/drills/{path.name}",
                    node.name,
                    "pytest.mark.long" not in marks,
                    ast.get_docstring(node) or "",
                )
            )
    return sorted(found, key=lambda drill: drill.name)


def find(wanted):
    """The drill of that name, a variant of it included; raises FleetError for others."""
    drills = known()
    for drill in drills:
        if wanted.partition("[")[0] == drill.name:
            return drill
    raise FleetError(f"no drill '{wanted}'", f"drills: {', '.join(drill.name for drill in drills)}")


def run(level, wanted=""):
    """
    Run a drill, or everything in tests/drills, as ``./fleet test drills`` does.

    wanted
        A drill's name, ``name[variant]`` for one of its variants, or nothing for all.

    Returns ``(records, whether every test passed)``; a record's ``passed`` is None
    where the level cannot have the drill.
    """
    paths = ["tests/drills"]
    if wanted:
        drill = find(wanted)
        paths = [f"{drill.path}::{drill.function}{wanted.removeprefix(drill.name)}"]
    with tempfile.TemporaryDirectory() as folder:
        os.environ[RECORDS] = folder
        code = ladder.run_tests(level, ["drills"], ["-m", ""], paths)
        found = [
            json.loads(path.read_text("utf-8")) for path in sorted(Path(folder).glob("*.json"))
        ]
    return [{key: record.get(key) for key in KEYS} for record in found], code == 0


@contextlib.contextmanager
def told_on_stderr():
    """What is written to standard output meanwhile, by any program, goes to standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def page(drill):
    """The runbook page of a drill's fault."""
    story, parts = drill.parts()
    lines = [
        f"<!-- Made by ./fleet docs of {drill.path}. -->",
        f"# {drill.title}",
        story,
        *[f"## {title}\n\n{parts[part]}" for part, title in PARTS.items()],
        "## Rehearse it",
        f"    ./fleet drill {drill.name}",
        "It breaks hosts of the sandbox, tells what it does with the seconds, and puts all "
        f"right again. The test is `{drill.function}` of "
        f"[{drill.path}](../../../{drill.path})"
        + ("." if drill.quick else "; CI leaves it out, as it takes long."),
    ]
    return "\n\n".join(lines) + "\n"


def index(drills):
    """The page that lists the others."""
    rows = [
        f"| [{drill.name}]({drill.name}.md) | {drill.title} | {'yes' if drill.quick else '-'} |"
        for drill in drills
    ]
    return "\n".join(
        [
            "<!-- Made by ./fleet docs. -->",
            "",
            "# Drills",
            "",
            "Faults that were rehearsed before they happened: what people notice, what heals by "
            "itself, what there is to do. `./fleet drill NAME` rehearses one on the sandbox, "
            "`./fleet drill --all` all of them.",
            "",
            "| drill | fault | in CI |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def pages():
    """``{path: text}`` of every page that is made of drills."""
    drills = known()
    made = {PAGES / f"{drill.name}.md": page(drill) for drill in drills}
    return made | {PAGES / "README.md": index(drills)}
