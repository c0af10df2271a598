"""
Releases of apps: made on the host of the repositories from a commit and from what the
level tells every build, signed, and laid out for the hosts that run them.

The commands of a build are other people's. They run as a user of their own, in namespaces
of their own that bubblewrap makes: a folder, a cache and `/usr` is all that they see, and
they have no network. What systemd adds where it can is a second fence: in a container its
properties are ignored without a word, and bubblewrap fails where it cannot do its work.
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
    return {"version": None, "told": True} | known["apps"][app]


def _folder(known, kind, app):
    """Where the ``work``, ``cache`` or ``releases`` of an app are."""
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


def _builder(known):
    """Who runs the commands of builds: uid and gid."""
    found = pwd.getpwnam(known["user"])
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


def _tags(known, settings, pattern):
    """The tags of a repository that a pattern names, the newest version first."""
    # 1.43.0-rc.1 is older than 1.43.0.
    words = ["-c", "versionsort.suffix=-", "for-each-ref"]
    words += ["--sort=-version:refname", "--format=%(refname:lstrip=2)"]
    argv, more = _git(known, settings, *words, f"refs/tags/{pattern}")
    if argv is None:
        return []
    return _done("its tags cannot be read", argv, stdout=subprocess.PIPE, **more).decode().split()


def _head(known, settings):
    """The newest commit of the level's branch, or that of its version; or None."""
    if settings["version"]:
        tags = _tags(known, settings, settings["version"])
        return _commit(known, settings, f"refs/tags/{tags[0]}") if tags else None
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


def head(app, config=CONFIG):
    """
    The commit that this level is to run: the newest of its branch, or its version.

    app
        Its name.

    Returns 40 digits, or None where the repository or the branch is not there yet.

    Raises CommandExecutionError where the app is not built here; so do all functions
    of this module.

    CLI Example:

    .. code-block:: bash

        salt-call site_build.head www
    """
    known = _config(config)
    return _head(known, _app(known, app))


def wanted(app, config=CONFIG):
    """
    The name of the release that the newest commit of the level's branch has.

    app
        Its name.

    Returns ``<commit>-<inputs>``, or None where the repository or the branch is not
    there yet. The release itself need not be there.

    CLI Example:

    .. code-block:: bash

        salt-call site_build.wanted www
    """
    known = _config(config)
    settings = _app(known, app)
    commit = _head(known, settings)
    return commit and f"{commit}-{_inputs(known, settings)}"


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


# -- the commands ----------------------------------------------------------------


def _confined(known, app, settings, work, environment):
    """The command line that runs an app's build commands, and nothing beside them."""
    memory = settings["memory_mb"] * 2**20
    tree, cache = work / "tree", _folder(known, "cache", app)
    properties = [
        f"User={known['user']}",
        "UMask=0022",
        f"RuntimeMaxSec={settings['seconds']}",
        "TimeoutStopSec=5",
        f"MemoryMax={memory}",
        "MemorySwapMax=0",
        f"TasksMax={known['tasks']}",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "PrivateNetwork=yes",
        "PrivateTmp=yes",
        "ProtectHome=yes",
        "ProtectProc=invisible",
        "ProtectSystem=strict",
        f"ReadWritePaths={work} {cache}",
        f"InaccessiblePaths={' '.join('-' + path for path in HIDDEN)}",
    ]
    unit = ["systemd-run", "--wait", "--collect", "--pipe", "--expand-environment=no"]
    unit += [f"--unit=build-{app}", *[f"--property={line}" for line in properties], "--"]
    fence = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--clearenv"]
    fence += ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "lib", "lib64", "sbin"):
        fence += ["--symlink", f"usr/{name}", f"/{name}"]
    for name in ETC:
        fence += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    # A container may not mount a /proc of its own; read-only, it makes no further
    # user namespace, either.
    fence += ["--ro-bind", "/proc", "/proc", "--dev", "/dev"]
    # For what is compiled by Salt: its own Python, which holds no secret.
    fence += ["--ro-bind-try", "/opt/salt", "/opt/salt"]
    fence += ["--bind", str(work / "tmp"), "/tmp"]  # noqa: S108 - it is the build's own
    fence += ["--bind", str(tree), str(tree), "--bind", str(cache), str(cache)]
    fence += ["--ro-bind", str(work / "data.json"), str(work / "data.json")]
    for name, value in sorted(environment.items()):
        fence += ["--setenv", name, value]
    # What is left to write to is on the disk, but for a little.
    fence += ["--size", "67108864", "--perms", "1777", "--tmpfs", "/dev/shm"]  # noqa: S108
    fence += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", str(tree), "--"]
    # Inside the fence, so that only its own processes are counted; and for a container,
    # in which systemd's limits are ignored. The memory is that of each process.
    limits = ["prlimit", f"--nproc={known['tasks']}", f"--data={memory}", "--core=0"]
    limits += [f"--fsize={known['archive_bytes']}", "--"]
    return [*unit, *fence, *limits, "sh", "-c", STEPS, "sh", *settings["build"]]


def _stop(app):
    """End what runs of an app's build."""
    for verb in ("stop", "reset-failed"):
        subprocess.run(
            ["systemctl", verb, f"build-{app}.service"], capture_output=True, check=False
        )


def _room(known):
    """Why the disk has no room for a build, or None."""
    free = shutil.disk_usage(known["folder"]).free
    if free >= known["free_bytes"]:
        return None
    return (
        f"the disk is full: {free // 2**20} MiB are free, and {known['free_bytes'] // 2**20} "
        "are to be left"
    )


def _follow(known, app, argv, log):
    """
    Run a build's unit and keep what it says.

    Returns ``(its exit code, what systemd-run says, why it was stopped or None)``.
    """
    why, left, look = None, known["log_bytes"], 0
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
                    _stop(app)
            if not why and time.monotonic() >= look:
                look = time.monotonic() + 1
                if why := _room(known):
                    _stop(app)
        process.wait()
        said.seek(0)
        return process.returncode, said.read().decode(errors="replace"), why


def _run_steps(known, app, settings, work, environment, log):
    """
    Run an app's build commands.

    log
        An open file.

    Returns None, or why they failed.
    """
    argv = _confined(known, app, settings, work, environment)
    code, said, why = _follow(known, app, argv, log)
    if why:
        return why
    ended = re.search(r"^Finished with result: (\S+)", said, re.M)
    if not ended:
        return f"it could not be started: {' '.join(said.split()) or code}"
    if ended[1] == "timeout":
        return f"it took longer than {settings['seconds']} s"
    if ended[1] == "oom-kill":
        return f"it ran out of memory, of which it may have {settings['memory_mb']} MiB"
    if code or ended[1] != "success":
        fence = re.findall(r"^bwrap: .*$", said, re.M)
        return "; ".join([f"a step failed ({ended[1]}, exit code {code})", *fence])
    return None


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
    uid, gid = _builder(known)
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
    cache = _folder(known, "cache", app)
    _folder_made(cache, *_builder(known))
    level = {"DOMAIN": known["data"]["domain"], "LEVEL": known["data"]["level"]}
    why = _run_steps(
        known,
        app,
        settings,
        work,
        (level if settings["told"] else {})
        | {
            "APP": app,
            "BUILD_DATA": str(work / "data.json"),
            "CACHE": str(cache),
            "COMMIT": release.partition("-")[0],
            "HOME": "/tmp",  # noqa: S108 - the build's own
            "LANG": "C.UTF-8",
            "PATH": f"{known['tools']}:/usr/bin:/bin",
            "RELEASE": release,
            # Programs that write a time write that of the commit.
            "SOURCE_DATE_EPOCH": str(stamp),
            "TZ": "UTC",
        },
        log,
    )
    if why and why == _room(known):
        # What builds of this app keep may be what fills it.
        shutil.rmtree(cache, ignore_errors=True)
    if why:
        log.seek(0, os.SEEK_END)
        log.seek(max(0, log.tell() - TAIL_BYTES))
        tail = log.read().decode(errors="replace").splitlines()[-TAIL_LINES:]
        raise CommandExecutionError("\n".join([why, *tail]))


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
    _stop(app)
    shutil.rmtree(_folder(known, "work", app), ignore_errors=True)
    for path in _folder(known, "releases", app).glob(".new-*"):
        shutil.rmtree(path, ignore_errors=True)


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
