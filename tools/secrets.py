"""
The secrets of the levels: ``pillar/secrets/<level>/secrets.yaml``.

Each file is a flat table, sorted by name. In a sandbox (a level whose inventory has
a network of its own) the values are fakes in clear. In every other level each
value is encrypted for the public keys under
``pillar/secrets/<level>/recipients/``: the operators' and the master's.

A value reaches this module by standard input, a hidden prompt, or the generator,
and leaves it for the disk only encrypted. It never stands on a command line.
GPG is called as the program ``gpg``; encrypting uses a home directory of its own
that is thrown away, decrypting uses the keyring of whoever calls.
"""

import os
import re
import secrets as random_source
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
import yaml

from tools.inventory import is_sandbox

# Its names are those that every level must have.
FIRST_LEVEL = "sandbox"
EXAMPLE = "example-"
PGP_BLOCK = "-----BEGIN PGP MESSAGE-----"
DEFAULT_BYTES = 32
KEY_SUFFIX = "-rsa-key"
KEY_BITS = 2048

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_ENTRY = re.compile(r"^([A-Za-z0-9_-]+):")
_CLEAR_HEADER = (
    "# Fakes in clear: they open nothing but this level, a sandbox on one machine.\n"
    "# One flat table; a pillar/role file takes out what its role may read.\n"
)
_HEADER = (
    "# Encrypted for the keys under recipients/. Written by `./fleet secret`;\n"
    "# a pillar/role file takes out what its role may read.\n"
)


class SecretsError(Exception):
    """What cannot be done, with the cure in its text."""


class Store:
    """
    The secrets of one level.

    tree
        Path of the repository.

    level
        Name of the level, as in ``pillar/level/<level>.sls``.

    Raises SecretsError where there is no such level.
    """

    def __init__(self, tree, level):
        self.tree = Path(tree)
        known = sorted(path.stem for path in (self.tree / "pillar/level").glob("*.sls"))
        if level not in known:
            raise SecretsError(f"no such level '{level}'; known levels: {', '.join(known)}")
        self.level = level
        self.folder = self.tree / "pillar/secrets" / level
        self.path = self.folder / "secrets.yaml"

    @property
    def clear(self):
        """Whether values stand in clear: in sandboxes alone."""
        return is_sandbox(self.level, self.tree)

    def table(self):
        """``{name: value as it stands in the file}``, empty where there is no file."""
        if not self.path.is_file():
            return {}
        found = yaml.safe_load(self.path.read_text(encoding="utf-8")) or {}
        if not isinstance(found, dict) or not all(
            isinstance(part, str) for entry in found.items() for part in entry
        ):
            raise SecretsError(
                f"{self.path}: no flat table of names and text. Cure: mend it by hand; "
                "numbers and yes or no stand in quotes"
            )
        return found

    def wanted(self):
        """The names that the sandbox has, and so every level must have; sorted."""
        return sorted(Store(self.tree, FIRST_LEVEL).table())

    def missing(self):
        """The names that the sandbox has and this level has not; sorted."""
        return sorted(set(self.wanted()) - set(self.table()))

    def surplus(self):
        """The names that this level has and the sandbox has not; sorted."""
        return sorted(set(self.table()) - set(self.wanted()))

    def recipients(self):
        """Paths of the public keys that values are encrypted for, sorted."""
        return sorted((self.folder / "recipients").glob("*.asc"))

    def examples(self):
        """Those of the recipients whose private key nobody has."""
        return [path for path in self.recipients() if path.name.startswith(EXAMPLE)]

    def set(self, name, value):
        """
        Put one value into the file, encrypted but in a sandbox.

        name
            Kebab case, as ``redis-sessions``.

        value
            Text, not empty.

        Raises SecretsError for a wrong name, an empty value, or no usable recipient;
        the file is then as it was.
        """
        self.set_many({name: value})

    def set_many(self, values):
        """Put several values into the file at once, as :py:meth:`set` does with one."""
        for name, value in values.items():
            if not _NAME.fullmatch(name):
                raise SecretsError(f"'{name}' is no name: kebab case, as in redis-sessions")
            if not value:
                raise SecretsError(f"{name}: the value is empty")
        stored = {
            name: value if self.clear else encrypt(value, self._usable_recipients())
            for name, value in values.items()
        }
        self._write(stored)

    def show(self, name):
        """
        The value of one secret, decrypted with the caller's own keyring.

        Raises SecretsError where the name is not known or no private key fits.
        """
        table = self.table()
        if name not in table:
            raise SecretsError(
                f"no secret '{name}' in level {self.level}; there are: {', '.join(sorted(table))}"
            )
        return table[name] if self.clear else decrypt(table[name])

    def init(self, recipients=()):
        """
        Take public keys into the level and generate every missing value.

        recipients
            Paths of files with one public key each. May be empty where the level
            has recipients. Given any, the example recipients are taken out, and
            with them every value: nobody can read them.

        Returns the sorted names that were generated.

        Raises SecretsError for a file that is no public key, or no recipient at all.
        """
        if self.clear:
            if recipients:
                raise SecretsError(
                    f"level {self.level} is in clear and needs no keys. "
                    f"Cure: ./fleet secret init {self.level}"
                )
            return self._generate_missing()
        keys = {f"{fingerprint(path)}.asc": Path(path).read_bytes() for path in recipients}
        if recipients:
            encrypt("a trial", recipients)
        if not keys and not self.recipients():
            raise SecretsError(
                f"level {self.level} has no recipients. Cure: ./fleet secret init {self.level} "
                "--recipient OPERATOR.asc --recipient MASTER.asc"
            )
        if keys:
            examples = self.examples()
            if examples and self.path.is_file():
                self.path.unlink()
            for path in examples:
                path.unlink()
            (self.folder / "recipients").mkdir(parents=True, exist_ok=True)
            for file_name, key in keys.items():
                (self.folder / "recipients" / file_name).write_bytes(key)
        return self._generate_missing()

    def _generate_missing(self):
        names = self.missing()
        self.set_many({name: self.generated(name) for name in names})
        return names

    def generated(self, name, size=DEFAULT_BYTES):
        """
        A new value for a secret of this level; a fake in clear says that it is one.

        name, size
            As in :py:func:`generate_for`.
        """
        value = generate_for(name, size)
        fake = self.clear and not name.endswith(KEY_SUFFIX)
        return f"{self.level}-only-{value}" if fake else value

    def rekey(self):
        """
        Encrypt every value again, for the recipients as they are now.

        Needs a private key for what is there. All values are read before the first
        is written. Returns the sorted names.
        """
        if self.clear:
            raise SecretsError(f"level {self.level} is in clear: there is nothing to encrypt")
        self._usable_recipients()
        values = {name: self.show(name) for name in sorted(self.table())}
        self.set_many(values)
        return list(values)

    def _usable_recipients(self):
        paths = self.recipients()
        if not paths:
            raise SecretsError(
                f"level {self.level} has no recipients. "
                f"Cure: ./fleet secret init {self.level} --recipient FILE"
            )
        return paths

    def _write(self, stored):
        """Merge into the file: comments stay with their entry, entries are sorted."""
        expected = {**self.table(), **stored}
        fresh = _CLEAR_HEADER if self.clear else _HEADER
        old = self.path.read_text(encoding="utf-8") if self.path.is_file() else fresh
        header, entries, tail = _split(old)
        for name, value in stored.items():
            comment = entries.get(name, ("", ""))[0]
            entries[name] = (comment, _entry(name, value))
        text = header + "".join("".join(entries[name]) for name in sorted(entries)) + tail
        if (yaml.safe_load(text) or {}) != expected:
            raise SecretsError(
                f"{self.path}: its layout is not understood. Cure: one `name: value` for each"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        _replace(self.path, text)


def generate(size=DEFAULT_BYTES):
    """
    A new random value: hexadecimal, so that no program needs to quote it.

    size
        How many random bytes; at least 16.
    """
    if size < 16:
        raise SecretsError(f"{size} bytes can be guessed: at least 16")
    return random_source.token_hex(size)


def generate_for(name, size=DEFAULT_BYTES):
    """
    A new value of the kind that a secret's name asks for.

    name
        A name that ends with ``-rsa-key`` asks for a private RSA key in PEM, any
        other for a random value.

    size
        As in :py:func:`generate`; a key has its own.
    """
    if not name.endswith(KEY_SUFFIX):
        return generate(size)
    openssl = shutil.which("openssl")
    if not openssl:
        raise SecretsError("the program openssl is missing. Cure: apt-get install openssl")
    made = subprocess.run(
        [openssl, "genpkey", "-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{KEY_BITS}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout


def fingerprint(path):
    """
    The fingerprint of the one public key in a file.

    Raises SecretsError where the file holds none, several, or a private key.
    """
    path = Path(path)
    if not path.is_file():
        raise SecretsError(f"{path}: no such file")
    with tempfile.TemporaryDirectory(prefix="saltworks-gpg-") as home:
        listing = _gpg(
            ["--homedir", home, "--batch", "--no-autostart", "--with-colons", "--show-keys"],
            path.read_bytes(),
            f"{path}: not a public key",
        ).decode()
    kinds = [line.split(":") for line in listing.splitlines()]
    if any(fields[0] in ("sec", "ssb") for fields in kinds):
        raise SecretsError(
            f"{path}: a private key. Cure: give `gpg --armor --export ID`, and keep the other one"
        )
    if sum(fields[0] == "pub" for fields in kinds) != 1:
        raise SecretsError(f"{path}: expected exactly one public key")
    return next(fields[9] for fields in kinds if fields[0] == "fpr")


def encrypt(value, recipients):
    """
    An armoured block that each of the recipients can read.

    value
        The text to encrypt.

    recipients
        Paths of files with a public key each.
    """
    chosen = [part for path in recipients for part in ("--recipient-file", str(path))]
    with tempfile.TemporaryDirectory(prefix="saltworks-gpg-") as home:
        block = _gpg(
            [
                *("--homedir", home, "--batch", "--no-autostart", "--trust-model", "always"),
                *("--armor", "--encrypt", *chosen),
            ],
            value.encode(),
            "encrypting failed; a recipient's key has expired or is not made for encrypting",
        )
    return block.decode()


def decrypt(block):
    """The text of an armoured block, by the private keys of the caller's own keyring."""
    return _gpg(
        ["--quiet", "--decrypt"],
        block.encode(),
        "decrypting failed. Cure: import the private key of one of the recipients, or ask an "
        "operator who has one",
    ).decode()


def _gpg(arguments, data, failure):
    gpg = shutil.which("gpg")
    if not gpg:
        raise SecretsError("the program gpg is missing. Cure: apt-get install gnupg")
    done = subprocess.run([gpg, *arguments], input=data, capture_output=True, check=False)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise SecretsError(f"{failure}: {said}")
    return done.stdout


def _split(text):
    """
    ``(header, {name: (comment, entry)}, tail)`` of a table's text.

    The header is all before the first entry; a comment after that belongs to the
    entry that follows it, and the tail is the comment that none follows.
    """
    header, comment, entries, name = "", "", {}, None
    for line in text.splitlines(keepends=True):
        found = _ENTRY.match(line)
        if found:
            name = found.group(1)
            entries[name] = (comment, line)
            comment = ""
        elif name is None:
            header += "" if line.startswith("{") else line
        elif line.startswith("#"):
            comment += line
        else:
            entries[name] = (entries[name][0], entries[name][1] + line)
    trimmed = {name: (note, entry.rstrip() + "\n") for name, (note, entry) in entries.items()}
    return header, trimmed, comment


def _entry(name, value):
    if "\n" in value:
        lines = value.rstrip("\n").split("\n")
        body = "".join(f"  {line}\n" if line else "\n" for line in lines)
        return f"{name}: |{'' if value.endswith(chr(10)) else '-'}\n{body}"
    return yaml.safe_dump({name: value}, width=10**6, allow_unicode=True)


def _replace(path, text):
    """Write beside the file, then rename: a reader sees the old file or the new one."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".secrets-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


# -- the command ---------------------------------------------------------------

app = typer.Typer(help="The secrets of the levels.", no_args_is_help=True)
TREE = Path(__file__).resolve().parent.parent

Level = Annotated[str, typer.Argument(help="The level, as in pillar/level/.")]
Name = Annotated[str, typer.Argument(help="The secret's name, in kebab case.")]


def _fail(error):
    what, _, cure = str(error).partition(" Cure: ")
    typer.echo(f"fleet: {what}", err=True)
    typer.echo(f"remedy: {cure or 'see `./fleet secret --help`'}", err=True)
    raise typer.Exit(2)


def _read_value(name):
    if sys.stdin.isatty():
        return typer.prompt(f"value of {name}", hide_input=True, confirmation_prompt=True)
    return sys.stdin.read().removesuffix("\n")


@app.command("set")
def set_command(
    level: Level,
    name: Name,
    generated: Annotated[bool, typer.Option("--generate", help="Make a random value.")] = False,
    size: Annotated[int, typer.Option("--bytes", help="Random bytes of it.")] = DEFAULT_BYTES,
):
    """
    Set one value: from standard input, a hidden prompt, or the generator.

    Example: `./fleet secret set staging redis-cache --generate`
    """
    try:
        store = Store(TREE, level)
        store.set(name, store.generated(name, size) if generated else _read_value(name))
    except SecretsError as error:
        _fail(error)
    typer.echo(f"set {name} in level {level}")


@app.command("list")
def list_command(level: Level):
    """
    The names of a level's secrets, and which are missing; never a value.

    Example: `./fleet secret list staging`
    """
    try:
        store = Store(TREE, level)
        names, missing, surplus = sorted(store.table()), store.missing(), store.surplus()
    except SecretsError as error:
        _fail(error)
    for name in names:
        typer.echo(name)
    if store.examples():
        typer.echo(
            "These are examples that nobody can decrypt. Cure: "
            f"./fleet secret init {level} --recipient FILE",
            err=True,
        )
    for name in surplus:
        typer.echo(f"surplus, not in {FIRST_LEVEL}: {name}", err=True)
    if missing:
        typer.echo(f"missing: {', '.join(missing)}", err=True)
        typer.echo(f"Cure: ./fleet secret init {level}", err=True)
        raise typer.Exit(1)


@app.command("init")
def init_command(
    level: Level,
    recipient: Annotated[
        list[Path] | None,
        typer.Option(help="A file with the public key of an operator or of the master."),
    ] = None,
):
    """
    Take public keys into a level, and generate every value that it lacks.

    Example: `./fleet secret init staging --recipient operator.asc --recipient master.asc`
    """
    try:
        store = Store(TREE, level)
        made = store.init(recipient or ())
    except SecretsError as error:
        _fail(error)
    typer.echo(f"{len(store.recipients())} recipients, {len(made)} values generated")
    for name in made:
        typer.echo(f"  {name}")
    if recipient and len(made) < len(store.table()):
        typer.echo(f"Next: ./fleet secret rekey {level}, so that new recipients read old values")


@app.command("rekey")
def rekey_command(level: Level):
    """
    Encrypt every value again, for the recipients as they are now.

    Example: `./fleet secret rekey staging`
    """
    try:
        names = Store(TREE, level).rekey()
    except SecretsError as error:
        _fail(error)
    typer.echo(f"{len(names)} values encrypted again")


@app.command("show")
def show_command(level: Level, name: Name):
    """
    One value, decrypted with your own keyring, to standard output.

    Example: `./fleet secret show staging redis-cache`
    """
    try:
        value = Store(TREE, level).show(name)
    except SecretsError as error:
        _fail(error)
    typer.echo(value)
