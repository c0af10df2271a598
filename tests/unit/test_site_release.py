"""Releases on a host that runs apps: what is believed, what is refused, and what is served."""

import contextlib
import datetime
import errno
import fcntl
import fnmatch
import hashlib
import io
import ipaddress
import json
import os
import ssl
import subprocess
import tarfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.unit.conftest import load_module, serving

APP, DOMAIN = "www", "webplatform.test"
BUILDER = "source1.sandbox.wpd.internal"
ONE, TWO, THREE, FOUR = (f"{digit * 40}-0badcafe" for digit in "1234")
FILES = {"index.html": b"<h1>hello</h1>\n", "css/site.css": b"h1 { color: red }\n"}
PEM = serialization.Encoding.PEM
LIVING = datetime.timedelta(days=1)


# -- a certificate authority, a builder and a web server ---------------------------


class Authority:
    """A throw-away CA: `certificate` is its own."""

    def __init__(self, folder):
        self.folder, self.key = folder, ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, folder.name)])
        self.about = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())
        usage = dict.fromkeys(
            (
                *("digital_signature", "content_commitment", "key_encipherment"),
                *("data_encipherment", "key_agreement", "key_cert_sign", "crl_sign"),
                *("encipher_only", "decipher_only"),
            ),
            False,
        )
        self.certificate = folder / "ca.crt"
        made = self._made(self.name, self.key.public_key(), 0)
        made = made.add_extension(x509.BasicConstraints(True, None), True)
        made = made.add_extension(x509.KeyUsage(**usage | {"key_cert_sign": True}), True)
        self._keep(made.add_extension(self.about, False), self.certificate)

    def _made(self, subject, public, age):
        now = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=age)
        return x509.CertificateBuilder(
            issuer_name=self.name,
            subject_name=subject,
            public_key=public,
            serial_number=x509.random_serial_number(),
            not_valid_before=now - LIVING,
            not_valid_after=now + LIVING,
        )

    def _keep(self, made, path):
        path.write_bytes(made.sign(self.key, hashes.SHA256()).public_bytes(PEM))

    def issue(self, *names, age=0):
        """Paths of a certificate for these names and of its key; `age` is in days."""
        key = rsa.generate_private_key(65537, 2048)
        paths = [self.folder / f"{names[0]}-{age}.{end}" for end in ("crt", "key")]
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
        known = [x509.DNSName(name) for name in names]
        known.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        made = self._made(subject, key.public_key(), age)
        made = made.add_extension(x509.SubjectAlternativeName(known), False)
        whose = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self.about)
        self._keep(made.add_extension(whose, False), paths[0])
        private = serialization.PrivateFormat.PKCS8
        paths[1].write_bytes(key.private_bytes(PEM, private, serialization.NoEncryption()))
        return paths


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """The level's CA."""
    return Authority(tmp_path_factory.mktemp("level"))


@pytest.fixture(scope="session")
def stranger(tmp_path_factory):
    """Another CA."""
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="session")
def web(authority):
    """An HTTPS server on 127.0.0.1: `files` is what it has, `release` what it says it serves."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked.append(self.path)
            if server.mute:
                return
            body = server.files.get(self.path)
            self.send_response(server.status if body is not None else 404)
            if server.release:
                self.send_header("X-Release", server.release)
            # More than comes: as where the line is cut.
            self.send_header("Content-Length", str(len(body or b"") + server.cut))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(f"{APP}.{DOMAIN}"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with serving(server):
        yield server


@pytest.fixture
def inner():
    """
    A web server on 127.0.0.1 as the edge asks it, in clear text: `releases` are the
    X-Release headers that it sends, `asked` are the headers that it got.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked.append((self.path, dict(self.headers)))
            self.send_response(server.status)
            for release in server.releases:
                self.send_header("X-Release", release)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.releases, server.status = [], [], 200
    with serving(server):
        yield server


@pytest.fixture(scope="session")
def signers(authority, stranger):
    """Who could sign: certificates and keys."""
    return {
        "builder": authority.issue(BUILDER),
        "builder, long ago": authority.issue(BUILDER, age=1000),
        "another host": authority.issue("frontend1.sandbox.wpd.internal"),
        "a stranger": stranger.issue(BUILDER),
    }


def link(name, target, kind=tarfile.SYMTYPE):
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


def packed(files, *more):
    """A tar.gz of files, and of entries that are none."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
        for entry in more:
            archive.addfile(entry)
    return buffer.getvalue()


class Builder:
    """Gives releases away."""

    def __init__(self, web, signers):
        self.web, self.signers = web, signers

    def sign(self, text, signer="builder", *words):
        """The signature of a manifest, as the builder makes it."""
        certificate, key = map(str, self.signers[signer])
        command = ["openssl", "cms", "-sign", "-binary", "-outform", "DER", *words]
        command += ["-signer", certificate, "-inkey", key]
        return subprocess.run(command, input=text, check=True, capture_output=True).stdout

    def offer(self, release, archive=None, served=None, signer="builder", app=APP):
        """
        Have a release: its archive, or `served` in its place, and a manifest.
        """
        archive = packed(FILES) if archive is None else archive
        about = {"sha256": hashlib.sha256(archive).hexdigest(), "size": len(archive)}
        text = json.dumps({"app": app, "release": release, "archive": about}).encode()
        files = {
            "archive.tar.gz": archive if served is None else served,
            "manifest.json": text,
            "manifest.json.sig": self.sign(text, signer),
        }
        for name, content in files.items():
            self.web.files[f"/{app}/{release}/{name}"] = content


@pytest.fixture
def builder(web, signers):
    web.files, web.asked, web.status, web.release = {}, [], 200, None
    web.cut, web.mute = 0, False
    return Builder(web, signers)


class Host:
    """A host that runs apps; its `release` module reads its own configuration."""

    def __init__(self, module, folder, known):
        self.module, self.known = module, known
        self.folder = Path(known["folder"]) / APP
        self.config = str(folder / "release.json")
        self.configure()

    def settings(self, **changes):
        """Settings of the app."""
        self.configure(apps={APP: self.known["apps"][APP] | changes})

    def configure(self, **changes):
        self.known |= changes
        Path(self.config).write_text(json.dumps(self.known), encoding="utf-8")

    def __getattr__(self, name):
        return lambda *words, **how: getattr(self.module, name)(*words, config=self.config, **how)

    def refuses(self, match):
        return pytest.raises(self.module.CommandExecutionError, match=match)

    @contextlib.contextmanager
    def nothing_new(self, match):
        """It refuses to fetch; what it has stays as it is, and nothing is left over."""
        before = self.tree()
        with self.refuses(match):
            yield
        assert self.tree() == before

    def tree(self):
        return sorted(
            str(path.relative_to(self.folder))
            for path in self.folder.rglob("*")
            if path.name not in (".lock", "releases")
        )

    def has(self, *releases, current=None, previous=None):
        """Have releases, the first being the oldest."""
        for age, release in enumerate(releases):
            path = self.folder / "releases" / release
            path.mkdir(parents=True, exist_ok=True)
            (path / "index.html").write_bytes(FILES["index.html"])
            os.utime(path, (1000 + age, 1000 + age))
        for link, release in (("current", current), ("previous", previous)):
            if release:
                (self.folder / link).symlink_to(f"releases/{release}")


class Units:
    """systemd's units: how those are that are `there`, and which were `renewed`."""

    def __init__(self):
        self.there, self.renewed, self.journal = {}, [], {}
        # What happens when they are told; how that ends, None being never.
        self.told, self.code = lambda: None, 0

    def run(self, command):
        if command[0] == "journalctl":
            unit = command[1].removeprefix("--unit=")
            return SimpleNamespace(stdout=self.journal.get(unit, ""))
        if command[1] == "show":
            return self.show(command[command.index("--") + 1 :])
        assert command[1] == "reload-or-restart"
        self.renewed.append(command[2:])
        self.told()
        if self.code is None:
            raise subprocess.TimeoutExpired(command, 1)
        said = f"Job for {command[-1]} canceled.\n" if self.code else ""
        return SimpleNamespace(returncode=self.code, stderr=said)

    def show(self, names):
        if self.there is None:
            return SimpleNamespace(returncode=1, stderr="No such bus\n")
        well = {"LoadState": "loaded", "ActiveState": "active", "Result": "success"}
        shown = [
            "".join(f"{key}={value}\n" for key, value in known.items() if value)
            for unit, how in self.there.items()
            for known in [{"Id": unit} | well | {"ReloadResult": "success"} | how]
            if any(fnmatch.fnmatch(unit, name) for name in names)
        ]
        return SimpleNamespace(returncode=0, stdout="\n".join(shown))


@pytest.fixture
def units(module):
    return module.units


@pytest.fixture
def module(monkeypatch):
    """The execution module; `sync` is only pretended, it would wait for the whole disk."""
    module = load_module("_modules/site_release.py")
    if not hasattr(tarfile, "data_filter"):
        # Debian's Python 3.11 is older than the filters; this is the code of Python 3.12.
        from backports import tarfile as newer

        module.tarfile = newer
    module.synced, module.units = [], Units()
    real = module.subprocess.run

    def run(command, **how):
        if command[0] in ("systemctl", "journalctl"):
            return module.units.run(command)
        if command[0] == "sync":
            module.synced.append((command, Path(command[-1]).is_dir()))
        else:
            return real(command, **how)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(module.subprocess, "run", run)
    return module


@pytest.fixture
def host(module, builder, authority, tmp_path):
    port = builder.web.server_port
    return Host(
        module,
        tmp_path,
        {
            "source": f"https://127.0.0.1:{port}",
            "ca": str(authority.certificate),
            "builder": BUILDER,
            "folder": str(tmp_path / "release"),
            "domain": DOMAIN,
            "port": port,
            "apps": {APP: {"keep": 2, "check": {"site": APP, "path": "/"}}},
        },
    )


# -- what is known -----------------------------------------------------------------


def test_a_host_without_releases(host):
    assert host.state(APP) == {"current": None, "previous": None, "there": []}


def test_state_names_what_is_there_and_what_is_served(host):
    host.has(TWO, ONE, current=ONE, previous=TWO)
    (host.folder / "releases/lost+found").mkdir()
    assert host.state(APP) == {"current": ONE, "previous": TWO, "there": [ONE, TWO]}


@pytest.mark.parametrize(
    "call",
    [
        ("state",),
        ("fetch", ONE),
        ("switch", ONE),
        ("hook", ONE, "site_x.migrate"),
        ("prune",),
        ("discard", ONE),
        ("check", ONE),
        ("errors", 0),
    ],
)
def test_an_app_that_it_does_not_run_is_refused(host, call):
    name, *words = call
    with host.refuses("does not run 'compat'; it runs www"):
        getattr(host, name)("compat", *words)
    host.configure(apps={})
    with host.refuses("it runs none"):
        getattr(host, name)("compat", *words)
    Path(host.config).unlink()
    with host.refuses("is missing.*Remedy"):
        getattr(host, name)(APP, *words)


@pytest.mark.parametrize("call", [["fetch"], ["switch"], ["discard"], ["hook", "site_x.migrate"]])
@pytest.mark.parametrize("name", ["../../etc", "main", f"{ONE}/..", ONE.upper(), f"{ONE}\n"])
def test_a_release_has_the_name_of_one(host, call, name):
    function, *words = call
    host.has(ONE, current=ONE)
    with host.refuses("no name of a release"):
        getattr(host, function)(APP, name, *words)


@pytest.mark.parametrize("call", [["fetch"], ["discard"], ["hook", "site_x.migrate"]])
@pytest.mark.parametrize("name", [None, ""])
def test_no_name_is_no_release(host, call, name):
    function, *words = call
    with host.refuses("no name of a release"):
        getattr(host, function)(APP, name, *words)


# -- fetching ----------------------------------------------------------------------


def test_a_release_is_fetched_and_not_served(host, builder):
    builder.offer(ONE)
    assert host.fetch(APP, ONE) is True
    there = host.folder / "releases" / ONE
    assert {name: (there / name).read_bytes() for name in FILES} == FILES
    # The web server reads it, as somebody else.
    assert there.stat().st_mode & 0o777 == 0o755
    assert host.state(APP) == {"current": None, "previous": None, "there": [ONE]}
    names = ["", "/css", *(f"/{name}" for name in FILES)]
    assert host.tree() == sorted(f"releases/{ONE}{name}" for name in names)
    # On the disk before it has its name.
    [(command, was_there)] = host.module.synced
    assert command[:2] == ["sync", "--file-system"] and was_there
    assert not Path(command[-1]).exists()


def test_who_fetches_with_a_narrow_umask_lets_the_web_server_in(host, builder):
    builder.offer(ONE, packed({"index.html": b"hello", "more/index.html": b"hello"}))
    before = os.umask(0o077)
    try:
        assert host.fetch(APP, ONE)
    finally:
        os.umask(before)
    there = host.folder / "releases" / ONE
    assert there.stat().st_mode & 0o777 == 0o755
    assert (there / "more").stat().st_mode & 0o777 == 0o755
    assert (there / "more/index.html").stat().st_mode & 0o777 == 0o644


def test_a_second_fetch_does_nothing(host, builder):
    builder.offer(ONE)
    assert host.fetch(APP, ONE) is True
    builder.web.asked.clear()
    assert host.fetch(APP, ONE) is False
    assert builder.web.asked == []


@pytest.mark.parametrize("there", [True, False])
def test_what_a_killed_fetch_left_goes(host, builder, there):
    builder.offer(ONE)
    rest = host.folder / ".new-killed/tree"
    rest.mkdir(parents=True)
    (rest / "index.html").touch()
    if there:
        host.has(ONE)
    assert host.fetch(APP, ONE) is not there
    assert not list(host.folder.glob(".new-*"))
    assert host.state(APP)["there"] == [ONE]


def test_an_archive_with_one_other_byte_is_refused(host, builder):
    archive = bytearray(packed(FILES))
    for at in (0, len(archive) // 2, len(archive) - 1):
        altered = bytearray(archive)
        altered[at] ^= 1
        builder.offer(ONE, bytes(archive), served=bytes(altered))
        with host.nothing_new("not the one that its manifest names"):
            host.fetch(APP, ONE)
    builder.offer(ONE, bytes(archive))
    assert host.fetch(APP, ONE)


@pytest.mark.parametrize("signer", ["another host", "a stranger"])
def test_a_manifest_that_somebody_else_signed_is_refused(host, builder, signer):
    builder.offer(ONE, signer=signer)
    with host.nothing_new("not signed by this level's builder"):
        host.fetch(APP, ONE)
    assert not [path for path in builder.web.asked if path.endswith(".tar.gz")]


def test_a_release_of_long_ago_is_one_still(host, builder):
    builder.offer(ONE, signer="builder, long ago")
    assert host.fetch(APP, ONE)


def test_only_the_levels_ca_counts(host, builder, stranger, tmp_path, monkeypatch):
    """Not those that the system trusts."""
    trusted = tmp_path / "certs"
    trusted.mkdir()
    (trusted / "stranger.pem").write_bytes(stranger.certificate.read_bytes())
    subprocess.run(["openssl", "rehash", str(trusted)], check=True)
    monkeypatch.setenv("SSL_CERT_DIR", str(trusted))
    builder.offer(ONE, signer="a stranger")
    with host.nothing_new("not signed"):
        host.fetch(APP, ONE)


@pytest.mark.parametrize("words", [[], ["-nodetach"]], ids=["detached", "with its content"])
def test_a_manifest_with_one_other_byte_is_refused(host, builder, words):
    builder.offer(ONE)
    path, files = f"/{APP}/{ONE}/manifest.json", builder.web.files
    files[f"{path}.sig"] = builder.sign(files[path], "builder", *words)
    files[path] = files[path].replace(b"1", b"2", 1)
    with host.nothing_new("not signed"):
        host.fetch(APP, ONE)


@pytest.mark.parametrize("signature", [b"", b"hello"])
def test_what_is_no_signature_is_refused(host, builder, signature):
    builder.offer(ONE)
    builder.web.files[f"/{APP}/{ONE}/manifest.json.sig"] = signature
    with host.nothing_new("not signed"):
        host.fetch(APP, ONE)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"app": "compat"}, f"that of compat {ONE}"), ({"release": TWO}, f"that of www {TWO}")],
)
def test_a_manifest_of_something_else_is_refused(host, builder, change, said):
    """It is signed: somebody gives an old release, or that of another app."""
    files = builder.web.files
    other = {"app": APP, "release": ONE} | change
    builder.offer(other["release"], app=other["app"])
    for name in ("manifest.json", "manifest.json.sig", "archive.tar.gz"):
        files[f"/{APP}/{ONE}/{name}"] = files[f"/{other['app']}/{other['release']}/{name}"]
    with host.nothing_new(f"{said}, and not of www {ONE}"):
        host.fetch(APP, ONE)


@pytest.mark.parametrize("text", [b"no JSON", b"{}"])
def test_a_manifest_that_says_nothing_is_refused(host, builder, text):
    builder.offer(ONE)
    builder.web.files[f"/{APP}/{ONE}/manifest.json"] = text
    builder.web.files[f"/{APP}/{ONE}/manifest.json.sig"] = builder.sign(text)
    with host.nothing_new("cannot be unpacked"):
        host.fetch(APP, ONE)


def test_no_more_is_read_than_the_manifest_says(host, builder, monkeypatch):
    archive = packed(FILES)
    builder.offer(ONE, archive, served=archive + b"x")
    with host.nothing_new(f"longer than {len(archive)} bytes"):
        host.fetch(APP, ONE)
    monkeypatch.setattr(host.module, "MANIFEST_BYTES", 100)
    builder.offer(ONE)
    with host.nothing_new(r"manifest\.json is longer than 100 bytes"):
        host.fetch(APP, ONE)


def test_less_than_the_manifest_says_is_refused(host, builder):
    archive = packed(FILES)
    builder.offer(ONE, archive, served=archive[:-1])
    with host.nothing_new("not the one that its manifest names"):
        host.fetch(APP, ONE)


def device(name):
    entry = tarfile.TarInfo(name)
    entry.type, entry.devmajor, entry.devminor = tarfile.CHRTYPE, 1, 3
    return entry


@pytest.mark.parametrize(
    "entry",
    [
        link("out", "/etc/passwd"),
        link("out", "../../../../etc/passwd"),
        link("out", "../../outside", tarfile.LNKTYPE),
        tarfile.TarInfo("../../outside"),
        device("null"),
    ],
    ids=["absolute", "relative", "hard", "name", "device"],
)
def test_an_archive_that_leads_outside_is_refused(host, builder, entry, tmp_path):
    (tmp_path / "release").mkdir()
    (tmp_path / "release/outside").write_text("before")
    builder.offer(ONE, packed(FILES, entry))
    with host.nothing_new("cannot be unpacked"):
        host.fetch(APP, ONE)
    assert (tmp_path / "release/outside").read_text() == "before"


def test_a_link_that_stays_inside_is_kept(host, builder):
    builder.offer(ONE, packed(FILES, link("home.html", "index.html")))
    assert host.fetch(APP, ONE)
    assert (host.folder / "releases" / ONE / "home.html").read_bytes() == FILES["index.html"]


def broken():
    """Archives that a builder has signed, and that are none."""
    noise = "".join(hashlib.sha256(bytes([n])).hexdigest() for n in range(256))
    whole = packed({"noise": noise.encode() * 8})
    half = len(whole) // 2
    torn = whole[:half] + b"U" * 100 + whole[half + 100 :]
    return {"text": b"hello", "none": b"", "cut": whole[:half], "torn": torn}


@pytest.mark.parametrize("name", ["text", "none", "cut", "torn"])
def test_what_is_no_archive_is_refused(host, builder, name):
    builder.offer(ONE, broken()[name])
    with host.nothing_new("cannot be unpacked"):
        host.fetch(APP, ONE)


def test_without_room_nothing_is_fetched(host, builder, monkeypatch):
    archive = packed(FILES)
    free = len(archive) * host.module.UNPACKED_TIMES
    disk = SimpleNamespace(free=free - 1)
    monkeypatch.setattr(host.module.shutil, "disk_usage", lambda _: disk)
    builder.offer(ONE, archive)
    with host.nothing_new("too full.*Remedy"):
        host.fetch(APP, ONE)
    assert not [path for path in builder.web.asked if path.endswith(".tar.gz")]
    disk.free = free
    assert host.fetch(APP, ONE)


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "the disk is full"), (errno.EIO, "I/O")],
)
def test_a_disk_that_fails_meanwhile(host, builder, monkeypatch, number, said):
    def extractall(self, path, **how):
        (path / "half").touch()
        raise OSError(number, "I/O error")

    monkeypatch.setattr(host.module.tarfile.TarFile, "extractall", extractall)
    builder.offer(ONE)
    with host.nothing_new(said):
        host.fetch(APP, ONE)


def test_what_cannot_be_kept_has_not_come(host, builder, monkeypatch):
    real = host.module.subprocess.run

    def run(command, **how):
        if command[0] == "sync":
            raise host.module.subprocess.CalledProcessError(1, command)
        return real(command, **how)

    monkeypatch.setattr(host.module.subprocess, "run", run)
    builder.offer(ONE)
    with host.nothing_new("cannot be unpacked.*sync"):
        host.fetch(APP, ONE)


def test_a_builder_that_has_no_such_release(host, builder):
    with host.nothing_new(r"manifest\.json: Not Found"):
        host.fetch(APP, ONE)


def test_a_builder_that_is_cut_off_meanwhile(host, builder):
    builder.offer(ONE)
    builder.web.mute = True
    with host.nothing_new(r"manifest\.json: Remote end closed"):
        host.fetch(APP, ONE)


def test_a_builder_that_is_away(host):
    host.configure(source="https://127.0.0.1:1")
    with host.nothing_new("refused"):
        host.fetch(APP, ONE)


def test_a_builder_whose_certificate_is_of_nobody_known(host, builder, stranger):
    host.configure(ca=str(stranger.certificate))
    builder.offer(ONE)
    with host.nothing_new("certificate verify failed"):
        host.fetch(APP, ONE)
    assert builder.web.asked == []


def test_while_one_changes_releases_others_wait(host, module, monkeypatch):
    """Each of these calls holds the app's lock while it acts."""
    host.has(ONE, TWO)

    def held():
        with (host.folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    seen = []
    monkeypatch.setattr(module, "_link", lambda *_: seen.append(("switch", held())))
    monkeypatch.setattr(module.shutil, "rmtree", lambda *_, **__: seen.append(("rm", held())))
    monkeypatch.setattr(module, "_manifest", lambda *_: seen.append(("fetch", held())) or {})
    host.switch(APP, ONE)
    host.discard(APP, TWO)
    with host.refuses("unpacked"):
        host.fetch(APP, THREE)
    assert seen == [("switch", True), ("rm", True), ("fetch", True), ("rm", True)]
    assert not held()


# -- switching ---------------------------------------------------------------------


def test_units_that_keep_code_in_memory_take_a_release(host, units):
    host.settings(renew=["mediawiki-*.service", "x.timer"])
    units.there = {
        "mediawiki-jobs.service": {},
        "x.timer": {"ReloadResult": None},
        "mediawiki-stopped.service": {"ActiveState": "inactive"},
        "mediawiki-old.service": {"LoadState": "not-found", "ActiveState": "inactive"},
        "another.service": {},
    }
    host.has(ONE, TWO)
    seen = []
    units.told = lambda: seen.append(host.state(APP)["current"])
    for release in (ONE, TWO, None):
        host.switch(APP, release)
    assert units.renewed == [["mediawiki-jobs.service", "x.timer"]] * 3
    # They read what is served then.
    assert seen == [ONE, TWO, None]


def test_units_that_are_not_there_or_stopped_stay_so(host, units):
    host.settings(renew=["php*-fpm.service", "x.service"])
    host.has(ONE)
    units.there = {"x.service": {"ActiveState": "inactive", "Result": "exit-code"}}
    host.switch(APP, ONE)
    assert units.renewed == []


@pytest.mark.parametrize(
    ("becomes", "why"),
    [
        ({"ActiveState": "failed", "Result": "exit-code"}, r"failed \(exit-code\)"),
        # It is begun anew in a moment, and fails again.
        ({"ActiveState": "activating", "Result": "signal"}, r"failed \(signal\)"),
        ({"ReloadResult": "exit-code"}, r"did not reload \(exit-code\)"),
        ({"ActiveState": "inactive"}, "has ended"),
    ],
)
def test_a_unit_that_does_not_take_it_is_named_with_the_reason(host, units, becomes, why):
    host.settings(renew=["x-*.service"])
    host.has(ONE, TWO, current=ONE)
    units.there = {"x-1.service": {}, "x-2.service": {}}
    units.told = lambda: units.there.update({"x-1.service": becomes})
    units.journal = {"x-1.service": "line 7: unknown entry\nit ends\n"}
    with host.refuses(rf"^x-1\.service {why}: line 7: unknown entry; it ends$"):
        host.switch(APP, TWO)
    # The way back, by who called: it is begun anew, and well.
    units.told = lambda: units.there.update({"x-1.service": {}})
    assert host.switch(APP, ONE) == TWO
    ended = becomes.get("ActiveState") == "inactive"
    assert units.renewed[1] == (["x-2.service"] if ended else ["x-1.service", "x-2.service"])


@pytest.mark.parametrize("state", [{"ActiveState": "reloading"}, {"ActiveState": "activating"}])
def test_a_unit_that_is_at_it_still_is_well(host, units, state):
    host.settings(renew=["x.service"])
    host.has(ONE)
    units.there = {"x.service": state}
    host.switch(APP, ONE)
    assert units.renewed == [["x.service"]]


def test_units_that_nobody_can_renew_are_told(host, units):
    host.settings(renew=["x.service"])
    host.has(ONE, TWO)
    units.there = {"x.service": {}}
    # A job that another one has replaced.
    units.code = 1
    with host.refuses("^Job for x.service canceled.$"):
        host.switch(APP, ONE)
    units.code = None
    with host.refuses(r"^x.service: not renewed within 30 s. Remedy: `systemctl list-jobs`"):
        host.switch(APP, TWO)
    units.there = None
    with host.refuses("^systemctl does not say how units are: No such bus$"):
        host.switch(APP, ONE)


def test_where_nothing_changes_no_unit_is_told(host, units):
    host.settings(renew=["x.service"])
    units.there = {"x.service": {}}
    host.has(ONE, current=ONE)
    host.switch(APP, ONE)
    with host.refuses("is not on this host"):
        host.switch(APP, TWO)
    assert units.renewed == []


def test_an_app_without_units_tells_nobody(host, units):
    units.there = {"x.service": {}}
    host.has(ONE, TWO)
    host.switch(APP, ONE)
    host.settings(renew=[])
    host.switch(APP, TWO)
    assert units.renewed == []


def test_a_host_goes_on_before_its_configuration_knows_newer_settings(host, builder, units):
    units.there = {"x.service": {}}
    host.settings(renew=["x.service"], tree=False)
    for key in host.module.DEFAULTS:
        del host.known["apps"][APP][key]
    host.configure()
    builder.offer(ONE)
    assert host.fetch(APP, ONE) is True and host.switch(APP, ONE) is None
    assert units.renewed == []


def test_systemctl_is_told_for_real(load, tmp_path, monkeypatch):
    shown = "\\n".join(
        ["Id=x-1.service", "LoadState=loaded", "ActiveState=active", "Result=success"]
    )
    (tmp_path / "systemctl").write_text(
        f"#!/bin/sh\necho \"$@\" >> {tmp_path}/told\n[ $1 = show ] && printf '{shown}\\n'\n:\n"
    )
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    app = {"keep": 2, "check": {}, "renew": ["x-*.service"]}
    known = {"folder": str(tmp_path / "release"), "apps": {APP: app}}
    here = Host(load("_modules/site_release.py"), tmp_path, known)
    here.has(ONE)
    assert here.switch(APP, ONE) is None
    show = "show --property=Id,LoadState,ActiveState,Result,ReloadResult --"
    assert (tmp_path / "told").read_text().splitlines() == [
        f"{show} x-*.service",
        "reload-or-restart x-1.service",
        f"{show} x-1.service",
    ]
    assert here.state(APP)["current"] == ONE


def test_switch_returns_the_one_before(host):
    host.has(ONE, TWO)
    assert host.switch(APP, ONE) is None
    assert host.state(APP) == {"current": ONE, "previous": None, "there": [ONE, TWO]}
    assert host.switch(APP, TWO) == ONE
    assert host.state(APP) == {"current": TWO, "previous": ONE, "there": [ONE, TWO]}
    assert (host.folder / "current/index.html").read_bytes() == FILES["index.html"]
    # A second time it changes nothing.
    assert host.switch(APP, TWO) == TWO
    assert host.state(APP)["previous"] == ONE


def test_a_switch_is_one_rename(host, module, monkeypatch):
    host.has(ONE, TWO, current=ONE)
    # What a killed call left.
    (host.folder / ".current-new").symlink_to("releases/nothing")
    acts, real = [], Path.replace

    def replace(path, target):
        before = target.readlink().name if target.is_symlink() else None
        done = real(path, target)
        acts.append((target.name, before, target.readlink().name))
        return done

    monkeypatch.setattr(module.Path, "replace", replace)
    assert host.switch(APP, TWO) == ONE
    # At no time there is no release: the link that is served is replaced, and it alone.
    assert acts == [("previous", None, ONE), ("current", ONE, TWO)]
    assert host.tree() == sorted(
        ["current", "previous"]
        + [f"releases/{name}{rest}" for name in (ONE, TWO) for rest in ("", "/index.html")]
    )


def test_what_is_not_there_is_not_served(host):
    host.has(ONE, current=ONE)
    with host.refuses(f"{TWO} is not on this host"):
        host.switch(APP, TWO)
    assert host.state(APP) == {"current": ONE, "previous": None, "there": [ONE]}


def test_back_to_none_at_all(host):
    host.has(ONE, current=ONE)
    assert host.switch(APP, None) == ONE
    assert host.state(APP) == {"current": None, "previous": ONE, "there": [ONE]}
    assert host.switch(APP, None) is None


# -- hooks -------------------------------------------------------------------------


@pytest.mark.parametrize("function", ["site_x.migrate", "site_x.tidy"])
def test_a_hook_gets_the_folder_of_the_release(host, function):
    """The master names it: the host's own configuration knows nothing of hooks."""
    host.has(ONE, TWO, current=ONE)
    called = []

    def known(name):
        return lambda folder: called.append((name, folder)) or {"docs": 1}

    host.module.__salt__ = {name: known(name) for name in ("site_x.migrate", "site_x.tidy")}
    assert host.hook(APP, TWO, function) == {"docs": 1}
    assert called == [(function, str(host.folder / "releases" / TWO))]
    # It is not served by that.
    assert host.state(APP)["current"] == ONE


@pytest.mark.parametrize(
    ("function", "release", "said"),
    [
        ("site_x.migrate", TWO, f"www {TWO} is not on this host"),
        ("site_y.migrate", ONE, r"this host has no function site_y\.migrate"),
        ("before", ONE, "this host has no function before"),
    ],
)
def test_a_hook_that_cannot_be_called_is_refused(host, function, release, said):
    host.has(ONE)
    called = []
    host.module.__salt__ = {"site_x.migrate": called.append}
    with host.refuses(said):
        host.hook(APP, release, function)
    assert called == []


def test_a_hook_that_fails_says_why_itself(host):
    def migrate(folder):
        raise host.module.CommandExecutionError("the database is away")

    host.has(ONE)
    host.module.__salt__ = {"site_x.migrate": migrate}
    with host.refuses("^the database is away$"):
        host.hook(APP, ONE, "site_x.migrate")


# -- what goes --------------------------------------------------------------------


def test_prune_keeps_the_newest_and_what_is_needed_to_go_back(host):
    five = "5" * 40 + "-0badcafe"
    host.has(ONE, TWO, THREE, FOUR, five, current=ONE)
    assert host.prune(APP) == [TWO, THREE]
    assert host.state(APP)["there"] == [ONE, FOUR, five]
    assert host.prune(APP) == []


def test_prune_never_takes_the_one_before(host):
    five = "5" * 40 + "-0badcafe"
    host.has(ONE, TWO, THREE, FOUR, five, current=TWO, previous=ONE)
    (host.folder / "releases/somebody's").mkdir()
    assert host.prune(APP) == [THREE]
    assert host.state(APP) == {"current": TWO, "previous": ONE, "there": [ONE, TWO, FOUR, five]}
    assert (host.folder / "releases/somebody's").is_dir()


def test_prune_of_nothing(host):
    assert host.prune(APP) == []


def test_discard(host):
    host.has(ONE, TWO, THREE, current=ONE, previous=TWO)
    assert host.discard(APP, THREE) is True
    assert host.discard(APP, THREE) is False
    assert host.state(APP) == {"current": ONE, "previous": TWO, "there": [ONE, TWO]}
    # The link goes before what it names.
    assert host.discard(APP, TWO) is True
    assert host.state(APP) == {"current": ONE, "previous": None, "there": [ONE]}


def test_what_is_served_is_not_discarded(host):
    host.has(ONE, current=ONE)
    assert host.discard(APP, ONE) is False
    assert host.state(APP) == {"current": ONE, "previous": None, "there": [ONE]}


def test_catch_up(host, builder):
    apps = {APP: {}, "compat": {}, "blog": {}}
    settings = host.known["apps"][APP]
    host.configure(apps=dict.fromkeys(apps, settings))
    host.module.__pillar__ = {"release": {"apps": apps, "live": {APP: TWO, "compat": ONE}}}
    host.has(ONE, current=ONE)
    builder.offer(TWO)
    builder.offer(ONE, app="compat")
    # Nothing was ever deployed of the third.
    assert host.catch_up() == {APP: TWO, "compat": ONE}
    assert host.state(APP)["current"] == TWO and host.state("compat")["current"] == ONE
    assert host.state("blog")["current"] is None
    builder.web.asked.clear()
    assert host.catch_up() == {} and builder.web.asked == []


def test_one_app_that_cannot_be_had_keeps_no_other_back(host, builder):
    apps = {"broken": {}, APP: {}}
    host.configure(apps=dict.fromkeys(apps, host.known["apps"][APP]))
    host.module.__pillar__ = {"release": {"apps": apps, "live": {"broken": ONE, APP: ONE}}}
    builder.offer(ONE)
    with host.refuses(f"/broken/{ONE}/manifest.json"):
        host.catch_up()
    assert host.state(APP)["current"] == ONE and host.state("broken")["current"] is None


@pytest.mark.parametrize("pillar", [{}, {"release": {}}, {"release": {"live": {APP: ONE}}}])
def test_a_host_without_apps_has_nothing_to_catch_up(host, pillar):
    Path(host.config).unlink()
    host.module.__pillar__ = pillar
    assert host.catch_up() == {}


# -- the master's own tree ---------------------------------------------------------

CLONES = ("clone-0123456789abcdef", "clone-fedcba9876543210")


class Pillar:
    """The master, asked for a pillar: `answers` is what it renders."""

    def __init__(self):
        self.answers, self.asked = {"site": {"level": "sandbox"}}, []

    def __call__(self, opts, grains, host_id):
        self.asked.append(host_id)
        return SimpleNamespace(compile_pillar=lambda: self.answers)


@pytest.fixture
def master(host, module, monkeypatch, tmp_path):
    """The host of the master: what it serves leads to what is `current`."""
    host.configure(apps={APP: {"keep": 2, "check": {}, "tree": True}})
    host.folder.mkdir(parents=True)
    (tmp_path / "served").symlink_to(host.folder / "current")
    monkeypatch.setattr(module, "SERVED", str(tmp_path / "served"))
    monkeypatch.setattr(module, "LISTS", str(tmp_path / "lists"))
    monkeypatch.setattr(module, "__opts__", {"id": "salt.sandbox.wpd.internal"})
    host.pillar = Pillar()
    monkeypatch.setattr(module.salt.pillar, "get_pillar", host.pillar)
    return host


def test_a_master_that_renders_from_its_tree_is_well(master):
    master.has(CLONES[0], ONE, current=CLONES[0])
    assert master.switch(APP, ONE, CLONES[0]) == CLONES[0]
    assert master.check(APP, ONE) is True
    assert master.pillar.asked == ["salt.sandbox.wpd.internal"]


@pytest.mark.parametrize(
    ("pillar", "said"),
    [
        ({}, "from it: it is empty"),
        ({"_errors": []}, "from it: it is empty"),
        ({"site": {}, "_errors": ["SLS 'common' failed:\nword: secret"]}, "SLS 'common' failed:$"),
    ],
)
def test_a_master_that_renders_nothing_from_it_is_unwell(master, pillar, said):
    master.has(ONE, current=ONE)
    master.pillar.answers = pillar
    with master.refuses(said):
        master.check(APP, ONE)


def test_a_master_that_serves_another_tree_is_unwell(master, tmp_path):
    master.has(ONE, TWO, current=TWO)
    with master.refuses(f"the master serves {TWO}, and not {ONE}"):
        master.check(APP, ONE)
    (tmp_path / "served").unlink()
    (tmp_path / "served").mkdir()
    with master.refuses("the master serves served, and not"):
        master.check(APP, TWO)
    assert master.pillar.asked == []


def test_the_master_forgets_its_lists_of_files(master, tmp_path):
    master.has(ONE, TWO, current=ONE)
    (tmp_path / "lists/roots").mkdir(parents=True)
    for name in ("base.p", ".base.w"):
        (tmp_path / "lists/roots" / name).touch()
    master.switch(APP, TWO)
    assert [path.name for path in (tmp_path / "lists/roots").iterdir()] == [".base.w"]


def test_what_a_clone_has_brought_meanwhile_stays(master):
    master.has(*CLONES, ONE, TWO, current=CLONES[1])
    for over in (None, CLONES[0], TWO):
        with master.refuses(f"a clone has brought {CLONES[1]} meanwhile, which stays"):
            master.switch(APP, ONE, over)
    assert master.switch(APP, CLONES[1], CLONES[0]) == CLONES[1]
    assert master.switch(APP, ONE, CLONES[1]) == CLONES[1]
    # What a push has brought gives way, whatever was expected there.
    assert master.switch(APP, TWO, CLONES[0]) == ONE
    assert master.switch(APP, CLONES[0], TWO) == TWO


def test_the_tree_of_a_clone_is_not_fetched(master, builder):
    master.has(CLONES[0])
    assert master.fetch(APP, CLONES[0]) is False
    with master.refuses(f"the tree {CLONES[1]} is no longer here. Remedy: ./fleet up"):
        master.fetch(APP, CLONES[1])
    assert builder.web.asked == []


def test_trees_of_clones_go_as_others_do(master):
    master.has(*CLONES, ONE, TWO, current=TWO, previous=ONE)
    assert master.prune(APP) == sorted(CLONES)
    assert master.state(APP)["there"] == sorted([ONE, TWO])


# -- is it well? -------------------------------------------------------------------


def test_a_host_that_serves_the_release_is_well(host, builder):
    builder.web.files["/"], builder.web.release = b"hello", ONE
    assert host.check(APP, ONE) is True
    assert builder.web.asked == ["/"]


@pytest.mark.parametrize(
    ("release", "status", "said"),
    [
        (TWO, 200, f"200 from {TWO}"),
        (None, 200, "200 from no release"),
        (ONE, 500, f"500 from {ONE}"),
        (ONE, 404, f"404 from {ONE}"),
    ],
)
def test_a_host_that_does_not_is_unwell(host, builder, release, status, said):
    builder.web.files["/"], builder.web.release, builder.web.status = b"hello", release, status
    with host.refuses(f"www/ does not answer with 200 from {ONE}: {said}"):
        host.check(APP, ONE, seconds=-1)


def test_a_host_whose_unit_fails_a_moment_later_is_unwell(host, builder, units):
    host.settings(renew=["x-*.service"])
    builder.web.release, builder.web.files["/"] = ONE, b""
    units.there = {"x-1.service": {}, "x-2.service": {"ActiveState": "inactive"}}
    assert host.check(APP, ONE) is True
    units.there["x-1.service"] = {"ActiveState": "failed", "Result": "exit-code"}
    with host.refuses(r"^x-1.service failed \(exit-code\): its journal is empty$"):
        host.check(APP, ONE)


def test_a_web_server_that_is_away_is_unwell(host):
    host.configure(port=1)
    with host.refuses("Connection refused"):
        host.check(APP, ONE, seconds=-1)


def test_a_certificate_for_another_site_is_unwell(host, builder):
    builder.web.files["/"], builder.web.release = b"hello", ONE
    host.configure(domain="elsewhere.test")
    with host.refuses("certificate verify failed"):
        host.check(APP, ONE, seconds=-1)
    assert builder.web.asked == []


def test_an_answer_that_is_cut_off_is_unwell(host, builder):
    builder.web.files["/"], builder.web.release, builder.web.cut = b"hello", ONE, 5
    with host.refuses("IncompleteRead"):
        host.check(APP, ONE, seconds=-1)


def test_a_host_that_becomes_well_in_time_is_well(host, builder, module, monkeypatch):
    builder.web.files["/"], builder.web.release = b"hello", TWO
    pauses = []

    def sleep(seconds):
        pauses.append(seconds)
        builder.web.release = ONE

    monkeypatch.setattr(module.time, "sleep", sleep)
    assert host.check(APP, ONE) is True
    assert pauses == [module.CHECK_PAUSE]


@pytest.fixture
def behind(host, inner):
    """A host that the edge asks in clear text."""
    host.configure(inner_port=inner.server_port, port=1)
    host.settings(check={"site": APP, "path": "/a?b=c", "behind_edge": True})
    return host


@pytest.mark.parametrize(
    "releases",
    [[ONE], [f"{TWO} {ONE}"], [f"{ONE} {TWO}"], [TWO, ONE]],
    ids=["one", "the last", "the first", "two headers"],
)
def test_a_host_behind_the_edge_is_asked_as_the_edge_asks(behind, inner, releases):
    inner.releases = releases
    assert behind.check(APP, ONE) is True
    [(path, headers)] = inner.asked
    assert path == "/a?b=c"
    assert headers["Host"] == f"{APP}.{DOMAIN}" and headers["X-Forwarded-Proto"] == "https"


@pytest.mark.parametrize(
    ("releases", "status", "said"),
    [
        ([f"{TWO} {THREE}"], 200, f"200 from {TWO} {THREE}$"),
        ([TWO, THREE], 200, f"200 from {TWO} {THREE}$"),
        ([f"x{ONE}"], 200, f"200 from x{ONE}$"),
        ([""], 200, "200 from no release$"),
        ([], 200, "200 from no release$"),
        ([ONE], 503, f"503 from {ONE}$"),
        # As where the host does not believe that it was https.
        ([ONE], 301, f"301 from {ONE}$"),
    ],
)
def test_a_host_behind_the_edge_that_does_not_answer_is_unwell(
    behind, inner, releases, status, said
):
    inner.releases, inner.status = releases, status
    with behind.refuses(rf"www/a\?b=c does not answer with 200 from {ONE}: {said}"):
        behind.check(APP, ONE, seconds=-1)


def test_a_host_that_is_at_the_edge_itself_is_asked_over_tls(behind, inner):
    behind.settings(check={"site": APP, "path": "/", "behind_edge": False})
    with behind.refuses("Connection refused"):
        behind.check(APP, ONE, seconds=-1)
    assert inner.asked == []


def line(second, status, name=f"{APP}.{DOMAIN}"):
    at = datetime.datetime.fromtimestamp(second, datetime.timezone(datetime.timedelta(hours=2)))
    return f'192.0.2.7 [{at.isoformat()}] {name} "GET / HTTP/2.0" {status} 153 "-" "\\x22"\n'


@pytest.fixture
def log(host, tmp_path):
    """Write a log, and read from it how readers fared."""

    def read(lines, since, until=None):
        path = tmp_path / "access.log"
        path.write_bytes(b"".join(text.encode() for text in lines) + b"half a line \xff")
        found = host.errors(APP, since, until, log=str(path))
        return found["requests"], found["errors"]

    return read


@pytest.mark.parametrize(
    ("status", "wrong"),
    [(200, 0), (304, 0), (403, 0), (404, 1), (410, 0), (499, 0), (500, 1), (503, 1)],
)
def test_which_answers_are_errors(log, status, wrong):
    # What is asked for was there a moment before.
    assert log([line(99, 200), line(100, 200), line(101, status)], 100) == (2, wrong)


def test_what_was_not_there_before_is_no_error(log):
    """Else whoever asks for nonsense could take a release back."""
    assert log([line(100, 404), line(101, 404)], 100) == (2, 0)
    assert log([line(99, 404), line(101, 404)], 100) == (1, 0)
    # Too long ago to say anything.
    assert log([line(30, 200), line(101, 404)], 100) == (1, 0)


def test_only_what_was_asked_in_time_counts(log):
    lines = [line(second, 500) for second in (98, 99, 100, 101, 102)]
    assert log(lines, 100.9) == (3, 3)
    assert log(lines, 100, 101.9) == (1, 1)
    assert log(lines, 98, 100) == (2, 2)
    assert log(lines, 103) == (0, 0)


def test_only_the_apps_own_site_counts(log):
    assert log([line(100, 200), line(101, 500, f"blog.{DOMAIN}"), "noise\n"], 100) == (1, 0)


def test_of_a_long_log_only_the_end_is_read(log, module, monkeypatch):
    lines = [line(100 + n, 200) for n in range(10)]
    monkeypatch.setattr(module, "LOG_BYTES", len(lines[0]) * 3 + 15)
    assert log(lines, 0) == (3, 0)


def test_no_log_is_no_reader(host, tmp_path):
    assert host.errors(APP, 0, log=str(tmp_path / "none")) == {"requests": 0, "errors": 0}


# -- the state ---------------------------------------------------------------------


@pytest.fixture
def deployed(module):
    """The state, on a host that serves something."""

    def run(release, current=None, test=False, error=None):
        def fetch(*words):
            did.append(("fetch", *words))
            if error:
                raise module.CommandExecutionError(error)

        did = []
        state = load_module(
            "_states/site_release.py",
            opts={"test": test},
            salt={
                "site_release.state": lambda app: {"current": current},
                "site_release.fetch": fetch,
                "site_release.switch": lambda *words: did.append(("switch", *words)),
            },
        )
        ret = state.deployed(APP, release)
        assert ret["name"] == APP
        return ret["result"], ret["changes"], ret["comment"], did

    return run


def test_a_host_gets_the_release_of_its_level(deployed):
    result, changes, _, did = deployed(TWO, current=ONE)
    assert (result, changes) == (True, {APP: {"old": ONE, "new": TWO}})
    assert did == [("fetch", APP, TWO), ("switch", APP, TWO)]


@pytest.mark.parametrize("test", [True, False])
def test_where_it_is_served_nothing_is_done(deployed, test):
    assert deployed(ONE, current=ONE, test=test) == (True, {}, f"{ONE} is served", [])


@pytest.mark.parametrize("test", [True, False])
def test_without_a_release_what_is_served_stays(deployed, test):
    result, changes, comment, did = deployed(None, test=test)
    assert (result, changes, did) == (False, {}, []) and "Remedy: ./fleet deploy" in comment


def test_a_test_predicts(deployed):
    result, changes, comment, did = deployed(ONE, test=True)
    assert (result, changes, did) == (None, {APP: {"old": None, "new": ONE}}, [])
    assert "would be served" in comment


def test_one_that_cannot_be_had_is_not_served(deployed):
    result, changes, comment, did = deployed(TWO, current=ONE, error="the builder is away")
    assert (result, changes, comment) == (False, {}, "the builder is away")
    assert did == [("fetch", APP, TWO)]
