"""
Releases of apps: made on the host of the repositories from a commit and from what the
level tells every build, signed, and laid out for the hosts that run them.

The commands of a build are other people's. They run as a user of their own, in namespaces
of their own that bubblewrap makes: a folder, a cache and `/usr` is all that they see, and
they have no network. What systemd adds where it can is a second fence: in a container its
properties are ignored without a word, and bubblewrap fails where it cannot do its work.

What lock files of the commit name is fetched before, by another user in another fence:
that one has a network, which the packet filter limits, and runs nothing of what it brings.
"""

import contextlib
import errno
import fcntl
import gzip
import hashlib
import json
import os
import pwd
import re
import select
import shutil
import stat
import subprocess
import tarfile
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile

from salt.exceptions import CommandExecutionError

CONFIG = "/etc/builder/builder.json"
ARCHIVE, MANIFEST, SIGNATURE, LOG = FILES = (
    "archive.tar.gz",
    "manifest.json",
    "manifest.json.sig",
    "build.log",
)
REF = re.compile(r"[0-9A-Za-z][0-9A-Za-z._/-]*")
RELEASE = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64})-[0-9a-f]{8}")
TAIL_LINES, TAIL_BYTES = 15, 4096
# The way to the hosts is short, and an app of others is large.
COMPRESSION = 3
FULL = (errno.ENOSPC, errno.EDQUOT)
# Of /etc, what programs look for and everybody may know.
ETC = (
    "alternatives",
    "group",
    "ld.so.cache",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "passwd",
    "ssl/certs",
    "ssl/openssl.cnf",
)
# What finds the package index: the resolver, and what the machine says of the index.
ETC_OUTSIDE = ("pip.conf", "resolv.conf")
HIDDEN = (
    "/etc/git-webhook",
    "/etc/salt",
    "/etc/ssl/site",
    "/run/dbus",
    "/run/salt",
    "/srv",
    "/var/lib/git",
    "/var/log",
)
WHEEL = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.+!-]*\.whl")
LOCK, LOCK_BYTES = "lock.txt", 1048576
# Wheels alone, and those of the lock alone: nothing is built, resolved or run.
FETCH = (
    "pip download --no-input --no-cache-dir --disable-pip-version-check --progress-bar=off "
    "--retries=2 --timeout=15 --only-binary=:all: --no-deps --require-hashes "
    "--dest=. --requirement="
)
# So that a plain `pip install -r …` takes what was fetched, and asks nobody.
OFFLINE = {
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_CACHE_DIR": "1",
    "PIP_NO_INDEX": "1",
    "PIP_NO_INPUT": "1",
    "PIP_ONLY_BINARY": ":all:",
    "PIP_PROGRESS_BAR": "off",
    "PIP_REQUIRE_HASHES": "1",
}
REMEDY = "Remedy: docs/runbooks/build-packages.md"
# Each command in a shell of its own, in the one unit; what they say goes one way, and
# standard error is left to systemd-run and bubblewrap.
STEPS = 'for step; do echo "+ $step"; sh -euc "$step" 2>&1 || exit; done'


def _config(config):
    """The host's configuration."""
    try:
        return json.loads(Path(config).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CommandExecutionError(
            f"{config} is missing: nothing is built here. Remedy: salt-call state.apply builder"
        ) from None


def _app(known, app):
    """The settings of an app that is built here."""
    if app not in known["apps"]:
        raise CommandExecutionError(
            f"'{app}' is not built here; {', '.join(sorted(known['apps'])) or 'nothing'} is"
        )
    # The host has these functions before its configuration is rendered anew.
    return {"version": None, "told": True, "packages": []} | known["apps"][app]


def _folder(known, kind, app):
    """Where the ``work``, ``cache``, ``packages`` or ``releases`` of an app are."""
    return Path(known["folder"]) / kind / app


def _folder_made(path, uid=-1, gid=-1):
    """Make a folder that all may enter, whatever the caller's umask."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o755)
    os.chown(path, uid, gid)


def _as(uid, gid):
    """Arguments with which `subprocess` runs a program as somebody."""
    if uid == os.geteuid():
        return {}
    return {"user": uid, "group": gid, "extra_groups": []}


def _ids(user):
    """Who a user is: uid and gid."""
    found = pwd.getpwnam(user)
    return found.pw_uid, found.pw_gid


def _done(what, argv, **more):
    """Run a program to its end; returns what it wrote."""
    done = subprocess.run(argv, stderr=subprocess.PIPE, check=False, **more)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise CommandExecutionError(f"{what}: {said[-1] if said else 'it failed'}")
    return done.stdout


# -- commits ---------------------------------------------------------------------


def _git(known, settings, *words):
    """The command line of git in an app's repository, and who runs it: its owner."""
    path = Path(known["repositories"]) / f"{settings['repository']}.git"
    try:
        owner = path.stat()
    except FileNotFoundError:
        return None, {}
    # A repository's own configuration can name programs: root runs none of them.
    more = _as(owner.st_uid, owner.st_gid)
    more["env"] = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "HOME": "/nonexistent"}
    return ["git", "-C", str(path), "-c", "tar.umask=0022", *words], more


def _commit(known, settings, name):
    """The commit that a name in the repository means, or None."""
    argv, more = _git(
        known,
        settings,
        "rev-parse",
        "--verify",
        "--quiet",
        "--end-of-options",
        f"{name}^{{commit}}",
    )
    if argv is None:
        return None
    done = subprocess.run(argv, capture_output=True, text=True, check=False, **more)
    if done.returncode > 1:
        raise CommandExecutionError(f"{settings['repository']}: {done.stderr.strip()}")
    return done.stdout.strip() or None


def _tags(known, settings, *patterns):
    """``{tag: commit}`` of a repository that patterns name, the newest version first."""
    # 1.43.0-rc.1 is older than 1.43.0.
    words = ["-c", "versionsort.suffix=-", "for-each-ref", "--sort=-version:refname"]
    # The commit, where the tag itself is an object.
    words.append("--format=%(refname:lstrip=2) %(objectname) %(*objectname)")
    argv, more = _git(known, settings, *words, *[f"refs/tags/{name}" for name in patterns])
    if argv is None:
        return {}
    said = _done("its tags cannot be read", argv, stdout=subprocess.PIPE, **more).decode()
    return {words[0]: words[-1] for words in map(str.split, said.splitlines())}


def _head(known, settings):
    """The newest commit of the level's branch, or that of its version; or None."""
    if settings["version"]:
        tags = _tags(known, settings, settings["version"])
        return _commit(known, settings, f"refs/tags/{next(iter(tags))}") if tags else None
    return _commit(known, settings, f"refs/heads/{settings['branch']}")


def _asked(known, settings, ref):
    """The commit that a build is asked for."""
    if ref is None:
        commit = _head(known, settings)
        version = settings["version"]
        wanted = f"branch {settings['branch']}"
        if version:
            there = ", ".join(_tags(known, settings, "*")) or "none"
            wanted = f"version {version} (there: {there})"
    else:
        commit = _commit(known, settings, ref) if REF.fullmatch(ref) else None
        wanted = f"commit '{ref}'"
    if commit is None:
        raise CommandExecutionError(f"the repository {settings['repository']} has no {wanted}")
    return commit


def _inputs(known, settings):
    """The second half of a release's name."""
    return __salt__["site_apps.inputs"](settings, known["data"])


def inputs(apps, config=CONFIG):
    """
    What the releases of apps are made of beside their commits.

    apps
        Their names.

    Returns ``{app: eight digits}``; None where the repository or the branch of an app
    without a version is not there yet.

    CLI Example:

    .. code-block:: bash

        salt-call site_build.inputs '[www, compat]'
    """
    known = _config(config)
    found = {app: _app(known, app) for app in apps}
    return {
        # A version counts also where its tag is not here any more: it may run.
        app: _inputs(known, settings) if settings["version"] or _head(known, settings) else None
        for app, settings in found.items()
    }


def versions(running, config=CONFIG):
    """
    Which version of each app runs, and which is the newest that its level could run: of
    those that a pattern names; for an exact version, of the same series (1.43.9: 1.43.*).

    running
        ``{app: {"version": as the level wants it, "release": what it runs}}``.

    Returns ``{app: {"runs", "newest", "behind"}}``: two tags, or None where the repository
    has none, and whether the newest is newer than what runs, or that is no version at all.

    CLI Example:

    .. code-block:: bash

        salt-call site_build.versions '{mediawiki: {version: 1.43.*, release: <release>}}'
    """
    known, found = _config(config), {}
    for app, about in running.items():
        settings, version = _app(known, app), about["version"]
        if "*" in version:
            wanted = _tags(known, settings, version)
        else:
            series = ".".join(version.split(".")[:2])
            tags = _tags(known, settings, version, f"{series}.*")
            # What is to become a version is one for nobody who names versions.
            wanted = [tag for tag in tags if tag == version or "-" not in tag]
        newest = next(iter(wanted), None)
        every = _tags(known, settings, "*")
        commit = about["release"].partition("-")[0]
        runs = next((tag for tag in every if every[tag] == commit), None)
        order = list(every)
        behind = bool(newest) and (runs is None or order.index(newest) < order.index(runs))
        found[app] = {"runs": runs, "newest": newest, "behind": behind}
    return found


# -- the commands ----------------------------------------------------------------


def _confined(known, unit, box, environment, steps):
    """
    The command line that runs commands, and nothing beside them.

    unit
        Its name for systemd.

    box
        ``user``, ``seconds``, ``memory_mb``, ``file_bytes``; ``tmp``; ``write``, folders of
        which the first is where they run; ``read``, files and folders; ``network``.
    """
    memory = box["memory_mb"] * 2**20
    properties = [
        f"User={box['user']}",
        "UMask=0022",
        f"RuntimeMaxSec={box['seconds']}",
        "TimeoutStopSec=5",
        f"MemoryMax={memory}",
        "MemorySwapMax=0",
        f"TasksMax={known['tasks']}",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        f"PrivateNetwork={'no' if box['network'] else 'yes'}",
        "PrivateTmp=yes",
        "ProtectHome=yes",
        "ProtectProc=invisible",
        "ProtectSystem=strict",
        f"ReadWritePaths={' '.join(map(str, [box['tmp'], *box['write']]))}",
        f"InaccessiblePaths={' '.join('-' + path for path in HIDDEN)}",
    ]
    argv = ["systemd-run", "--wait", "--collect", "--pipe", "--expand-environment=no"]
    argv += [f"--unit={unit}", *[f"--property={line}" for line in properties], "--"]
    fence = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--clearenv"]
    fence += ["--share-net"] if box["network"] else []
    fence += ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "lib", "lib64", "sbin"):
        fence += ["--symlink", f"usr/{name}", f"/{name}"]
    for name in ETC + (ETC_OUTSIDE if box["network"] else ()):
        fence += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    # A container may not mount a /proc of its own; read-only, it makes no further
    # user namespace, either.
    fence += ["--ro-bind", "/proc", "/proc", "--dev", "/dev"]
    # For what is compiled by Salt: its own Python, which holds no secret.
    fence += ["--ro-bind-try", "/opt/salt", "/opt/salt"]
    fence += ["--bind", str(box["tmp"]), "/tmp"]  # noqa: S108 - it is their own
    for option, paths in (("--bind", box["write"]), ("--ro-bind", box["read"])):
        for path in paths:
            fence += [option, str(path), str(path)]
    for name, value in sorted(environment.items()):
        fence += ["--setenv", name, value]
    # What is left to write to is on the disk, but for a little.
    fence += ["--size", "67108864", "--perms", "1777", "--tmpfs", "/dev/shm"]  # noqa: S108
    fence += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", str(box["write"][0]), "--"]
    # Inside the fence, so that only its own processes are counted; and for a container,
    # in which systemd's limits are ignored. The memory is that of each process.
    limits = ["prlimit", f"--nproc={known['tasks']}", f"--data={memory}", "--core=0"]
    limits += [f"--fsize={box['file_bytes']}", "--"]
    return [*argv, *fence, *limits, "sh", "-c", STEPS, "sh", *steps]


def _stop(*units):
    """End what runs of these units."""
    for verb in ("stop", "reset-failed"):
        words = ["systemctl", verb, *[f"{unit}.service" for unit in units]]
        subprocess.run(words, capture_output=True, check=False)


def _room(known):
    """Why the disk has no room for a build, or None."""
    free = shutil.disk_usage(known["folder"]).free
    if free >= known["free_bytes"]:
        return None
    return (
        f"the disk is full: {free // 2**20} MiB are free, and {known['free_bytes'] // 2**20} "
        "are to be left"
    )


def _follow(known, unit, argv, look, log):
    """
    Run a unit and keep what it says.

    look
        A function that says each second why it must end, or None.

    Returns ``(its exit code, what systemd-run says, why it was stopped or None)``.
    """
    why, left, due = None, known["log_bytes"], 0
    with (
        TemporaryFile() as said,
        subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said
        ) as process,
    ):
        pipe = process.stdout.fileno()
        chunk = b"."
        while chunk:
            if select.select([pipe], [], [], 1)[0]:
                chunk = os.read(pipe, 65536)
                log.write(chunk[:left])
                left -= len(chunk[:left])
                if not left and not why:
                    why = f"its log is longer than {known['log_bytes']} bytes"
                    _stop(unit)
            if not why and time.monotonic() >= due:
                due = time.monotonic() + 1
                if why := look():
                    _stop(unit)
        process.wait()
        said.seek(0)
        return process.returncode, said.read().decode(errors="replace"), why


def _run(known, unit, box, environment, steps, look, log):
    """
    Run commands behind a fence.

    box
        As :py:func:`_confined` takes it.

    look
        As :py:func:`_follow` takes it.

    log
        An open file.

    Returns None, or why they failed.
    """
    argv = _confined(known, unit, box, environment, steps)
    code, said, why = _follow(known, unit, argv, look, log)
    if why:
        return why
    ended = re.search(r"^Finished with result: (\S+)", said, re.M)
    if not ended:
        return f"it could not be started: {' '.join(said.split()) or code}"
    if ended[1] == "timeout":
        return f"it took longer than {box['seconds']} s"
    if ended[1] == "oom-kill":
        return f"it ran out of memory, of which it may have {box['memory_mb']} MiB"
    if code or ended[1] != "success":
        fence = re.findall(r"^bwrap: .*$", said, re.M)
        return "; ".join([f"a step failed ({ended[1]}, exit code {code})", *fence])
    return None


def _with_tail(why, log):
    """Why commands failed, and the end of what they said."""
    log.seek(0, os.SEEK_END)
    log.seek(max(0, log.tell() - TAIL_BYTES))
    return "\n".join([why, *log.read().decode(errors="replace").splitlines()[-TAIL_LINES:]])


# -- packages --------------------------------------------------------------------


def _lock(known, settings, commit, name):
    """The text of a lock file of a commit; None where the commit has no such file."""
    what = f"{name} cannot be read"
    argv, more = _git(known, settings, "ls-tree", "-l", commit, "--", name)
    listed = _done(what, argv, stdout=subprocess.PIPE, **more).decode().split()
    if not listed:
        return None
    if listed[1] != "blob" or int(listed[3]) > LOCK_BYTES:
        raise CommandExecutionError(f"{name} is no lock: a file of at most {LOCK_BYTES} bytes")
    argv, more = _git(known, settings, "cat-file", "blob", listed[2])
    return _done(what, argv, stdout=subprocess.PIPE, **more).decode(errors="replace")


def _wheels(store):
    """The packages that are kept: ``{digest: path}``."""
    return {_digest(path): path for path in sorted(store.glob("*.whl"))}


def _lacking(wanted, there):
    """The packages of which no file is there."""
    return [one for one in wanted if not set(one["sha256"]) & set(there)]


def _large(folder, limit):
    """Why what lies in a folder is too much, or None."""
    size = sum(path.lstat().st_size for path in folder.rglob("*"))
    return f"they are larger than {limit} bytes" if size > limit else None


def _take(path, store, digests):
    """
    Keep one fetched file.

    Whoever fetched it may have left anything there: what counts is a copy of our own.
    """
    if not WHEEL.fullmatch(path.name):
        raise CommandExecutionError(f"{path.name} is no wheel")
    new = store / f".new-{path.name}"
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as source, new.open("wb") as target:
        shutil.copyfileobj(source, target)
        target.flush()
        os.fsync(target.fileno())
    if _digest(new) not in digests:
        raise CommandExecutionError(f"{path.name} has another digest than the lock says")
    new.chmod(0o644)
    new.rename(store / path.name)


def _outside(known, folder):
    """
    The fence of whoever fetches: the network, and one folder to write to.

    Returns ``(box, environment)``, as :py:func:`_confined` takes them.
    """
    fetch = known["fetch"]
    _folder_made(folder)
    for name in ("tmp", "packages"):
        _folder_made(folder / name, *_ids(fetch["user"]))
    box = {key: fetch[key] for key in ("user", "seconds", "memory_mb")}
    box |= {"file_bytes": fetch["bytes"], "network": True, "read": [folder / LOCK]}
    box |= {"tmp": folder / "tmp", "write": [folder / "packages"]}
    environment = {
        "HOME": "/tmp",  # noqa: S108 - its own
        "LANG": "C.UTF-8",
        "PATH": "/usr/bin:/bin",
        "PIP_CERT": "/etc/ssl/certs/ca-certificates.crt",
    }
    return box, environment


def _fetch(known, app, lacking, store, work, log):
    """Bring packages into an app's cache."""
    fetch = known["fetch"]
    # Rules that are not there would be missed by nobody else.
    words = ["nft", "list", "chain", "inet", "site", "output"]
    rules = subprocess.run(words, capture_output=True, text=True, check=False).stdout
    if f"skuid {_ids(fetch['user'])[0]} jump fenced" not in rules:
        raise CommandExecutionError(
            "the packet filter does not limit who fetches. Remedy: salt-call state.apply nftables"
        )
    folder = work / "fetch"
    box, environment = _outside(known, folder)
    lock, new = folder / LOCK, folder / "packages"
    lines = [
        " ".join([one["requirement"], *[f"--hash=sha256:{digest}" for digest in one["sha256"]]])
        for one in lacking
    ]
    lock.write_text("\n".join(lines) + "\n", encoding="utf-8")
    lock.chmod(0o644)

    def look():
        return _room(known) or _large(folder, fetch["bytes"])

    why = _run(known, f"fetch-{app}", box, environment, [f"{FETCH}{lock}"], look, log) or look()
    if why:
        raise CommandExecutionError(
            _with_tail(f"its packages cannot be fetched: {why}. {REMEDY}", log)
        )
    for path in sorted(new.iterdir()):
        _take(path, store, {digest for one in lacking for digest in one["sha256"]})


def _have_packages(known, app, settings, commit, work, log):
    """All that the locks of a commit name is in the app's cache of packages."""
    store = _folder(known, "packages", app)
    _folder_made(store.parent)
    _folder_made(store)
    wanted = []
    for name in settings["packages"]:
        text = _lock(known, settings, commit, name)
        wanted += __salt__["site_wheels.locked"](name, text) if text is not None else []
    there = _wheels(store)
    if lacking := _lacking(wanted, there):
        _fetch(known, app, lacking, store, work, log)
        there = _wheels(store)
        lacking = _lacking(wanted, there)
    if lacking:
        names = ", ".join(one["requirement"] for one in lacking)
        raise CommandExecutionError(f"its packages were not all fetched: {names}. {REMEDY}")
    needed = {there[digest] for one in wanted for digest in one["sha256"] if digest in there}
    _prune(known["fetch"], needed, there.values())


def _prune(fetch, needed, there):
    """Remove packages that no build asked for in a long time, and the oldest of too many."""
    for path in needed:
        os.utime(path)
    left = fetch["bytes"]
    oldest = time.time() - fetch["days"] * 86400
    for path in sorted(there, key=lambda path: path.stat().st_mtime, reverse=True):
        left -= path.stat().st_size
        if path not in needed and (left < 0 or path.stat().st_mtime < oldest):
            path.unlink()


# -- the archive -----------------------------------------------------------------


def _output(tree, name):
    """The folder that is the release."""
    found = (tree / name).resolve()
    if not found.is_relative_to(tree.resolve()):
        raise CommandExecutionError(f"its output '{name}' leads out of its tree")
    if not found.is_dir() or not any(found.iterdir()):
        raise CommandExecutionError(f"its output '{name}' is empty")
    return found


def _checked_link(folder, path, name):
    """Where a link leads, if it stays in the folder."""
    target = str(path.readlink())
    plain = os.path.normpath(os.path.join(os.path.dirname(name), target))  # noqa: PTH118, PTH120
    real = Path(os.path.realpath(path))
    if target.startswith("/") or plain.split("/")[0] == ".." or not real.is_relative_to(folder):
        raise CommandExecutionError(f"the link {name} leads out of its output")
    return target


def _pack(folder, target, stamp, limit):
    """
    Write the archive of a folder: of the same files always the same bytes.

    stamp
        The time that all files get.

    Returns the number of its files.
    """
    count, size = 0, 0
    paths = {str(path.relative_to(folder)): path for path in folder.rglob("*")}
    with (
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", COMPRESSION, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, path in sorted(paths.items()):
            found = path.lstat()
            entry = tarfile.TarInfo(name)
            entry.uname = entry.gname = "root"
            entry.mtime = stamp
            entry.mode = 0o755 if found.st_mode & 0o100 else 0o644
            size += 512
            if stat.S_ISDIR(found.st_mode):
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            elif stat.S_ISLNK(found.st_mode):
                entry.type, entry.mode = tarfile.SYMTYPE, 0o777
                entry.linkname = _checked_link(folder, path, name)
            elif stat.S_ISREG(found.st_mode):
                entry.size = found.st_size
                size += found.st_size
                count += 1
            else:
                raise CommandExecutionError(f"{name} is neither a file, a folder nor a link")
            if size > limit:
                raise CommandExecutionError(f"its output is larger than {limit} bytes")
            if entry.isreg():
                with path.open("rb") as content:
                    archive.addfile(entry, content)
            else:
                archive.addfile(entry)
    return count


def _digest(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sign(known, folder):
    argv = ["openssl", "cms", "-sign", "-binary", "-in", str(folder / MANIFEST)]
    argv += ["-signer", known["certificate"], "-inkey", known["key"]]
    argv += ["-outform", "DER", "-out", str(folder / SIGNATURE)]
    _done("its manifest cannot be signed", argv)


def _complete(known, folder):
    """The manifest of a release that is whole and that hosts believe, or None."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        whole = _digest(folder / ARCHIVE) == manifest["archive"]["sha256"]
    except (FileNotFoundError, ValueError, KeyError):
        return None
    argv = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-purpose", "any"]
    argv += ["-in", str(folder / SIGNATURE), "-content", str(folder / MANIFEST)]
    argv += ["-CAfile", known["ca"], "-no-CApath", "-no-CAstore", "-no_check_time"]
    argv += ["-out", "/dev/null"]
    signed = subprocess.run(argv, capture_output=True, check=False).returncode == 0
    return manifest if whole and signed and (folder / LOG).is_file() else None


def _keep(folder):
    """Let a folder and its files be on the disk before anybody relies on them."""
    for path in [*folder.iterdir(), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


# -- building --------------------------------------------------------------------


@contextlib.contextmanager
def _locked(known, app):
    """Nobody else builds this app meanwhile."""
    work = Path(known["folder"]) / "work"
    with (work / f"{app}.lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _export(known, settings, commit, work):
    """Lay out the tree of a commit, and a folder for what is needed meanwhile."""
    uid, gid = _ids(known["user"])
    _folder_made(work)
    for name in ("tree", "tmp"):
        _folder_made(work / name, uid, gid)
    told = known["data"] if settings["told"] else {}
    (work / "data.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
    (work / "data.json").chmod(0o644)
    what = f"the tree of {commit} cannot be laid out"
    with (work / "tree.tar").open("w+b") as packed:
        argv, more = _git(known, settings, "archive", "--format=tar", commit)
        _done(what, argv, stdout=packed, **more)
        packed.seek(0)
        # As the builder: what a tree makes of links and names is its own affair.
        argv = ["tar", "--extract", "--no-same-owner", "--file=-", f"--directory={work / 'tree'}"]
        _done(what, argv, stdin=packed, **_as(uid, gid))
    (work / "tree.tar").unlink()


def _commit_time(known, settings, commit):
    argv, more = _git(known, settings, "show", "--no-patch", "--format=%ct", commit)
    return int(_done("its commit cannot be read", argv, stdout=subprocess.PIPE, **more))


def _steps(known, app, settings, release, work, stamp, log):
    """Run an app's build commands, if it has some."""
    if not settings["build"]:
        return
    commit = release.partition("-")[0]
    cache, read = _folder(known, "cache", app), [work / "data.json"]
    _folder_made(cache, *_ids(known["user"]))
    environment = {
        "APP": app,
        "BUILD_DATA": str(work / "data.json"),
        "CACHE": str(cache),
        "COMMIT": commit,
        "HOME": "/tmp",  # noqa: S108 - the build's own
        "LANG": "C.UTF-8",
        "PATH": f"{known['tools']}:/usr/bin:/bin",
        "RELEASE": release,
        # Programs that write a time write that of the commit.
        "SOURCE_DATE_EPOCH": str(stamp),
        "TZ": "UTC",
    }
    if settings["told"]:
        environment |= {"DOMAIN": known["data"]["domain"], "LEVEL": known["data"]["level"]}
    if settings["packages"]:
        _have_packages(known, app, settings, commit, work, log)
        store = _folder(known, "packages", app)
        read.append(store)
        environment |= OFFLINE | {"PIP_FIND_LINKS": str(store)}
    box = {key: settings[key] for key in ("seconds", "memory_mb")}
    box |= {"user": known["user"], "file_bytes": known["archive_bytes"], "network": False}
    box |= {"tmp": work / "tmp", "write": [work / "tree", cache], "read": read}

    def look():
        return _room(known)

    why = _run(known, f"build-{app}", box, environment, settings["build"], look, log)
    if why and why == _room(known):
        # What builds of this app keep may be what fills it.
        shutil.rmtree(cache, ignore_errors=True)
    if why:
        raise CommandExecutionError(_with_tail(why, log))


def _make(known, app, settings, release, new):
    """Build a release into a new folder; returns its manifest, and the seconds it took."""
    commit, _, made_of = release.partition("-")
    work = _folder(known, "work", app)
    _folder_made(new.parent)
    _folder_made(new)
    _export(known, settings, commit, work)
    stamp = _commit_time(known, settings, commit)
    with (new / LOG).open("w+b") as log:
        began = time.monotonic()
        _steps(known, app, settings, release, work, stamp, log)
        seconds = round(time.monotonic() - began, 1)
        log.write(f"# {seconds} s\n".encode())
    output = _output(work / "tree", settings["output"])
    files = _pack(output, new / ARCHIVE, _own_time(release, stamp), known["archive_bytes"])
    # No word of this run in it: the same commit has the same manifest.
    manifest = {
        "app": app,
        "release": release,
        "commit": commit,
        "inputs": made_of,
        "created": datetime.fromtimestamp(stamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "archive": {"sha256": _digest(new / ARCHIVE), "size": (new / ARCHIVE).stat().st_size},
        "files": files,
    }
    text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
    (new / MANIFEST).write_text(text, encoding="utf-8")
    _sign(known, new)
    for path in new.iterdir():
        path.chmod(0o644)
    _keep(new)
    return manifest, seconds


def _own_time(release, stamp):
    """
    The time of a release's files: that of its commit, less a part of a day.

    A web server tells two versions of a page apart by time and length. Releases of one
    commit, or of two in one second, must not have the same.
    """
    return stamp - int(hashlib.sha256(release.encode()).hexdigest()[:8], 16) % 86400


def _sweep(known, app):
    """Remove what a killed call left."""
    _stop(f"build-{app}", f"fetch-{app}")
    shutil.rmtree(_folder(known, "work", app), ignore_errors=True)
    for path in _folder(known, "releases", app).glob(".new-*"):
        shutil.rmtree(path, ignore_errors=True)
    for path in _folder(known, "packages", app).glob(".new-*"):
        path.unlink()


def _stored(known, app):
    """The folders of an app's releases, those that were wanted last first."""
    found = [
        path for path in _folder(known, "releases", app).glob("*") if RELEASE.fullmatch(path.name)
    ]
    return sorted(found, key=lambda path: (path.stat().st_mtime, path.name), reverse=True)


def build(app, ref=None, config=CONFIG):
    """
    Have a release of an app: built now, or there since before.

    app
        Its name.

    ref
        A commit, branch or tag of its repository; left out, the newest commit of the
        level's branch.

    config
        The host's configuration.

    Returns its manifest ``{"app", "release", "commit", "inputs", "created", "archive":
    {"sha256", "size"}, "files"}`` and ``"built"``, whether there was something to do,
    and ``"seconds"``, how long its commands took.

    Raises CommandExecutionError where there is no such commit, where a command fails or
    takes too much of anything, where what came out cannot be a release, and where the
    disk is full: with the reason and the end of the log. Nothing is left then.

    CLI Example:

    .. code-block:: bash

        salt-call site_build.build www
    """
    known = _config(config)
    settings = _app(known, app)
    commit = _asked(known, settings, ref)
    release = f"{commit}-{_inputs(known, settings)}"
    folder = _folder(known, "releases", app) / release
    with _locked(known, app):
        _sweep(known, app)
        manifest = _complete(known, folder)
        if manifest:
            # What is wanted again is kept longer.
            os.utime(folder)
            return manifest | {"built": False, "seconds": 0.0}
        try:
            if full := _room(known):
                raise CommandExecutionError(full)
            new = folder.with_name(f".new-{release}")
            manifest, seconds = _make(known, app, settings, release, new)
            # There, but broken, or signed with the key of before.
            shutil.rmtree(folder, ignore_errors=True)
            new.rename(folder)
            _keep(folder.parent)
        except OSError as error:
            why = "the disk is full" if error.errno in FULL else error
            raise CommandExecutionError(f"{app} {commit[:12]} is not built: {why}") from error
        except CommandExecutionError as error:
            raise CommandExecutionError(f"{app} {commit[:12]} is not built: {error}") from error
        finally:
            _sweep(known, app)
        for old in _stored(known, app)[known["keep"] :]:
            shutil.rmtree(old)
    return manifest | {"built": True, "seconds": seconds}


def releases(app, config=CONFIG):
    """
    The releases of an app that are kept here.

    app
        Its name.

    Returns their names; first the one that was wanted last.

    CLI Example:

    .. code-block:: bash

        salt-call site_build.releases www
    """
    known = _config(config)
    _app(known, app)
    return [path.name for path in _stored(known, app)]


def log(app, release, config=CONFIG):
    """
    What the commands of a build said.

    app
        Its name.

    release
        One of :py:func:`releases`.

    Returns text. Raises CommandExecutionError where it is not kept here.

    CLI Example:

    .. code-block:: bash

        salt-call --out=newline_values_only site_build.log www <release>
    """
    known = _config(config)
    _app(known, app)
    path = _folder(known, "releases", app) / str(release) / LOG
    if not RELEASE.fullmatch(str(release)) or not path.is_file():
        raise CommandExecutionError(f"there is no release '{release}' of {app} here")
    return path.read_text(encoding="utf-8", errors="replace")
