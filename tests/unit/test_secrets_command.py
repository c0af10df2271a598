"""The library and the command `./fleet secret`, with real GnuPG keys."""

import re
import subprocess

import pytest
import yaml
from typer.testing import CliRunner

from tools import secrets

runner = CliRunner()


@pytest.fixture(scope="module")
def keyring(tmp_path_factory):
    """Two key pairs in a keyring of their own: ``{name: path of the public key}``."""
    home = tmp_path_factory.mktemp("gnupg")
    home.chmod(0o700)
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet"]
    public = {}
    for name in ("operator", "master"):
        subprocess.run(
            [
                *gpg,
                "--passphrase",
                "",
                "--quick-generate-key",
                name,
                "future-default",
                "default",
                "0",
            ],
            check=True,
            capture_output=True,
        )
        public[name] = home / f"{name}.pub"
        public[name].write_bytes(
            subprocess.run([*gpg, "--armor", "--export", name], check=True, capture_output=True)
            .stdout
        )  # fmt: skip
    public["private"] = home / "private"
    public["private"].write_bytes(
        subprocess.run(
            [*gpg, "--armor", "--export-secret-keys", "operator"], check=True, capture_output=True
        ).stdout
    )
    yield home, public
    subprocess.run(
        ["gpgconf", "--homedir", str(home), "--kill", "gpg-agent"], check=False, capture_output=True
    )


@pytest.fixture
def operator(keyring, monkeypatch):
    """Be the operator: her keyring is the one that gpg finds."""
    home, public = keyring
    monkeypatch.setenv("GNUPGHOME", str(home))
    return public


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """Be somebody without any private key."""
    home = tmp_path / "stranger"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("GNUPGHOME", str(home))


@pytest.fixture
def tree(tmp_path, monkeypatch):
    root = tmp_path / "tree"
    (root / "pillar/level").mkdir(parents=True)
    for level in ("sandbox", "staging", "production"):
        (root / f"pillar/level/{level}.sls").write_text("site: {}\n")
    (root / "inventory").mkdir()
    (root / "inventory/sandbox.yaml").write_text("level: sandbox\nnetwork: 10.1.0.0/24\n")
    (root / "inventory/staging.yaml").write_text("level: staging\n")
    sandbox = root / "pillar/secrets/sandbox"
    sandbox.mkdir(parents=True)
    (sandbox / "secrets.yaml").write_text(
        "# Fakes in clear.\nzebra-key: z\n# of the cluster\ndb-root: fake\n"
    )
    monkeypatch.setattr(secrets, "TREE", root)
    return root


def table(tree, level):
    return yaml.safe_load((tree / f"pillar/secrets/{level}/secrets.yaml").read_text())


def test_sandbox_takes_clear_text_and_keeps_comments(tree):
    secrets.Store(tree, "sandbox").set("app-key", "two\nlines\n")
    text = (tree / "pillar/secrets/sandbox/secrets.yaml").read_text()
    assert table(tree, "sandbox") == {
        "app-key": "two\nlines\n",
        "db-root": "fake",
        "zebra-key": "z",
    }
    assert text.startswith("# Fakes in clear.\napp-key: |\n")
    assert "# of the cluster\ndb-root: fake\n" in text
    assert text.index("app-key") < text.index("db-root") < text.index("zebra-key")


@pytest.mark.parametrize("value", ["yes", "0123", "a: b", "#x", "a'b\"c", "ünï", " sp ", "x\n\ny"])
def test_any_text_survives_the_file(tree, value):
    store = secrets.Store(tree, "sandbox")
    store.set("odd", value)
    store.set("other", "later")
    assert store.show("odd") == value


def test_init_generates_what_is_missing_and_only_ciphertext_reaches_the_disk(tree, operator):
    store = secrets.Store(tree, "staging")
    made = store.init([operator["operator"], operator["master"]])
    assert made == ["db-root", "zebra-key"]
    assert len(store.recipients()) == 2
    for value in table(tree, "staging").values():
        assert value.startswith(secrets.PGP_BLOCK)
    plain = store.show("db-root")
    assert len(plain) == 64
    assert int(plain, 16)
    for path in tree.rglob("*"):
        assert not path.is_file() or plain not in path.read_text()
    assert store.init() == []


def test_init_again_makes_only_the_new_name(tree, operator):
    store = secrets.Store(tree, "staging")
    store.init([operator["operator"]])
    before = table(tree, "staging")
    secrets.Store(tree, "sandbox").set("new-name", "fake")
    assert store.missing() == ["new-name"]
    assert store.init() == ["new-name"]
    after = table(tree, "staging")
    assert {name: after[name] for name in before} == before


def test_init_with_real_keys_replaces_the_examples(tree, operator):
    store = secrets.Store(tree, "production")
    folder = tree / "pillar/secrets/production/recipients"
    folder.mkdir(parents=True)
    (folder / "example-operator.asc").write_bytes(operator["master"].read_bytes())
    store.init()
    old = table(tree, "production")
    assert store.examples()
    assert store.init([operator["operator"]]) == ["db-root", "zebra-key"]
    assert not store.examples()
    assert all(table(tree, "production")[name] != old[name] for name in old)


def test_rekey_lets_a_new_recipient_read(tree, operator):
    store = secrets.Store(tree, "staging")
    store.init([operator["operator"]])
    store.set("db-root", "known value")
    store.init([operator["master"]])
    before = table(tree, "staging")
    assert store.rekey() == ["db-root", "zebra-key"]
    after = table(tree, "staging")
    assert store.show("db-root") == "known value"
    assert len(after["db-root"]) > len(before["db-root"])


def test_rekey_without_a_private_key_changes_nothing(tree, keyring, stranger):
    store = secrets.Store(tree, "staging")
    store.init([keyring[1]["operator"]])
    before = store.path.read_bytes()
    with pytest.raises(secrets.SecretsError, match="decrypting failed"):
        store.rekey()
    assert store.path.read_bytes() == before


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda store: store.set("Bad_Name", "x"), "kebab case"),
        (lambda store: store.set("name", ""), "empty"),
        (lambda store: store.set("name", "x"), "no recipients"),
        (lambda store: store.show("name"), "no secret 'name'"),
        (lambda store: store.init(), "no recipients"),
        (lambda store: store.rekey(), "no recipients"),
        (lambda store: store.init(["/nowhere.asc"]), "no such file"),
    ],
)
def test_refusals_of_a_level_without_keys(tree, act, message):
    store = secrets.Store(tree, "staging")
    with pytest.raises(secrets.SecretsError, match=message):
        act(store)
    assert not store.path.exists()


def test_a_sandbox_has_no_keys(tree, operator):
    store = secrets.Store(tree, "sandbox")
    with pytest.raises(secrets.SecretsError, match="in clear"):
        store.rekey()
    with pytest.raises(secrets.SecretsError, match="in clear"):
        store.init([operator["operator"]])


def test_a_second_sandbox_gets_fakes_of_its_own(tree):
    (tree / "pillar/level/demo.sls").write_text("site: {}\n")
    (tree / "inventory/demo.yaml").write_text("level: demo\nnetwork: 10.2.0.0/24\n")
    store = secrets.Store(tree, "demo")
    assert store.init() == ["db-root", "zebra-key"]
    assert store.path.read_text().startswith("# Fakes in clear")
    own, first = table(tree, "demo"), table(tree, "sandbox")
    assert own.keys() == first.keys()
    assert not set(own.values()) & set(first.values())
    assert all(value.startswith("demo-only-") for value in own.values())
    assert store.init() == []
    assert runner.invoke(secrets.app, ["init", "demo"]).exit_code == 0


def test_a_level_without_an_inventory_is_no_sandbox(tree):
    assert not secrets.Store(tree, "production").clear


def test_an_unknown_level_is_refused(tree):
    with pytest.raises(secrets.SecretsError, match="known levels: production, sandbox, staging"):
        secrets.Store(tree, "qa")


def test_a_private_key_is_refused_as_recipient(tree, operator):
    with pytest.raises(secrets.SecretsError, match="a private key"):
        secrets.Store(tree, "staging").init([operator["private"]])
    assert not (tree / "pillar/secrets/staging").exists()


def test_two_keys_in_one_file_are_refused(tree, operator, tmp_path):
    both = tmp_path / "both.asc"
    both.write_bytes(operator["operator"].read_bytes() + operator["master"].read_bytes())
    with pytest.raises(secrets.SecretsError, match="exactly one"):
        secrets.fingerprint(both)


def test_no_key_at_all_is_refused(tmp_path):
    text = tmp_path / "text.asc"
    text.write_text("hello\n")
    with pytest.raises(secrets.SecretsError, match=r"not a public key|exactly one"):
        secrets.fingerprint(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n", "no flat table"),
        ("a:\n  b: c\n", "no flat table"),
        ("a: 5\n", "no flat table"),
        ('{"a": "b"}\n', "layout"),
    ],
)
def test_a_file_that_is_no_flat_table_stays_as_it_is(tree, text, message):
    path = tree / "pillar/secrets/sandbox/secrets.yaml"
    path.write_text(text)
    with pytest.raises(secrets.SecretsError, match=message):
        secrets.Store(tree, "sandbox").set("name", "x")
    assert path.read_text() == text


def test_a_key_that_only_signs_is_refused(tree, keyring, tmp_path):
    home, _ = keyring
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet"]
    subprocess.run(
        [*gpg, "--passphrase", "", "--quick-generate-key", "signer", "ed25519", "sign", "0"],
        check=True,
        capture_output=True,
    )
    key = tmp_path / "signer.asc"
    key.write_bytes(
        subprocess.run([*gpg, "--armor", "--export", "signer"], check=True, capture_output=True)
        .stdout
    )  # fmt: skip
    with pytest.raises(secrets.SecretsError, match="not made for encrypting"):
        secrets.Store(tree, "staging").init([key])
    assert not (tree / "pillar/secrets/staging").exists()


def test_short_secrets_are_refused():
    with pytest.raises(secrets.SecretsError, match="at least 16"):
        secrets.generate(8)


def test_without_gpg_the_cure_is_named(tree, operator, monkeypatch):
    monkeypatch.setattr(secrets.shutil, "which", lambda name: None)
    with pytest.raises(secrets.SecretsError, match="apt-get install gnupg"):
        secrets.Store(tree, "staging").init([operator["operator"]])


def test_no_value_stands_on_a_command_line(tree, operator, monkeypatch):
    seen = []
    real = subprocess.run

    def run(command, **options):
        seen.append(command)
        return real(command, **options)

    monkeypatch.setattr(secrets.subprocess, "run", run)
    store = secrets.Store(tree, "staging")
    store.init([operator["operator"]])
    store.set("db-root", "very private")
    assert store.show("db-root") == "very private"
    assert seen
    assert not any("very private" in part for command in seen for part in command)


# -- the command ---------------------------------------------------------------


def test_set_reads_standard_input_and_never_prints_the_value(tree):
    done = runner.invoke(secrets.app, ["set", "sandbox", "app-key"], input="hush hush\n")
    assert done.exit_code == 0, done.output
    assert "hush" not in done.output
    assert table(tree, "sandbox")["app-key"] == "hush hush"


def test_set_generates(tree):
    done = runner.invoke(secrets.app, ["set", "sandbox", "app-key", "--generate", "--bytes", "20"])
    assert done.exit_code == 0, done.output
    # What is in clear says that it is a fake, but a key, which is of a certain form.
    assert re.fullmatch("sandbox-only-[0-9a-f]{40}", table(tree, "sandbox")["app-key"])
    assert secrets.Store(tree, "sandbox").generated("memo-rsa-key").startswith("-----BEGIN")


def test_list_names_what_is_missing_and_fails(tree, operator):
    secrets.Store(tree, "staging").init([operator["operator"]])
    assert runner.invoke(secrets.app, ["list", "staging"]).exit_code == 0
    secrets.Store(tree, "sandbox").set("new-name", "fake")
    done = runner.invoke(secrets.app, ["list", "staging"])
    assert done.exit_code == 1
    assert "missing: new-name" in done.output
    assert "./fleet secret init staging" in done.output
    assert "fake" not in done.output


def test_list_says_what_is_surplus(tree, operator):
    store = secrets.Store(tree, "staging")
    store.init([operator["operator"]])
    store.set("old-name", "x")
    assert (
        "surplus, not in sandbox: old-name"
        in runner.invoke(secrets.app, ["list", "staging"]).output
    )


def test_init_show_and_rekey(tree, operator):
    recipient = ["--recipient", str(operator["operator"])]
    done = runner.invoke(secrets.app, ["init", "staging", *recipient])
    assert done.exit_code == 0, done.output
    assert "2 values generated" in done.output
    again = runner.invoke(secrets.app, ["init", "staging", "--recipient", str(operator["master"])])
    assert "rekey staging" in again.output
    assert runner.invoke(secrets.app, ["rekey", "staging"]).exit_code == 0
    shown = runner.invoke(secrets.app, ["show", "staging", "db-root"])
    assert len(shown.output.strip()) == 64


@pytest.mark.parametrize(
    "arguments",
    [
        ["set", "qa", "name", "--generate"],
        ["list", "qa"],
        ["init", "staging"],
        ["rekey", "staging"],
        ["show", "staging", "name"],
    ],
)
def test_what_cannot_be_done_ends_with_a_sentence_and_a_remedy(tree, arguments):
    done = runner.invoke(secrets.app, arguments)
    assert done.exit_code == 2
    assert done.output.startswith("fleet: ")
    assert "\nremedy: " in done.output
    assert "Traceback" not in done.output


def test_a_name_asks_for_a_key(monkeypatch):
    assert secrets.generate_for("memo").isalnum()
    assert secrets.generate_for("memo-rsa-key").startswith("-----BEGIN PRIVATE KEY-----\n")
    monkeypatch.setattr(secrets.shutil, "which", lambda _: None)
    with pytest.raises(secrets.SecretsError, match="openssl"):
        secrets.generate_for("memo-rsa-key")
