"""Linters of others, on this repository, and each on a sample that it must refuse."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

TREE = Path(__file__).resolve().parents[2]


def run(*command, cwd=TREE):
    """Run a linter of this environment; return (exit code, what it says)."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name(command[0])), *command[1:]],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).strip()


def passes(cure, *command):
    code, said = run(*command)
    if code:
        pytest.fail(f"\n{said[-6000:]}\nCure: {cure}", pytrace=False)


def shell_files(files):
    """Shell scripts without Jinja: by their first line or their name."""
    return sorted(
        path
        for path, text in files.items()
        if (path.endswith(".sh") or text.split("\n", 1)[0].rstrip() in SHEBANGS)
        and "{%" not in text
    )


SHEBANGS = {"#!/bin/sh", "#!/bin/bash", "#!/usr/bin/env bash", "#!/bin/sh -e", "#!/bin/bash -e"}


def yaml_files(files):
    return sorted(
        path
        for path in files
        if path.endswith((".yaml", ".yml")) or path.startswith(("etc/master.d/", "etc/minion.d/"))
    )


def state_files(files):
    return sorted(
        path for path in files if path.endswith(".sls") and path.startswith(("salt/", "reactor/"))
    )


def test_ruff():
    passes("ruff check --fix . and mend by hand what it leaves", "ruff", "check", "--no-cache", ".")


def test_python_is_formatted():
    passes("ruff format .", "ruff", "format", "--no-cache", "--check", "--quiet", ".")


def test_yamllint(files):
    passes("mend the lines that it names", "yamllint", "--strict", *yaml_files(files))


def test_salt_lint(files):
    passes("mend the lines that it names", "salt-lint", "--nocolor", *state_files(files))


def test_shellcheck(files):
    found = shell_files(files)
    assert "fleet" in found
    passes("mend the lines that it names", "shellcheck", *found)


def test_yaml_without_jinja_is_yaml(files):
    for path in yaml_files(files):
        yaml.safe_load(files[path])


# -- each refuses what it must -------------------------------------------------

SAMPLES = {
    "ruff": ("x.py", "import os\n", ["ruff", "check", "--no-cache"], "F401"),
    "ruff format": ("x.py", "x = {  'a':1}\n", ["ruff", "format", "--no-cache", "--check"], "x.py"),
    "yamllint": ("x.yaml", "a: 1\na: 2\n", ["yamllint", "--strict"], "duplication"),
    "salt-lint": ("x.sls", "x:\n  a.b:\n    - mode: 644\n", ["salt-lint", "--nocolor"], "207"),
    "shellcheck": ("x.sh", "#!/bin/sh\nrm -rf $1/*\n", ["shellcheck"], "SC"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "text", "command", "message"), SAMPLES.values(), ids=SAMPLES)
def test_a_bad_sample_is_refused(tmp_path, name, text, command, message):
    (tmp_path / name).write_text(text)
    code, said = run(*command, name, cwd=tmp_path)
    assert code != 0
    assert message in said
