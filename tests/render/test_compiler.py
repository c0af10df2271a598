"""The compiler itself: a tree that is well passes, each broken one is refused with its cure."""

import os
import subprocess
import sys

import pytest

from tools import compiler

HOST = "memo1.sandbox.wpd.internal"


def compile_one(tree, host=HOST):
    return compiler.compile_hosts(tree, [host], jobs=1)[host]


def edit(tree, path, old, new):
    file = tree / path
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_a_tree_that_is_well(small_tree):
    result = compile_one(small_tree)
    assert result["problems"] == []
    assert [state["id"] for state in result["states"]] == [
        "memo-packages",
        "memo-config",
        "memo-service",
    ]
    assert result["states"][1]["function"] == "file.managed"
    written = result["files"]["/etc/memo.conf"]
    assert written["text"] == (
        "# Managed by Saltworks: memo. Local changes are overwritten.\n"
        "listen 10.0.0.11:11211\n"
        "password sandbox-only-memo-fake\n"
        "peer memo1 10.0.0.11\npeer memo2 10.0.0.12\n"
    )
    assert (written["mode"], written["user"], written["group"]) == ("0640", "root", "root")


def test_an_encrypted_level_gets_stand_ins(small_tree):
    host = "memo1.staging.wpd.internal"
    result = compile_one(small_tree, host)
    assert result["problems"] == []
    expected = compiler.stand_in("staging", "memo-password")
    assert f"password {expected}\n" in result["files"]["/etc/memo.conf"]["text"]
    assert compiler.secret_values(small_tree, "staging") == {"memo-password": expected}


def test_the_same_tree_gives_the_same_result_twice(small_tree):
    assert compile_one(small_tree) == compile_one(small_tree)


def test_nothing_is_left_behind(small_tree, tmp_path):
    """Salt keeps a temporary file for each template: 4000 for a run of these tests."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    words = "import sys; from tools.compiler import compile_host; compile_host(*sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-P", "-c", words, str(small_tree), HOST],
        env=dict(os.environ, TMPDIR=str(folder)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == []


def test_certificates_stand_in_pillar(small_tree):
    assert sorted(compile_one(small_tree)["pillar"]["tls"]) == ["ca.crt", "host.crt", "host.key"]


INIT = "salt/memo/init.sls"
TEMPLATE = "salt/memo/templates/memo.conf.j2"
ROLE_PILLAR = "pillar/role/memo.sls"

BROKEN = {
    "unknown state function": (INIT, "service.running", "service.rune", INIT, "no state function"),
    "unknown state module": (INIT, "pkg.installed", "pkgs.installed", INIT, "no state function"),
    "missing source": (INIT, "memo.conf.j2", "mem.conf.j2", INIT, "add salt/memo/templates/mem"),
    "missing requisite": (INIT, "pkg: memo-packages", "pkg: memo-gone", "memo-gone", "exists"),
    "Jinja that is wrong": (INIT, "| json }}", "| jsom }}", INIT, "mend the Jinja"),
    "Jinja that is undefined": (INIT, "pillar.get", "piller.get", INIT, "mend the Jinja"),
    "YAML that is wrong": (INIT, "    - pkgs: [memo]", "    - pkgs: [memo", INIT, "mend"),
    "misspelt argument of a state with **kwargs": (
        INIT, "- mode:", "- moode:", INIT, "does not know the argument 'moode'",
    ),
    "misspelt argument of service.running": (
        INIT, "- enable:", "- enabled:", INIT, "does not know the argument 'enabled'",
    ),
    "same id twice": (INIT, "memo-service:", "memo-config:", INIT, "another id"),
    "missing include": (
        "salt/role/memo.sls", "- memo", "- memos", "memos", "add that file",
    ),
    "template names what it has not": (
        TEMPLATE, "memo.port", "memo.prt", TEMPLATE, "mend the template",
    ),
    "template that does not parse": (TEMPLATE, "endfor", "endfr", TEMPLATE, "mend the template"),
    "command from Jinja": (
        INIT, 'salt["site_hosts.address"]()', 'salt["cmd.run"]("hostname")', INIT, "from Jinja",
    ),
    "mine from Jinja": (
        INIT, 'salt["site_hosts.address"]()', 'salt["mine.get"]("*", "other")', INIT, "site_hosts",
    ),
    "too few peers": (
        "pillar/registry.yaml", "needs: {memo: 1}", "needs: {memo: 3}", INIT, "at least 3 needed",
    ),
    "pillar that does not parse": (
        ROLE_PILLAR, "memo:\n", "memo: [\n", ROLE_PILLAR, "mend the pillar",
    ),
    "a secret that does not exist": (
        ROLE_PILLAR, '"memo-password"', '"memo-pasword"', ROLE_PILLAR, "mend the pillar",
    ),
    "a role without a state file": ("salt/top.sls", "role.{{", "ro.{{", "ro/memo", "add that file"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_broken_is_refused_with_file_and_cure(small_tree, case):
    path, old, new, file, cure = case
    edit(small_tree, path, old, new)
    problems = compile_one(small_tree)["problems"]
    assert problems, "nothing was found"
    assert any(file in problem and cure in problem for problem in problems), "\n".join(problems)
    assert all("Cure: " in problem for problem in problems), "\n".join(problems)


@pytest.mark.parametrize(
    ("host_id", "message"),
    [
        ("memmo1.sandbox.wpd.internal", "known roles: memo"),
        ("memo1.sandbox.example.org", "the domain is 'example.org'"),
        ("memo1.qa.wpd.internal", "known levels: sandbox, staging"),
        ("memo1", "known levels: sandbox, staging"),
    ],
)
def test_wrong_ids_get_nothing(small_tree, host_id, message):
    result = compile_one(small_tree, host_id)
    assert any(message in problem for problem in result["problems"]), "\n".join(result["problems"])
    assert result["states"] == []
    # The stand-in for a certificate is there for any id; a master has none for this one.
    assert not set(result["pillar"]) - {"_errors", "tls"}


def test_a_missing_argument_is_found(small_tree):
    (small_tree / INIT).write_text("memo-x:\n  user.present:\n    - fullname: x\n")
    (small_tree / "salt/memo/more.sls").write_text("")
    (small_tree / INIT).write_text("memo-x:\n  file.symlink:\n    - name: /etc/x\n")
    problems = compile_one(small_tree)["problems"]
    assert any("needs the argument 'target'" in problem for problem in problems), "\n".join(
        problems
    )


def test_a_folder_is_rendered_file_by_file(small_tree):
    (small_tree / "salt/memo/files/deep").mkdir(parents=True)
    (small_tree / "salt/memo/files/deep/a").write_text("a\n")
    (small_tree / "salt/memo/files/b").write_bytes(b"\xff\xfe\x00")
    (small_tree / INIT).write_text(
        "memo-folder:\n  file.recurse:\n    - name: /srv/memo\n    - source: salt://memo/files\n"
        '    - file_mode: "0644"\n'
    )
    result = compile_one(small_tree)
    assert result["problems"] == []
    assert result["files"]["/srv/memo/deep/a"]["text"] == "a\n"
    assert result["files"]["/srv/memo/b"]["text"] is None


def test_contents_are_written_as_salt_does(small_tree):
    (small_tree / INIT).write_text(
        "memo-lines:\n  file.managed:\n    - name: /etc/lines\n    - contents: [a, b]\n"
        "memo-pillar:\n  file.managed:\n    - name: /etc/pillar\n"
        "    - contents_pillar: memo:secrets:password\n"
        "memo-lost:\n  file.managed:\n    - name: /etc/lost\n    - contents_pillar: memo:nothing\n"
    )
    result = compile_one(small_tree)
    assert result["files"]["/etc/lines"]["text"] == "a\nb\n"
    assert result["files"]["/etc/pillar"]["text"] == "sandbox-only-memo-fake\n"
    assert any("no memo:nothing in the pillar" in problem for problem in result["problems"])
