#!/usr/bin/python3
# Managed by Saltworks: upstreams. Local changes are overwritten.
"""
Keeps repositories with the code of others: what Debian's archive has of a source
package, one tag for each version, and mirrors of repositories elsewhere.

It runs as the owner of the repositories. An archive is verified by apt, is never laid
out on the disk, and goes straight into git: `git fast-import` reads what tar holds. A
version is one commit without a parent, of nothing but the archive: every host makes the
same commit of it, whatever it had before.
"""

import argparse
import contextlib
import fcntl
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

CONFIG = "/etc/git-upstreams/config.json"
BRANCH = "refs/heads/upstream"
WHO = "Saltworks <git@localhost>"
# Lists of the archive that are as old are good enough for what is missing as a whole.
FRESH_SECONDS = 3600
# How long the timer may be silent, and the archive without what it lists.
SILENT_SECONDS, PATIENCE_SECONDS = 2 * 86400, 3 * 86400
ARCHIVE = re.compile(r"[^_/]+_[^_/]+\.orig(?:-(?P<part>[0-9A-Za-z-]+))?\.tar\.(?:bz2|gz|lzma|xz)")
# What Debian adds to the version of an archive that it made anew.
REMADE = re.compile(r"(?:[+~.](?:dfsg|ds|repack)[0-9.]*)+$")
SAID = re.compile(r"^Upstream-Version: (\S+)$", re.MULTILINE)
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LC_ALL": "C.UTF-8",
    "HOME": "/nonexistent",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ALLOW_PROTOCOL": "file:https",
    "GIT_TERMINAL_PROMPT": "0",
}
AS_SMALL_AS_QUICK = ("-c", "core.compression=1", "-c", "pack.compression=1")
# A server that stops in the middle is not waited for.
NOT_FOR_EVER = ("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=60")


class FailureError(Exception):
    """It cannot be done; the words say why, and what helps."""


class NotThereError(FailureError):
    """The archive lists it and does not have it: a mirror that is not up to date yet."""


class TimeUpError(Exception):
    """The run has taken all the time that it may."""


def say(words):
    """Progress, for the journal and for who waits."""
    print(words, file=sys.stderr, flush=True)


def last_words(text):
    """What a program said at last."""
    return " ".join(text.split("\n")[-8:]).strip()[-800:] or "it said nothing"


def run(what, remedy, argv, **more):
    """Run a program to its end; return what it says."""
    done = subprocess.run(
        argv,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        **more,
    )
    if done.returncode:
        raise FailureError(f"{what}: {last_words(done.stderr.strip())}. Remedy: {remedy}")
    return done.stdout


# -- repositories ----------------------------------------------------------------


def path_of(known, name):
    """Where a repository is; gitolite has made it."""
    path = Path(known["folder"]) / f"{name}.git"
    if not (path / "HEAD").is_file():
        raise FailureError(f"{path} is not there. Remedy: salt-call state.apply gitolite")
    return path


def git(path, *words):
    """Ask a repository."""
    remedy = f"see to what git says; `git --git-dir {path} fsck` tells whether it is whole"
    return run(f"git {words[0]}", remedy, ["git", "--git-dir", str(path), *words]).strip()


def refs(path):
    """``{ref: commit}``."""
    listed = git(path, "for-each-ref", "--format=%(refname) %(objectname)")
    return dict(line.split() for line in listed.splitlines())


def swept(path):
    """Remove what an import left that was cut off: nobody else writes here."""
    for left in (*path.glob("objects/pack/tmp_*"), *path.glob("fast_import_crash_*")):
        left.unlink(missing_ok=True)


def lacking(known, names):
    """Those of some repositories that are not there yet, or have nothing in them."""
    folder = Path(known["folder"])
    return [
        name
        for name in names
        if not (folder / f"{name}.git/HEAD").is_file() or not refs(folder / f"{name}.git")
    ]


# -- Debian's archive ------------------------------------------------------------


def as_sources(text, one_line):
    """An apt configuration of packages, turned into one of their sources."""
    if not one_line:
        return re.sub(r"(?mi)^Types:.*$", "Types: deb-src", text)
    found = re.findall(r"(?m)^[ \t]*deb([ \t].*)$", text)
    return "".join(f"deb-src{rest}\n" for rest in found)


class Archive:
    """The sources of the archives that this host has its packages from."""

    def __init__(self, known):
        self.folder = Path(known["state"])
        self.known = known
        self.options = [
            word
            for name, value in (
                ("Dir::Etc::sourcelist", self.folder / "sources.list"),
                ("Dir::Etc::sourceparts", self.folder / "sources.list.d"),
                ("Dir::State::lists", self.folder / "lists"),
                ("Dir::Cache", self.folder / "cache"),
                ("Acquire::GzipIndexes", "true"),
                ("Acquire::Languages", "none"),
                ("Acquire::http::Timeout", "30"),
                ("Acquire::https::Timeout", "30"),
                # A list that cannot be had is no reason to go on with an old one.
                ("APT::Update::Error-Mode", "any"),
            )
            for word in ("-o", f"{name}={value}")
        ]

    def copy_sources(self):
        """Have the host's own entries as entries of sources, apart from its own."""
        host, parts = Path(self.known["apt"]), self.folder / "sources.list.d"
        parts.mkdir(exist_ok=True)
        wanted = {
            f"sources.list.d/{path.name}": path
            for path in host.glob("sources.list.d/*")
            if path.suffix in (".list", ".sources")
        } | {"sources.list": host / "sources.list"}
        for path in parts.iterdir():
            if f"sources.list.d/{path.name}" not in wanted:
                path.unlink()
        for name, path in wanted.items():
            text = path.read_text(encoding="utf-8") if path.is_file() else ""
            made = as_sources(text, one_line=path.suffix == ".list")
            (self.folder / name).write_text(made, encoding="utf-8")

    def update(self, fresh_seconds):
        """Fetch what the archives have, unless that was done just now."""
        stamp = self.folder / "updated"
        if stamp.is_file() and time.time() - stamp.stat().st_mtime < fresh_seconds:
            return
        self.copy_sources()
        for name in ("lists/partial", "cache/archives/partial"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        say("fetching what the archive has")
        run(
            "the archive cannot be asked",
            "see whether `apt-get update` works on this host, then run again",
            ["apt-get", *self.options, "-qq", "update"],
        )
        stamp.touch()

    def versions(self, package):
        """
        The upstream versions of a source package, oldest first: ``[{"debian",
        "upstream", "tag", "archives": {file: (size, sha256)}}]``.
        """
        text = run(
            f"the lists of the archive cannot be read for {package}",
            f"remove {self.folder}/lists, then run again",
            ["apt-cache", *self.options, "--only-source", "showsrc", package],
        )
        found = {}
        for stanza in text.split("\n\n"):
            version = re.search(r"(?m)^Version: (\S+)$", stanza)
            if version:
                made = described(version[1], stanza)
                other = found.setdefault(made["tag"], made)
                if compare(other["debian"], made["debian"]) < 0:
                    found[made["tag"]] = made
        if not found:
            raise FailureError(
                f"the archive has no source package '{package}'. "
                "Remedy: correct its name in pillar/upstreams.yaml"
            )
        by_version = functools.cmp_to_key(lambda a, b: compare(a["upstream"], b["upstream"]))
        return sorted(found.values(), key=by_version)

    def fetch(self, package, version, folder):
        """Fetch the upstream archives of a version, and nothing else of it."""
        size = sum(size for size, _ in version["archives"].values())
        if not version["archives"]:
            raise FailureError(
                f"{package} {version['debian']} has no upstream archive. "
                "Remedy: take it out of pillar/upstreams.yaml"
            )
        # The archive, and what git makes of it.
        if shutil.disk_usage(self.folder).free < self.known["free_bytes"] + 3 * size:
            raise FailureError(
                f"the disk of {self.folder} is full. Remedy: make room, then run again"
            )
        say(f"{package} {version['tag']}: fetching {size >> 20} MB")
        words = ["--download-only", "--tar-only", "--only-source"]
        wanted = f"{package}={version['debian']}"
        try:
            run(
                f"{wanted} cannot be fetched",
                "see whether the host reaches the archive, then run again",
                ["apt-get", *self.options, "-qq", *words, "source", wanted],
                cwd=folder,
            )
        except FailureError as failure:
            if re.search(r"\b404 ", str(failure)):
                raise NotThereError(
                    f"the archive lists {wanted} and has no upstream archive of it. Remedy: "
                    "none for a day or two, a mirror may be behind; then another mirror"
                ) from failure
            raise
        missing = [file for file in version["archives"] if not (folder / file).is_file()]
        if missing:
            raise FailureError(f"apt did not fetch {', '.join(missing)}. Remedy: run again")


def compare(one, other):
    """Which of two versions is newer, as Debian orders them: -1, 0 or 1."""
    for answer, relation in ((-1, "lt"), (1, "gt")):
        argv = ["dpkg", "--compare-versions", one, relation, other]
        if subprocess.run(argv, check=False, capture_output=True).returncode == 0:
            return answer
    return 0


def described(debian, stanza):
    """One version, from the entry of its source package."""
    upstream = debian.partition(":")[2] or debian
    upstream = upstream.rpartition("-")[0] or upstream
    sums = re.search(r"(?m)^Checksums-Sha256:\n((?: .*\n?)+)", stanza)
    files = [line.split() for line in (sums[1].splitlines() if sums else [])]
    return {
        "debian": debian,
        "upstream": upstream,
        "tag": re.sub(r"[^0-9A-Za-z.]+", "-", REMADE.sub("", upstream)),
        "archives": {
            name: (int(size), digest) for digest, size, name in files if ARCHIVE.fullmatch(name)
        },
    }


# -- an archive becomes a commit -------------------------------------------------


def inside(name):
    """The parts of a path in an archive."""
    parts = name.removeprefix("./").rstrip("/").split("/")
    wrong = {"", ".", ".."} & set(parts) or ".git" in [part.lower() for part in parts]
    if wrong or "\n" in name or "\0" in name:
        raise FailureError(f"its archive has a file {name!r}. Remedy: none here; tell Debian")
    return tuple(parts)


class Stream:
    """What `git fast-import` reads: the files of archives, then the commit of them."""

    def __init__(self, pipe, limit):
        self.pipe, self.left = pipe, limit
        self.marks, self.newest = 0, 0
        self.files = {}

    def write(self, text):
        self.pipe.write(text.encode("utf-8", "surrogateescape"))

    def blob(self, size, blocks):
        """Write the content of a file; return its mark."""
        self.left -= size
        if self.left < 0:
            raise FailureError(
                "its archive is larger than it may be, unpacked. "
                "Remedy: upstreams:unpacked_bytes in the pillar, if it is meant"
            )
        self.marks += 1
        self.write(f"blob\nmark :{self.marks}\ndata {size}\n")
        for block in blocks:
            self.pipe.write(block)
        self.write("\n")
        return self.marks

    def add(self, path, part):
        """Write what is in an archive; ``part`` is the folder for it, if it has one."""
        found, tops = {}, set()
        try:
            with tarfile.open(path, "r|*") as archive:
                for entry in archive:
                    if entry.name in (".", "./"):
                        continue
                    parts = inside(entry.name)
                    self.newest = max(self.newest, int(entry.mtime))
                    # A file at the top: there is no one folder around all of it.
                    tops.add(parts[0] if entry.isdir() or len(parts) > 1 else None)
                    if not entry.isdir():
                        found[parts] = self.entry(archive, entry, found)
        except (tarfile.TarError, EOFError, ValueError) as error:
            raise FailureError(
                f"{path.name} cannot be unpacked: {error}. Remedy: run again"
            ) from error
        around = len(tops) == 1 and None not in tops
        for parts, what in found.items():
            below = parts[1:] if around else parts
            self.files["/".join((part, *below) if part else below)] = what

    def entry(self, archive, entry, found):
        """One file or link: its mode and mark."""
        if entry.isreg():
            content = archive.extractfile(entry)
            blocks = iter(lambda: content.read(1 << 20), b"")
            return "100755" if entry.mode & 0o100 else "100644", self.blob(entry.size, blocks)
        if entry.issym():
            target = entry.linkname.encode("utf-8", "surrogateescape")
            return "120000", self.blob(len(target), [target])
        if entry.islnk() and inside(entry.linkname) in found:
            return found[inside(entry.linkname)]
        raise FailureError(
            f"its archive has {entry.name!r}, which is neither a file nor a link. "
            "Remedy: none here; tell Debian"
        )

    def commit(self, ref, message, branch):
        """Write the commit of all that was written, and end."""
        said = message.encode()
        who = f"{WHO} {self.newest} +0000"
        self.write(f"commit {ref}\nmark :{self.marks + 1}\nauthor {who}\ncommitter {who}\n")
        self.write(f"data {len(said)}\n{message}\n")
        for path, (mode, mark) in sorted(self.files.items()):
            quoted = path.replace("\\", "\\\\").replace('"', '\\"')
            self.write(f'M {mode} :{mark} "{quoted}"\n')
        if branch:
            self.write(f"reset {branch}\nfrom :{self.marks + 1}\n")
        self.write("done\n")
        self.pipe.close()


def is_newest(path, there, upstream):
    """Whether a version is newer than the one that the branch has."""
    if BRANCH not in there:
        return True
    said = SAID.search(git(path, "show", "--no-patch", "--format=%B", BRANCH))
    return not said or compare(said[1], upstream) < 0


def put_in(known, path, package, version, folder, there):
    """Make a commit and its tag of the archives in a folder."""
    archives = sorted(version["archives"].items(), key=lambda item: (".orig-" in item[0], item[0]))
    message = f"{package} {version['tag']}\n\nThe upstream archive of Debian's source package.\n\n"
    message += f"Upstream-Version: {version['upstream']}\n"
    message += "".join(f"Archive: {digest} {name}\n" for name, (_, digest) in archives)
    branch = BRANCH if is_newest(path, there, version["upstream"]) else None
    argv = ["git", "--git-dir", str(path), *AS_SMALL_AS_QUICK, "fast-import", "--quiet"]
    # The branch goes from one version to the next, which has no parent.
    argv += ["--done", "--force", "--depth=0"]
    with (
        tempfile.TemporaryFile() as words,
        subprocess.Popen(
            argv, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=words, stderr=words
        ) as importer,
    ):
        try:
            stream = Stream(importer.stdin, known["unpacked_bytes"])
            for name, _ in archives:
                stream.add(folder / name, ARCHIVE.fullmatch(name)["part"])
            stream.commit(f"refs/tags/{version['tag']}", message, branch)
            broken = False
        except BrokenPipeError:
            broken = True
        except BaseException:
            importer.kill()
            raise
        finally:
            with contextlib.suppress(BrokenPipeError):
                importer.stdin.close()
        if importer.wait() or broken:
            words.seek(0)
            said = last_words(words.read().decode(errors="replace").partition("\nfast-import:")[0])
            raise FailureError(
                f"git cannot take {package} {version['tag']}: {said}. "
                f"Remedy: see whether the disk of {path} is full, then run again"
            )


def from_debian(known, archive, name, package):
    """Import the versions that are not there yet; the newest first, it is the one that counts."""
    path = path_of(known, name)
    problem = None
    for version in reversed(archive.versions(package)):
        there = refs(path)
        if f"refs/tags/{version['tag']}" in there:
            continue
        try:
            with tempfile.TemporaryDirectory(prefix="work-", dir=known["state"]) as folder:
                archive.fetch(package, version, Path(folder))
                say(f"{name}: importing {version['tag']}")
                put_in(known, path, package, version, Path(folder), there)
        except NotThereError as failure:
            say(f"{name}: {failure}")
            problem = problem or failure
        finally:
            swept(path)
    if git(path, "symbolic-ref", "HEAD") != BRANCH:
        git(path, "symbolic-ref", "HEAD", BRANCH)
    if problem:
        raise problem


# -- mirrors ---------------------------------------------------------------------


def from_git(known, name, url):
    """Have the branches and tags that a repository elsewhere has, and no others."""
    path = path_of(known, name)
    remedy = f"see whether this host reaches {url}, then run again; what is here stays"
    base = ["git", "--git-dir", str(path), *NOT_FOR_EVER]
    what = f"{url} cannot be reached"
    listed = run(what, remedy, [*base, "ls-remote", "--symref", url, "HEAD", "refs/heads/*"])
    if "\trefs/heads/" not in listed:
        raise FailureError(f"{url} has no branch; what is here stays. Remedy: ask who keeps it")
    say(f"{name}: fetching what is new")
    words = ["fetch", "--quiet", "--atomic", "--prune", "--force", "--no-write-fetch-head"]
    words += [url, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
    run(f"{url} cannot be fetched", remedy, [*base, *words])
    head = re.search(r"(?m)^ref: (refs/heads/\S+)\tHEAD$", listed)
    if head and git(path, "symbolic-ref", "HEAD") != head[1]:
        git(path, "symbolic-ref", "HEAD", head[1])


# -- a run -----------------------------------------------------------------------


def refuse_more(*_):
    raise TimeUpError


def update(known, names, fresh_seconds):
    """
    Bring repositories up to date.

    Returns ``{"changed": {name: {ref: commit or None}}, "waiting": {name: why},
    "failed": {name: why}, "seconds"}``.
    """
    began = time.monotonic()
    found = {"changed": {}, "waiting": {}, "failed": {}}
    signal.signal(signal.SIGALRM, refuse_more)
    signal.alarm(known["seconds"])
    archive, asked = Archive(known), None
    name = None
    try:
        with (Path(known["state"]) / "lock").open("w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # What a run left that was killed.
            for left in Path(known["state"]).glob("work-*"):
                shutil.rmtree(left, ignore_errors=True)
            for name in names:
                entry, before = known["repositories"][name], {}
                try:
                    swept(path_of(known, name))
                    before = refs(path_of(known, name))
                    if "git" in entry:
                        from_git(known, name, entry["git"])
                    else:
                        if asked is None:
                            asked = attempt(archive.update, fresh_seconds)
                        if asked:
                            raise FailureError(asked)
                        from_debian(known, archive, name, entry["debian"])
                except NotThereError as failure:
                    found["waiting"][name] = str(failure)
                except (FailureError, OSError) as failure:
                    found["failed"][name] = str(failure)
                if changed := difference(known, name, before):
                    found["changed"][name] = changed
    except TimeUpError:
        found["failed"][name or "all"] = (
            f"not done within {known['seconds']} s. Remedy: run again; what was not finished "
            "begins anew. upstreams:seconds in the pillar is the limit"
        )
    finally:
        signal.alarm(0)
    return found | {"seconds": round(time.monotonic() - began, 1)}


def attempt(function, *arguments):
    """Why something cannot be done; empty where it was done."""
    try:
        function(*arguments)
    except (FailureError, OSError) as failure:
        return str(failure)
    return ""


def difference(known, name, before):
    """Refs that are others now: ``{ref: commit, or None where it is gone}``."""
    try:
        now = refs(path_of(known, name))
    except FailureError:
        return {}
    changed = {ref: commit for ref, commit in now.items() if before.get(ref) != commit}
    return changed | {ref: None for ref in before if ref not in now}


def keep_status(known, found):
    """Write down how a run ended, for the check."""
    path = Path(known["state"]) / "status.json"
    now = time.time()
    well = now
    if found["failed"] or found["waiting"]:
        with contextlib.suppress(FileNotFoundError, ValueError):
            well = json.loads(path.read_text(encoding="utf-8"))["well"]
    status = {"ran": now, "well": well, "failed": found["failed"], "waiting": found["waiting"]}
    new = path.with_suffix(".new")
    new.write_text(json.dumps(status, indent=1), encoding="utf-8")
    # The check may be asked by somebody who is not let in elsewhere: monit's root has no
    # rights beyond those of all.
    new.chmod(0o644)
    new.replace(path)


def complaints(known, config, now):
    """What an operator should know: sentences, none where all is well."""
    try:
        status = json.loads((Path(known["state"]) / "status.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        # The first night has not been yet.
        status = {"ran": Path(config).stat().st_mtime, "well": now, "failed": {}, "waiting": {}}
    found = [f"{name}: {why}" for name, why in sorted(status["failed"].items())]
    if now - status["well"] > PATIENCE_SECONDS:
        found += [f"{name}: {why}" for name, why in sorted(status["waiting"].items())]
    if now - status["ran"] > SILENT_SECONDS:
        found.append(
            "no run for two days. Remedy: systemctl status git-upstreams.timer git-upstreams"
        )
    return found


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument(
        "what",
        choices=("check", "lacking", "missing", "update"),
        help="check: whether the last runs went well; lacking: which have nothing yet; "
        "missing: import into those; update: bring up to date",
    )
    parser.add_argument("names", nargs="*", help="repositories; all")
    parser.add_argument("--config", default=CONFIG)
    given = parser.parse_args(argv)
    known = json.loads(Path(given.config).read_text(encoding="utf-8"))
    unknown = sorted(set(given.names) - set(known["repositories"]))
    if unknown:
        say(f"{', '.join(unknown)} is not in {given.config}. Remedy: pillar/upstreams.yaml")
        return 2
    names = given.names or sorted(known["repositories"])
    if given.what == "check":
        found = complaints(known, given.config, time.time())
        print("\n".join(found) or "well")
        return 1 if found else 0
    # The group reads; others see nothing.
    os.umask(0o027)
    try:
        if given.what == "lacking":
            print(json.dumps(lacking(known, names)))
            return 0
        if given.what == "missing":
            found = update(known, lacking(known, names), FRESH_SECONDS)
        else:
            found = update(known, names, 0)
            if not given.names:
                keep_status(known, found)
    except (FailureError, OSError) as failure:
        say(str(failure))
        return 2
    print(json.dumps(found))
    for name, why in sorted((found["failed"] | found["waiting"]).items()):
        say(f"{name}: {why}")
    return 1 if found["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
