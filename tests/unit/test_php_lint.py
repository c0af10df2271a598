"""The program with which builds look whether their PHP and JSON files can be read."""

import os
import shutil
import subprocess

import pytest

from tests.unit.conftest import ROOT

PROGRAM = ROOT / "salt/builder/files/php-lint"
# Where there is no PHP: what it says of files, and its codes.
PHP = """#!/bin/sh
[ "$1" = -l ] || exit 2
shift
code=0
for file; do
    echo "$file" >> {folder}/seen
    if grep -q 'function {{' "$file"; then
        printf '\\nParse error: syntax error, unexpected token "{{" in %s on line 2\\n' "$file"
        echo "Errors parsing $file"
        code=255
    else
        echo "No syntax errors detected in $file"
    fi
done
exit $code
"""
GOOD, BAD = "<?php\nreturn 1;\n", "<?php\nfunction {\n"


@pytest.fixture
def lint(tmp_path, monkeypatch):
    """Run it over files; returns its code and its lines."""
    if not shutil.which("php"):
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin/php").write_text(PHP.format(folder=tmp_path))
        (tmp_path / "bin/php").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")

    def run(**files):
        tree = tmp_path / "tree"
        tree.mkdir()
        for name, text in files.items():
            path = tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        before = sorted(tree.rglob("*"))
        done = subprocess.run([str(PROGRAM)], cwd=tree, capture_output=True, text=True, check=False)
        # The tree is the release.
        assert sorted(tree.rglob("*")) == before and done.stderr == ""
        return done.returncode, done.stdout.splitlines()

    return run


def test_files_that_can_be_read_pass_without_a_word(lint):
    files = {"a.php": GOOD, "b/c d.php": GOOD, "e.json": '{"é": 1}', "b/f.json": "[]"}
    assert lint(**files) == (0, [])


def test_a_tree_without_such_files_passes(lint):
    assert lint(**{"README.md": BAD, "x.php.txt": BAD, "y.jsonl": "{"}) == (0, [])


def test_each_php_file_that_does_not_compile_is_named(lint):
    code, said = lint(**{"a.php": GOOD, "b/c d.php": BAD, "x.php": BAD, "e.json": "{}"})
    assert code == 1
    for name in ("./b/c d.php", "./x.php"):
        assert len([line for line in said if name in line]) == 1, name
    assert not [line for line in said if "a.php" in line or line.startswith(("No syntax", "xargs"))]


def test_each_json_file_that_cannot_be_read_is_named(lint):
    code, said = lint(**{"a.json": "{}", "b/c d.json": "{", "x.json": "", "a.php": GOOD})
    assert code == 1
    assert sorted(line.partition(": ")[0] for line in said) == ["./b/c d.json", "./x.json"]
    assert any("line 1 column 2" in line for line in said)


def test_both_are_told_at_once(lint):
    code, said = lint(**{"a.php": BAD, "a.json": "{"})
    assert code == 1
    assert [name for name in ("./a.php", "./a.json") if any(name in line for line in said)] == [
        "./a.php",
        "./a.json",
    ]


def test_of_many_files_the_last_is_looked_at_too(lint):
    files = {f"{number}.php": BAD for number in range(250)}
    code, said = lint(**files)
    assert code == 1
    assert {name for name in files if any(f"./{name} " in line for line in said)} == set(files)


def test_a_folder_and_a_link_with_such_a_name_are_no_files(lint, tmp_path):
    (tmp_path / "elsewhere.php").write_text(BAD)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/gone.php").symlink_to("nowhere")
    (tmp_path / "tree/lib.php").mkdir()
    (tmp_path / "tree/lib.json").mkdir()
    done = subprocess.run(
        [str(PROGRAM)], cwd=tmp_path / "tree", capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_files_of_the_tree_are_read_and_never_run(lint):
    """Python takes modules from where it is, unless it is told not to."""
    assert lint(**{"json.py": "raise SystemExit(7)", "a.json": "{}"}) == (0, [])


@pytest.mark.parametrize("seed", ["wiki", "blog"])
def test_the_first_versions_of_our_apps_pass(lint, seed):
    folder = ROOT / "salt/gitolite/seeds/webplatform" / seed
    files = {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.suffix in (".php", ".json")
    }
    assert {path.rpartition(".")[2] for path in files} == {"php", "json"}
    assert lint(**files) == (0, [])
