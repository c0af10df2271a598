"""The rules of style, on the repository and on samples that break them."""

import ipaddress

import pytest
import yaml

from tests.lint import rules
from tests.support.offline import none

# -- the repository ------------------------------------------------------------


RULES = [
    rules.wrong_states,
    rules.wrong_modes,
    rules.wrong_role_files,
    rules.mine_calls,
    rules.masked_pillar,
    rules.site_prefixes,
    rules.unmarked,
    rules.incomplete_components,
    rules.wrong_readmes,
]


def each(some):
    return pytest.mark.parametrize("rule", some, ids=lambda rule: rule.__name__)


@each([*RULES, rules.wrong_links])
def test_the_tree(tree, rule):
    none(rule(tree))


def test_no_address_of_a_host(tree, files):
    networks = [
        yaml.safe_load(path.read_text(encoding="utf-8")).get("network")
        for path in sorted((tree / "inventory").glob("*.yaml"))
    ]
    searched = {path: text for path, text in files.items() if not path.startswith("tests/")}
    none(rules.addresses(searched, networks))


def test_no_package_registry(files):
    none(rules.registries(files))


def test_no_secret_in_clear(files):
    # Golden files are the sandbox's, and so made from its fakes.
    fakes = ("pillar/secrets/", "tests/render/golden/")
    searched = {
        path: text
        for path, text in files.items()
        if not path.startswith(fakes) and path != "tests/lint/test_rules.py"
    }
    none(rules.leaked(searched))


def test_links_between_pages(tree, files):
    none(rules.broken_links(tree, [path for path in files if path.endswith(".md")]))


# -- samples -------------------------------------------------------------------

INIT = "salt/memo/init.sls"


def refused(problems, message):
    assert any(message in problem and "Cure: " in problem for problem in problems), problems


def edit(tree, path, old, new):
    file = tree / path
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


@each(RULES)
def test_a_good_tree_passes(small_tree, rule):
    none(rule(small_tree))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("memo-service:", "service:", "Cure: memo-<thing>"),
        ("memo-service:", "memo_service:", "Cure: memo-<thing>"),
        ("memo-service:", "redis-service:", "Cure: memo-<thing>"),
        ("memo-service:", '"/etc/memo":', "Cure: memo-<thing>"),
        ("    - name: memo\n", "", "service.running without a name"),
        ("pkgs: [memo]", "name: memo", "pkg.installed without pkgs"),
        ("service.running:", "module.run:", "module.run"),
        ("service.running:", "cmd.run:", "runs every time"),
    ],
)
def test_wrong_states_are_refused(small_tree, old, new, message):
    edit(small_tree, INIT, old, new)
    refused(rules.wrong_states(small_tree), message)


@pytest.mark.parametrize("condition", ["unless", "onlyif", "creates", "onchanges"])
def test_a_command_with_a_condition_passes(small_tree, condition):
    edit(small_tree, INIT, "service.running:\n", f"cmd.run:\n    - {condition}: x\n")
    none(rules.wrong_states(small_tree))


def test_an_id_twice_is_refused(small_tree):
    (small_tree / "salt/memo/more.sls").write_text(
        "memo-config:\n  file.absent:\n    - name: /etc/old\n"
    )
    refused(rules.wrong_states(small_tree), "stands in salt/memo/init.sls, too")


def test_two_branches_with_one_id_pass(small_tree):
    (small_tree / INIT).write_text(
        "{% if x %}\nmemo-a:\n  file.absent:\n    - name: /a\n{% else %}\n"
        "memo-a:\n  test.succeed_without_changes:\n    - comment: nothing to do\n{% endif %}\n"
    )
    none(rules.wrong_states(small_tree))


@pytest.mark.parametrize("mode", ["0644", "644", '"644"', "'0644'"])
def test_wrong_modes_are_refused(small_tree, mode):
    edit(small_tree, INIT, '"0640"', mode)
    refused(rules.wrong_modes(small_tree), f"mode {mode}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# Owner: platform\ninclude:\n  - memo\n", "# Role memo: <purpose>"),
        ("# Role memo: x y\ninclude:\n  - memo\n", "# Owner: platform"),
        ("# Role memo: x y\n# Owner: others\ninclude:\n  - memo\n", "# Owner: platform"),
        ("# Role memo: x y\n# Owner: platform\ninclude: [memo]\nx:\n  a.b: []\n", "include list"),
        ("# Role memo: x y\n# Owner: platform\ninclude:\n" + "  - memo\n" * 20, "23 lines"),
    ],
)
def test_wrong_role_files_are_refused(small_tree, text, message):
    (small_tree / "salt/role/memo.sls").write_text(text)
    refused(rules.wrong_role_files(small_tree), message)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (INIT, '{{ salt["mine.get"]("*", "x") }}\n'),
        ("salt/memo/templates/x.j2", '{{ salt["mine.get"]("*", "x") }}\n'),
        ("_modules/site_memo.py", 'x = __salt__["mine.get"]("*", "x")\n'),
        ("pillar/role/memo.sls", '{{ salt["mine.get"]("*", "x") }}\n'),
    ],
)
def test_the_mine_has_one_door(small_tree, path, text):
    (small_tree / path).write_text(text)
    refused(rules.mine_calls(small_tree), path)


@pytest.mark.parametrize("name", ["pillar.get", "pillar.items"])
def test_masked_pillar_is_refused(small_tree, name):
    (small_tree / "_modules/site_memo.py").write_text(f'def f():\n    __salt__["{name}"]("x")\n')
    refused(rules.masked_pillar(small_tree), f"site_memo.py:2: {name} is masked")


def test_a_module_without_the_prefix_is_refused(small_tree):
    (small_tree / "_modules/memo.py").write_text("")
    refused(rules.site_prefixes(small_tree), "rename it to site_memo.py")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("salt/memo/templates/memo.conf.j2", "listen 1\n"),
        ("salt/memo/templates/memo.conf.j2", "# Managed by Saltworks: redis. …\n"),
        ("salt/memo/templates/memo.conf.j2", "a\nb\nc\n# Managed by Saltworks: memo. …\n"),
        ("salt/memo/files/memo.sh", "#!/bin/sh\nexit 0\n"),
    ],
)
def test_an_unmarked_file_is_refused(small_tree, path, text):
    (small_tree / path).parent.mkdir(exist_ok=True)
    (small_tree / path).write_text(text)
    refused(rules.unmarked(small_tree), path)


@pytest.mark.parametrize(
    "text",
    [
        "#!/bin/sh\n# Managed by Saltworks: memo. …\n",
        "<?php\n// Managed by Saltworks: memo. …\n",
        "{%- set x = 1 %}\n# Managed by Saltworks: memo. …\n",
    ],
)
def test_a_marked_file_passes(small_tree, text):
    (small_tree / "salt/memo/templates/memo.conf.j2").write_text(text)
    none(rules.unmarked(small_tree))


def test_a_template_that_is_copied_says_it_in_a_comment_of_its_own(small_tree):
    path = small_tree / "salt/memo/files/page.html.j2"
    path.parent.mkdir(exist_ok=True)
    path.write_text("{#- Managed by Saltworks: memo. … -#}\n<p>\n")
    none(rules.unmarked(small_tree))
    path.write_text("<p>\n")
    refused(rules.unmarked(small_tree), "salt/memo/files/page.html.j2")


@pytest.mark.parametrize(
    "path",
    [INIT, "salt/memo/README.md", "salt/memo/defaults.yaml", "pillar/schema/memo.yaml"],
)
def test_an_incomplete_component_is_refused(small_tree, path):
    (small_tree / path).unlink()
    refused(rules.incomplete_components(small_tree), f"{path}: missing")


def test_manual_and_defaults_go_together(small_tree):
    edit(small_tree, "salt/memo/defaults.yaml", "port:", "speed: 1\nport:")
    refused(rules.wrong_readmes(small_tree), "nothing of the key `speed`")
    (small_tree / "salt/memo/README.md").write_text("All keys: defaults.yaml\n")
    none(rules.wrong_readmes(small_tree))
    (small_tree / "salt/memo/README.md").write_text("`port` `memo:speed` `memo:old`\n")
    refused(rules.wrong_readmes(small_tree), "`memo:old` is no key")


@pytest.mark.parametrize(
    "line",
    ["host 10.213.0.5", "10.0.0.0/24", "server=8.8.8.8:53", "10.213.0.0/24", "http://172.16.3.4/"],
)
def test_addresses_are_refused(line):
    refused(rules.addresses({"salt/x.sls": line}, ["10.213.0.0/24"]), "salt/x.sls:1")


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("salt/x.sls", "listen 127.0.0.1:80 0.0.0.0 255.255.255.0"),
        ("docs/x.md", "192.0.2.7, 198.51.100.1 and 203.0.113.9"),
        ("salt/x.sls", "10.0.0.0/8 and 192.168.0.0/16"),
        ("inventory/sandbox.yaml", "network: 10.213.0.0/24"),
        ("requirements/x.txt", "tool==0.11.0.1"),
        ("docs/x.md", "section 1.2.3.4.5 and 999.1.1.1"),
    ],
)
def test_what_is_no_host_of_ours_passes(path, line):
    none(rules.addresses({path: line}, ["10.213.0.0/24"]))
    assert ipaddress.ip_network("10.213.0.0/24")


@pytest.mark.parametrize("name", rules.REGISTRIES)
def test_registries_are_refused(name):
    refused(rules.registries({"x.sh": f"pip install --index-url https://{name}/simple"}), name)


SECRETS = {
    "key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n",
    "pgp": "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQVYBF",
    "base64": "token: q7Rk2LmZ9xVbT4cYwN8sHd3JfPg6KuAe1oQi5BzXnMt",
    "hexadecimal": "key = 9f3c17e08ab4d265c7f01e93b8a64d5210fe7c3a",
}


@pytest.mark.parametrize("text", SECRETS.values(), ids=SECRETS.keys())
def test_secrets_are_refused(text):
    refused(rules.leaked({"x.yaml": text}), "x.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "grep -q 'BEGIN PRIVATE KEY' file",
        "test_init_generates_what_is_missing_and_only_ciphertext_reaches_the_disk",
        "/usr/lib/python3/dist-packages/something/VeryLongName2/and3/more4/of/it/Here",
        "source_hash: sha256=9f3c17e08ab4d265c7f01e93b8a64d5210fe7c3a",
        "0" * 64,
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEVYQU1QTEUgS0VZIE9OTFksIE5PQk9EWSBIQVMgSVQh a@b",
    ],
)
def test_what_only_looks_long_passes(text):
    none(rules.leaked({"x.yaml": text}))


def test_broken_links_are_refused(tmp_path):
    (tmp_path / "a.md").write_text("[b](b.md) [c](https://example.org/x) [d](#d) [e](sub/e.md#x)")
    refused(rules.broken_links(tmp_path, ["a.md"]), "b.md leads nowhere")
    (tmp_path / "a.md").write_text('[b](b.md) [e](sub/e.md#x) `salt["x"](opts["id"])`')
    (tmp_path / "b.md").write_text("")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/e.md").write_text("")
    none(rules.broken_links(tmp_path, ["a.md"]))


def test_a_missing_link_is_refused(small_tree):
    refused(rules.wrong_links(small_tree), "ln -s ../_modules salt/_modules")
    (small_tree / "salt/_modules").symlink_to("../_modules")
    none(rules.wrong_links(small_tree))
