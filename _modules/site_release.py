"""
The releases of apps on a host that runs them: fetched from the builder, verified,
unpacked beside each other, and switched by one atomic rename.

Below ``/srv/release/<app>/`` are ``releases/<release>/``, and the links ``current`` and
``previous``. What is here is all that is needed to go back.
"""

import contextlib
import datetime
import errno
import fcntl
import hashlib
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import zlib
from pathlib import Path

import salt.pillar
from salt.exceptions import CommandExecutionError

CONFIG = "/etc/site-release/release.json"
# A clone of Saltworks brings its tree to the master under a name of its own kind.
CLONE = "clone-"
NAME = re.compile(rf"[0-9a-f]{{40}}-[0-9a-f]{{8}}|{CLONE}[0-9a-f]{{16}}")
# What the master serves leads to the tree that is `current`, and its lists of files.
SERVED = "/srv/saltworks"
LISTS = "/var/cache/salt/master/file_lists"
MANIFEST_BYTES = 65536
# Room that is left on the disk beside an archive and what comes out of it.
UNPACKED_TIMES = 8
SECONDS = 30
CHECK_SECONDS = 10
# Until units must have taken a release: a restart ends within.
RENEW_SECONDS = 30
# What is asked of a unit; it has no word of a reload where it knows none.
ABOUT = ("Id", "LoadState", "ActiveState", "Result", "ReloadResult")
# A unit that is inactive was stopped by somebody, and stays so.
AT_WORK = ("active", "reloading", "activating", "failed")
LINES_OF_LOG = 8
CHECK_PAUSE = 0.2
LOG = "/var/log/nginx/access.log"
LOG_BYTES = 8 * 1024 * 1024
LINE = re.compile(r'\S+ \[([^\]]+)\] (\S+) "\S+ ([^" ]*)[^"]*" (\d{3}) ')
KNOWN_SECONDS = 60
# A host has these functions before its configuration is rendered anew.
DEFAULTS = {"renew": [], "tree": False}


def _config(config):
    """The host's configuration."""
    try:
        return json.loads(Path(config).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CommandExecutionError(
            f"{config} is missing: this host runs no app. Remedy: salt-call state.apply release"
        ) from None


def _app(known, app):
    """The folder and the settings of an app that this host runs."""
    if app not in known["apps"]:
        raise CommandExecutionError(
            f"this host does not run '{app}'; it runs {', '.join(sorted(known['apps'])) or 'none'}"
        )
    return Path(known["folder"]) / app, DEFAULTS | known["apps"][app]


def _named(release):
    """A release's name, if it is one."""
    if not NAME.fullmatch(release or ""):
        raise CommandExecutionError(f"'{release}' is no name of a release")
    return release


@contextlib.contextmanager
def _locked(folder):
    """Nobody else changes the releases of this app on this host meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _linked(folder, link):
    """The release that a link names, or None."""
    try:
        return (folder / link).readlink().name
    except FileNotFoundError:
        return None


def _link(folder, link, release):
    """Let a link name a release, by one rename; None removes it."""
    if release is None:
        (folder / link).unlink(missing_ok=True)
        return
    made = folder / f".{link}-new"
    made.unlink(missing_ok=True)
    made.symlink_to(f"releases/{release}")
    made.replace(folder / link)


def state(app, config=CONFIG):
    """
    What this host has of an app.

    app
        Its name.

    Returns ``{"current", "previous", "there"}``: two names of releases, or None, and
    the names of all that are unpacked, sorted.

    Raises CommandExecutionError where this host does not run the app; so do all
    functions here.

    CLI Example:

    .. code-block:: bash

        salt 'frontend*' site_release.state www
    """
    folder, _ = _app(_config(config), app)
    there = folder / "releases"
    names = [path.name for path in there.iterdir()] if there.is_dir() else []
    return {
        "current": _linked(folder, "current"),
        "previous": _linked(folder, "previous"),
        "there": sorted(name for name in names if NAME.fullmatch(name)),
    }


# -- from the builder ------------------------------------------------------------


def _download(known, app, release, file, limit, target):
    """Fetch one file of a release into an open file; never more than `limit` bytes."""
    url = f"{known['source']}/{app}/{release}/{file}"
    trust = ssl.create_default_context(cafile=known["ca"])
    try:
        with urllib.request.urlopen(  # noqa: S310 - https, of the configuration
            url, timeout=SECONDS, context=trust
        ) as answer:
            left = limit
            while chunk := answer.read(min(left + 1, 1024 * 1024)):
                left -= len(chunk)
                if left < 0:
                    raise CommandExecutionError(f"{url} is longer than {limit} bytes")
                target.write(chunk)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as error:
        raise CommandExecutionError(f"{url}: {getattr(error, 'reason', error)}") from error


def _manifest(known, app, release, folder):
    """The manifest of a release, once the builder's signature of it was checked."""
    paths = {file: folder / file for file in ("manifest.json", "manifest.json.sig")}
    for file, path in paths.items():
        with path.open("wb") as target:
            _download(known, app, release, file, MANIFEST_BYTES, target)
    signed = subprocess.run(
        [
            *("openssl", "cms", "-verify", "-binary", "-inform", "DER", "-purpose", "any"),
            *("-in", str(paths["manifest.json.sig"]), "-content", str(paths["manifest.json"])),
            # By the certificate that the builder had then: an old release stays one.
            *("-CAfile", known["ca"], "-no_check_time", "-verify_hostname", known["builder"]),
            # By the level's CA alone: left out, the system's count, too.
            *("-no-CApath", "-no-CAstore"),
            *("-out", "/dev/null"),
        ],
        capture_output=True,
        check=False,
    )
    if signed.returncode:
        raise CommandExecutionError(
            f"the manifest of {app} {release} is not signed by this level's builder"
        )
    manifest = json.loads(paths["manifest.json"].read_text(encoding="utf-8"))
    if (manifest["app"], manifest["release"]) != (app, release):
        raise CommandExecutionError(
            f"the manifest is that of {manifest['app']} {manifest['release']}, "
            f"and not of {app} {release}"
        )
    return manifest


def _archive(known, app, release, manifest, path):
    """Fetch the archive that a manifest describes."""
    wanted = manifest["archive"]
    free = shutil.disk_usage(path.parent).free
    if free < wanted["size"] * UNPACKED_TIMES:
        raise CommandExecutionError(
            f"the disk is too full for {app} {release}: {free // 2**20} MiB are free. "
            "Remedy: make room, then deploy again"
        )
    with path.open("wb") as target:
        _download(known, app, release, "archive.tar.gz", wanted["size"], target)
    with path.open("rb") as made:
        digest = hashlib.file_digest(made, "sha256").hexdigest()
    if digest != wanted["sha256"]:
        raise CommandExecutionError(
            f"the archive of {app} {release} is not the one that its manifest names"
        )


def fetch(app, release, config=CONFIG):
    """
    Have a release unpacked beside the others; nothing serves it yet.

    app, release
        Their names.

    Returns whether there was something to do.

    Raises CommandExecutionError where it cannot be had, is not signed by the level's
    builder, was altered, or finds no room; then nothing of it is left.

    CLI Example:

    .. code-block:: bash

        salt 'frontend*' site_release.fetch www <release>
    """
    known = _config(config)
    folder, _ = _app(known, app)
    done = folder / "releases" / _named(release)
    with _locked(folder):
        # What a killed call left.
        for rest in folder.glob(".new-*"):
            shutil.rmtree(rest, ignore_errors=True)
        if done.is_dir():
            return False
        if release.startswith(CLONE):
            raise CommandExecutionError(
                f"the tree {release} is no longer here. Remedy: ./fleet up, from that clone"
            )
        done.parent.mkdir(exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
        try:
            manifest = _manifest(known, app, release, work)
            _archive(known, app, release, manifest, work / "archive.tar.gz")
            tree = work / "tree"
            tree.mkdir()
            with tarfile.open(work / "archive.tar.gz") as archive:
                archive.extractall(tree, filter="data")
            # Folders take the caller's umask, and the web server has to pass through.
            for path in (tree, *tree.rglob("*")):
                if path.is_dir() and not path.is_symlink():
                    path.chmod(0o755)
            # A release that has its name is whole, even after a loss of power.
            subprocess.run(["sync", "--file-system", str(tree)], check=True)
            tree.rename(done)
        except (
            *(OSError, EOFError, ValueError, KeyError),
            *(tarfile.TarError, zlib.error, subprocess.SubprocessError),
        ) as error:
            full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
            why = "the disk is full" if full else error
            raise CommandExecutionError(f"{app} {release} cannot be unpacked: {why}") from error
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return True


# -- switching -------------------------------------------------------------------


def _units(names):
    """``{unit: how it is}`` of those that names and patterns mean, and that are there."""
    argv = ["systemctl", "show", f"--property={','.join(ABOUT)}", "--", *names]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandExecutionError(f"systemctl does not say how units are: {done.stderr.strip()}")
    blocks = [block.splitlines() for block in done.stdout.strip().split("\n\n") if block]
    found = [dict(line.split("=", 1) for line in block) for block in blocks]
    return {unit["Id"]: unit for unit in found if unit["LoadState"] == "loaded"}


def _unwell(names, at_work=()):
    """Why units have not taken a release, one sentence each; who is inactive need not."""
    found = []
    for unit, how in sorted(_units(names).items()):
        state, result = how["ActiveState"], how["Result"]
        if state == "failed" or (state == "activating" and result != "success"):
            why = f"failed ({result})"
        elif state == "active" and how.get("ReloadResult", "success") != "success":
            why = f"did not reload ({how['ReloadResult']})"
        elif state not in AT_WORK and unit in at_work:
            why = "has ended"
        else:
            continue
        argv = ["journalctl", f"--unit={unit}", f"--lines={LINES_OF_LOG}", "--output=cat"]
        said = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
        found.append(f"{unit} {why}: {'; '.join(said.splitlines()) or 'its journal is empty'}")
    return found


def _renew(names):
    """Let units take what is served now; raises where one does not."""
    at_work = sorted(unit for unit, how in _units(names).items() if how["ActiveState"] in AT_WORK)
    if not at_work:
        return
    # It ends with the last of their jobs. One that failed is begun anew: so does a way
    # back mend what another release has broken.
    argv = ["systemctl", "reload-or-restart", *at_work]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=RENEW_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise CommandExecutionError(
            f"{', '.join(at_work)}: not renewed within {RENEW_SECONDS} s. "
            "Remedy: `systemctl list-jobs` on this host says who is waited for"
        ) from None
    wrong = _unwell(at_work, at_work)
    if wrong or done.returncode:
        raise CommandExecutionError(". ".join(wrong) or done.stderr.strip())


def switch(app, release, over=None, config=CONFIG):
    """
    Serve a release that is unpacked here. Units that keep code in memory (``renew``)
    take it: who can reload does so, others begin anew. It is waited for.

    release
        Its name; None serves none, as before the first.

    over
        The one that it is to replace. Nothing but that counts for what a clone has
        brought: where another clone's tree is served, that one stays.

    Returns the release that was served before, or None.

    Raises CommandExecutionError where it is not here, or may not replace what is served;
    where a unit has failed afterwards, which serves nothing back: that does who called.

    CLI Example:

    .. code-block:: bash

        salt 'frontend*' site_release.switch www <release>
    """
    folder, settings = _app(_config(config), app)
    with _locked(folder):
        before = _linked(folder, "current")
        if release == before:
            return before
        if before and before.startswith(CLONE) and before != over:
            raise CommandExecutionError(f"a clone has brought {before} meanwhile, which stays")
        if release and not (folder / "releases" / _named(release)).is_dir():
            raise CommandExecutionError(f"{app} {release} is not on this host")
        if before:
            _link(folder, "previous", before)
        _link(folder, "current", release)
        if settings["renew"]:
            _renew(settings["renew"])
        if settings["tree"]:
            # The master would show the files of before for some seconds.
            for path in Path(LISTS).glob("*/*.p"):
                path.unlink(missing_ok=True)
    return before


def hook(app, release, function, config=CONFIG):
    """
    Do what is done once a level at a change of release, such as a change of the tables of
    a database: from a release that is unpacked here, and perhaps not served yet.

    release
        Its name.

    function
        What does it, as ``module.function``; it is called with the release's folder. The
        master says which: a host may not have been told yet.

    Returns what was done. Raises CommandExecutionError where the release or the function
    is not here, and as the function itself.

    CLI Example:

    .. code-block:: bash

        salt 'app1*' site_release.hook wiki <release> site_mediawiki.migrate_own
    """
    folder, _ = _app(_config(config), app)
    tree = folder / "releases" / _named(release)
    if function not in __salt__:
        raise CommandExecutionError(f"this host has no function {function}")
    # Nobody takes the code away while it works.
    with _locked(folder):
        if not tree.is_dir():
            raise CommandExecutionError(f"{app} {release} is not on this host")
        return __salt__[function](str(tree))


def prune(app, config=CONFIG):
    """
    Remove old releases: the newest `keep` stay, the one that is served, and the one before.

    Returns the names of those that went.

    CLI Example:

    .. code-block:: bash

        salt 'frontend*' site_release.prune www
    """
    folder, settings = _app(_config(config), app)
    with _locked(folder):
        now = state(app, config)
        ages = {name: (folder / "releases" / name).stat().st_mtime_ns for name in now["there"]}
        newest = sorted(ages, key=ages.get)[-settings["keep"] :]
        gone = sorted(set(ages) - {*newest, now["current"], now["previous"]})
        for name in gone:
            shutil.rmtree(folder / "releases" / name)
    return gone


def discard(app, release, config=CONFIG):
    """
    Remove a release that is not to be served; one that is served stays.

    Returns whether it went.

    CLI Example:

    .. code-block:: bash

        salt 'frontend*' site_release.discard www <release>
    """
    folder, _ = _app(_config(config), app)
    path = folder / "releases" / _named(release)
    with _locked(folder):
        if _linked(folder, "current") == release or not path.is_dir():
            return False
        if _linked(folder, "previous") == release:
            _link(folder, "previous", None)
        shutil.rmtree(path)
    return True


def catch_up(config=CONFIG):
    """
    Serve what the level runs now: for a host that was away while others switched.

    Pillar ``release:live`` says what that is.

    Returns ``{app: release}`` of those that were switched.

    CLI Example:

    .. code-block:: bash

        salt 'frontend*' site_release.catch_up
    """
    live = __pillar__.get("release", {}).get("live", {})
    switched, failed = {}, []
    for app in __pillar__.get("release", {}).get("apps", {}):
        wanted = live.get(app)
        if wanted and state(app, config)["current"] != wanted:
            try:
                fetch(app, wanted, config)
                switch(app, wanted, config=config)
            except CommandExecutionError as error:
                # One app that cannot be had is no reason to keep the others from readers.
                failed.append(str(error))
            else:
                switched[app] = wanted
    if failed:
        raise CommandExecutionError(". ".join(failed))
    return switched


# -- is it well? -----------------------------------------------------------------


class _ThisHost(http.client.HTTPSConnection):
    """A connection to this host's own web server, under the name of a site."""

    def connect(self):
        """Open it; what answers has to show a certificate for the site."""
        opened = socket.create_connection(("127.0.0.1", self.port), self.timeout)
        self.sock = self._context.wrap_socket(opened, server_hostname=self.host)


def _asked(known, check):
    """(status, releases) that this host's own web server answers, as to a reader."""
    name = f"{check['site']}.{known['domain']}"
    headers = {"User-Agent": "site_release", "Host": name}
    if check.get("behind_edge"):
        # The edge ends TLS, and says so.
        asks = http.client.HTTPConnection("127.0.0.1", known.get("inner_port", 80), timeout=5)
        headers["X-Forwarded-Proto"] = "https"
    else:
        trust = ssl.create_default_context(cafile=known["ca"])
        asks = _ThisHost(name, known["port"], timeout=5, context=trust)
    try:
        asks.request("GET", check["path"], headers=headers)
        answer = asks.getresponse()
        answer.read()
        return answer.status, " ".join(answer.headers.get_all("X-Release", [])).split()
    finally:
        asks.close()


def _serves_tree(folder, release):
    """That the master serves a tree, and renders this host's pillar from it."""
    found = Path(os.path.realpath(SERVED))
    if found != Path(os.path.realpath(folder / "releases" / release)):
        raise CommandExecutionError(f"the master serves {found.name}, and not {release}")
    # As the master renders it now; the minion's own is that of before.
    asks = salt.pillar.get_pillar(__opts__, dict(__grains__), __opts__["id"])
    pillar = asks.compile_pillar()
    if "_errors" in pillar or "site" not in pillar:
        # Its first line has the file and no more: what was rendered may be a secret.
        errors = str(next(iter(pillar.get("_errors") or ["it is empty"]))).strip()
        raise CommandExecutionError(
            f"the master renders no pillar of this host from it: {errors.splitlines()[0][:200]}"
        )
    return True


def check(app, release, seconds=CHECK_SECONDS, config=CONFIG):
    """
    Ask this host's own web server for the app; where the app is the master's tree, ask
    the master for this host's pillar.

    release
        The one that has to answer.

    seconds
        How long until it does.

    Returns True. Raises CommandExecutionError where another answers, or none, or not
    with 200; where a unit of ``renew`` has failed; where the master serves another tree,
    or cannot render from it.

    CLI Example:

    .. code-block:: bash

        salt 'frontend*' site_release.check www <release>
    """
    known = _config(config)
    folder, settings = _app(known, app)
    if settings["tree"]:
        return _serves_tree(folder, release)
    asks = settings["check"]
    until = time.monotonic() + seconds
    while True:
        try:
            status, served = _asked(known, asks)
            # A page may be made of several: an app of others, and what is ours of it.
            if status == 200 and release in served:
                break
            said = f"{status} from {' '.join(served) or 'no release'}"
        except (OSError, http.client.HTTPException) as error:
            said = str(error)
        if time.monotonic() > until:
            raise CommandExecutionError(
                f"{asks['site']}{asks['path']} does not answer with 200 from {release}: {said}"
            )
        time.sleep(CHECK_PAUSE)
    # One may begin, and fail a moment later.
    wrong = _unwell(settings["renew"]) if settings["renew"] else []
    if wrong:
        raise CommandExecutionError(". ".join(wrong))
    return True


def errors(app, since, until=None, log=LOG, config=CONFIG):
    """
    How readers fared, by the web server's log.

    since, until
        Seconds since 1970; without `until`, up to now. The log knows whole seconds.

    Returns ``{"requests", "errors"}``. An error is a status from 500 on, or a 404 for
    what was there in the minute before: whoever asks for nonsense says nothing.

    CLI Example:

    .. code-block:: bash

        salt 'frontend*' site_release.errors www 1767225600
    """
    known = _config(config)
    _, settings = _app(known, app)
    name = f"{settings['check']['site']}.{known['domain']}"
    found = {"requests": 0, "errors": 0}
    try:
        with Path(log).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return found
    there = set()
    for line in lines:
        said = LINE.match(line)
        if not said or said[2] != name:
            continue
        at, path, status = datetime.datetime.fromisoformat(said[1]).timestamp(), said[3], said[4]
        if int(since) - KNOWN_SECONDS <= at < int(since) and status in ("200", "304"):
            there.add(path)
        elif int(since) <= at and (until is None or at < int(until)):
            found["requests"] += 1
            found["errors"] += status >= "500" or (status == "404" and path in there)
    return found
