"""Releases on a host that runs apps: what is believed, what is refused, and what is served."""

import contextlib
import datetime
import errno
import fcntl
import hashlib
import io
import ipaddress
import json
import os
import ssl
import subprocess
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.unit.conftest import load_module

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
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def signers(authority, stranger):
    """Who could sign: certificates and keys."""
    return {
        "builder": authority.issue(BUILDER),
        "builder, long ago": authority.issue(BUILDER, age=1000),
        "another host": authority.issue("frontend1.sandbox.wpd.internal"),
        "a stranger": stranger.issue(BUILDER),
    }


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


@pytest.fixture
def module(monkeypatch):
    """The execution module; `sync` is only pretended, it would wait for the whole disk."""
    module = load_module("_modules/site_release.py")
    if not hasattr(tarfile, "data_filter"):
        # Debian's Python 3.11 is older than the filters; this is the code of Python 3.12.
        from backports import tarfile as newer

        module.tarfile = newer
    module.synced = []
    real = module.subprocess.run

    def run(command, **how):
        if command[0] != "sync":
            return real(command, **how)
        module.synced.append((command, Path(command[-1]).is_dir()))
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


@pytest.mark.parametrize("call", ["fetch", "switch", "discard"])
@pytest.mark.parametrize("name", ["../../etc", "main", f"{ONE}/..", ONE.upper(), f"{ONE}\n"])
def test_a_release_has_the_name_of_one(host, call, name):
    host.has(ONE, current=ONE)
    with host.refuses("no name of a release"):
        getattr(host, call)(APP, name)


@pytest.mark.parametrize("call", ["fetch", "discard"])
@pytest.mark.parametrize("name", [None, ""])
def test_no_name_is_no_release(host, call, name):
    with host.refuses("no name of a release"):
        getattr(host, call)(APP, name)


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


def link(name, target, kind=tarfile.SYMTYPE):
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


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
