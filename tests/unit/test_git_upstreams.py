"""The program that keeps the code of others: archives of sources, and mirrors."""

import hashlib
import io
import json
import os
import subprocess
import tarfile
import time

import pytest

from tests.unit.conftest import load_module

NAME = "upstream/wiki"
# Takes the place of apt: what the archive lists and has lies in a folder.
APT_GET = """#!/bin/sh
echo "$*" >> "$(dirname "$0")/asked"
folder="$(dirname "$0")/archive"
for word; do last="$word"; done
if [ "$last" = update ]; then
    [ ! -e "$folder/down" ] || { echo "E: Could not connect" >&2; exit 100; }
    exit 0
fi
case "$last" in *=*) ;; *) exit 1 ;; esac
pool="$folder/pool/${last#*=}"
[ ! -e "$pool/said" ] || { cat "$pool/said" >&2; exit 100; }
cp "$pool"/* .
"""
APT_CACHE = """#!/bin/sh
for word; do last="$word"; done
cat "$(dirname "$0")/archive/$last.Sources" 2>/dev/null || true
"""


class Place:
    """A host of its own: repositories, an archive, and the program."""

    def __init__(self, folder, module):
        self.folder, self.module = folder, module
        self.archive = folder / "bin/archive"
        for name in ("bin/archive/pool", "repositories/upstream", "state", "apt/sources.list.d"):
            (folder / name).mkdir(parents=True)
        for name, text in (("apt-get", APT_GET), ("apt-cache", APT_CACHE)):
            (folder / "bin" / name).write_text(text, encoding="utf-8")
            (folder / "bin" / name).chmod(0o755)
        entries = (
            "# a comment\ndeb http://one.test/debian stable main\ndeb-src http://x stable main\n"
        )
        (folder / "apt/sources.list").write_text(entries, encoding="utf-8")
        self.known = {
            "folder": str(folder / "repositories"),
            "state": str(folder / "state"),
            "apt": str(folder / "apt"),
            "seconds": 60,
            "free_bytes": 0,
            "unpacked_bytes": 1 << 20,
            "repositories": {},
        }

    def add(self, name=NAME, **entry):
        self.known["repositories"][name] = entry
        path = self.path(name)
        subprocess.run(["git", "init", "--quiet", "--bare", str(path)], check=True)
        return path

    def path(self, name=NAME):
        return self.folder / f"repositories/{name}.git"

    def list(self, package, debian, archives, said=None):
        """Let the archive have a version."""
        pool = self.archive / "pool" / debian
        pool.mkdir(parents=True, exist_ok=True)
        sums = ""
        for name, content in archives.items():
            (pool / name).write_bytes(content)
            sums += f" {hashlib.sha256(content).hexdigest()} {len(content)} {name}\n"
        if said:
            (pool / "said").write_text(said, encoding="utf-8")
        stanza = f"Package: {package}\nVersion: {debian}\nChecksums-Sha256:\n{sums}Section: web\n\n"
        with (self.archive / f"{package}.Sources").open("a", encoding="utf-8") as file:
            file.write(stanza)

    def main(self, *words):
        """Call the program as its command line does."""
        config = self.folder / "config.json"
        config.write_text(json.dumps(self.known), encoding="utf-8")
        return self.module.main(["--config", str(config), *words])

    def update(self, fresh_seconds=0):
        return self.module.update(self.known, sorted(self.known["repositories"]), fresh_seconds)

    def git(self, *words, name=NAME):
        argv = ["git", "--git-dir", str(self.path(name)), *words]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()

    def asked(self):
        path = self.folder / "bin/asked"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


@pytest.fixture
def place(tmp_path, monkeypatch):
    module = load_module("salt/upstreams/files/git-upstreams.py")
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    monkeypatch.setitem(module.ENVIRONMENT, "PATH", path)
    return Place(tmp_path, module)


def packed(files, mode="w:xz"):
    """An archive: text, or a function that makes of an entry what it should be."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode=mode) as archive:
        for number, (name, content) in enumerate(files.items()):
            entry = tarfile.TarInfo(name)
            entry.mtime = 1_700_000_000 + number
            data = b""
            if callable(content):
                content(entry)
            else:
                data = content.encode()
                entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return raw.getvalue()


def link(target, kind=tarfile.SYMTYPE):
    def make(entry):
        entry.type, entry.linkname = kind, target

    return make


def folder(entry):
    entry.type = tarfile.DIRTYPE


def program(entry):
    entry.mode = 0o755


def orig(version, part="", ending="xz"):
    return f"wiki_{version}.orig{part}.tar.{ending}"


def test_a_version_becomes_a_commit_and_a_tag(place):
    place.add(debian="wiki")
    files = {
        "wiki-1.2/": folder,
        "wiki-1.2/index.php": "<?php",
        'wiki-1.2/a "b" \\ ü': "odd",
        "wiki-1.2/run": program,
        "wiki-1.2/link": link("index.php"),
        "wiki-1.2/hard": link("wiki-1.2/index.php", tarfile.LNKTYPE),
    }
    place.list("wiki", "1:1.2+dfsg1-3~deb13u1", {orig("1.2+dfsg1"): packed(files)})
    found = place.update()
    commit = place.git("rev-parse", "refs/tags/1.2")
    assert found["changed"] == {NAME: {"refs/heads/upstream": commit, "refs/tags/1.2": commit}}
    assert (found["failed"], found["waiting"]) == ({}, {})
    assert place.git("symbolic-ref", "HEAD") == "refs/heads/upstream"
    tree = dict(
        reversed(line.split("\t"))
        for line in place.git("-c", "core.quotePath=false", "ls-tree", "-r", commit).splitlines()
    )
    modes = {name: entry.split()[0] for name, entry in tree.items()}
    assert modes.pop("run") == "100755" and modes.pop("link") == "120000"
    assert set(modes.values()) == {"100644"} and len(modes) == 3
    assert place.git("show", "1.2:link") == place.module.inside("index.php")[0]
    assert place.git("show", "1.2:hard") == "<?php"
    said = place.git("show", "--no-patch", "--format=%an %ae %at %ct %P|%B", "1.2")
    assert said.startswith("Saltworks git@localhost 1700000005 1700000005 |wiki 1.2\n")
    assert "Upstream-Version: 1.2+dfsg1" in said and orig("1.2+dfsg1") in said
    assert list((place.folder / "state").glob("work-*")) == []


def test_a_second_run_fetches_and_changes_nothing(place):
    place.add(debian="wiki")
    place.list("wiki", "1.2-1", {orig("1.2"): packed({"w/a": "a"})})
    place.update()
    asked = len(place.asked())
    assert place.update()["changed"] == {}
    assert len(place.asked()) == asked + 1 and place.asked()[-1].endswith("update")
    # Lists that are new enough are not asked for again.
    place.update(fresh_seconds=3600)
    assert len(place.asked()) == asked + 1


def test_the_same_archive_is_the_same_commit_whatever_was_there_before(place):
    place.add(debian="wiki")
    place.add("upstream/late", debian="wiki")
    place.list("wiki", "1.2-1", {orig("1.2"): packed({"w/a": "a"})})
    place.main("update", NAME)
    place.list("wiki", "1.10-1", {orig("1.10"): packed({"w/a": "b"})})
    place.update()
    for tag in ("1.2", "1.10"):
        assert place.git("rev-parse", tag) == place.git("rev-parse", tag, name="upstream/late")
    # 1.10 is newer than 1.2, and an older one that comes later does not take its place.
    for name in (NAME, "upstream/late"):
        assert place.git("rev-parse", "upstream", name=name) == place.git("rev-parse", "1.10")


def test_an_archive_without_one_folder_and_its_parts(place):
    place.add(debian="wiki")
    main = packed({".": folder, "./a": "a", "./b/c": "c"}, "w:gz")
    part = packed({"extension/x": "x"}, "w:bz2")
    place.list("wiki", "1-1", {orig("1", "-more", "bz2"): part, orig("1", ending="gz"): main})
    assert place.update()["failed"] == {}
    assert place.git("ls-tree", "-r", "--name-only", "1").split() == ["a", "b/c", "more/x"]


def test_of_one_tag_the_newest_is_taken_and_a_tag_stays(place):
    place.add(debian="wiki")
    place.list("wiki", "1.0~rc1+dfsg-2", {orig("1.0~rc1+dfsg"): packed({"w/a": "2"})})
    place.list("wiki", "1.0~rc1+dfsg-1", {orig("1.0~rc1+dfsg"): packed({"w/a": "1"})})
    place.list("wiki", "1.0~rc1+dfsg-3", {orig("1.0~rc1+dfsg"): packed({"w/a": "3"})})
    place.update()
    assert place.git("show", "1.0-rc1:a") == "3"
    place.list("wiki", "1.0~rc1+dfsg2-1", {orig("1.0~rc1+dfsg2"): packed({"w/a": "4"})})
    assert place.update()["changed"] == {}


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"../a": "a"}, "has a file '../a'"),
        ({"/a": "a"}, "has a file '/a'"),
        ({"w/.GIT/config": "a"}, "has a file 'w/.GIT/config'"),
        ({"w//a": "a"}, "has a file 'w//a'"),
        ({"w/a\nb": "a"}, r"has a file 'w/a\\nb'"),
        ({"w/a": link("../../b", tarfile.LNKTYPE)}, "has a file '../../b'"),
        ({"w/a": link("w/b", tarfile.LNKTYPE)}, "neither a file nor a link"),
        ({"w/a": link("", tarfile.FIFOTYPE)}, "neither a file nor a link"),
        ({"w/a": "a" * (2 << 20)}, "larger than it may be"),
    ],
)
def test_an_archive_that_is_not_safe_is_refused_and_leaves_nothing(place, files, why):
    path = place.add(debian="wiki")
    place.list("wiki", "1-1", {orig("1"): packed({"w/good": "good"} | files)})
    found = place.update()
    assert found["changed"] == {} and place.git("for-each-ref") == ""
    assert why.replace(r"\\n", "\\n") in found["failed"][NAME], found
    assert list(path.glob("objects/pack/tmp_*")) + list(path.glob("fast_import_crash_*")) == []
    assert list((place.folder / "state").glob("work-*")) == []


def test_a_broken_archive_is_refused(place):
    place.add(debian="wiki")
    place.list("wiki", "1-1", {orig("1"): packed({"w/a": os.urandom(4000).hex()})[:2000]})
    assert "cannot be unpacked" in place.update()["failed"][NAME]
    assert place.git("for-each-ref") == ""


def test_git_that_cannot_write_says_why(place, monkeypatch):
    place.add(debian="wiki")
    place.list("wiki", "1-1", {orig("1"): packed({"w/a": "a" * 500_000, "w/b": "b" * 500_000})})
    git = place.folder / "bin/git"
    real = subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout
    git.write_text(
        '#!/bin/sh\ncase "$*" in *fast-import*) '
        'echo "fatal: No space left on device" >&2; exit 128 ;; esac\n'
        f'exec {real.strip()} "$@"\n',
        encoding="utf-8",
    )
    git.chmod(0o755)
    assert place.module.ENVIRONMENT["PATH"].startswith(str(place.folder))
    monkeypatch.setenv("PATH", place.module.ENVIRONMENT["PATH"])
    said = place.update()["failed"][NAME]
    assert "No space left on device" in said and "Remedy" in said
    place.list("wiki", "2-1", {orig("2"): packed({"w/a": "a"})})
    assert "git cannot take wiki 2" in place.update()["failed"][NAME]


@pytest.mark.parametrize(
    ("said", "kind", "why"),
    [
        ("E: Failed to fetch http://x  404  Not Found [IP: ::1 80]", "waiting", "lists wiki=2-1"),
        ("E: Failed to fetch http://x  Hash Sum mismatch", "failed", "Hash Sum mismatch"),
        ("E: Could not connect to x", "failed", "see whether the host reaches the archive"),
    ],
)
def test_what_cannot_be_fetched_is_said_and_the_old_stays(place, said, kind, why):
    place.add(debian="wiki")
    place.list("wiki", "1-1", {orig("1"): packed({"w/a": "a"})})
    place.update()
    place.list("wiki", "2-1", {orig("2"): b"x"}, said=said)
    found = place.update()
    assert why in found[kind][NAME] and found["changed"] == {}
    assert place.git("tag") == "1"


def test_what_waits_does_not_hinder_older_ones(place):
    place.add(debian="wiki")
    place.list("wiki", "1-1", {orig("1"): packed({"w/a": "a"})})
    place.list("wiki", "2-1", {orig("2"): b"x"}, said="404  Not Found")
    place.list("wiki", "3-1", {orig("3"): b"x"}, said="404  Not Found")
    found = place.update()
    assert "wiki=3-1" in found["waiting"][NAME] and "refs/tags/1" in found["changed"][NAME]


def test_apt_that_brings_nothing_a_full_disk_and_unknown_packages(place):
    place.add(debian="wiki")
    place.add("upstream/native", debian="native")
    place.add("upstream/none", debian="none")
    place.list("wiki", "1-1", {orig("1"): packed({"w/a": "a"})})
    place.list("native", "1", {"native_1.tar.xz": b"x"})
    with (place.archive / "native.Sources").open("a", encoding="utf-8") as file:
        file.write("Package: native\nVersion: 2\n")
    (place.archive / "pool/1-1" / orig("1")).rename(place.archive / "pool/1-1/other")
    failed = place.update()["failed"]
    assert "apt did not fetch" in failed[NAME]
    assert "native 2 has no upstream archive" in failed["upstream/native"]
    assert "no source package 'none'" in failed["upstream/none"]
    place.known["free_bytes"] = 1 << 62
    assert "is full" in place.update()["failed"][NAME]


def test_an_archive_that_is_away_is_said_once_for_all(place):
    place.add(debian="wiki")
    place.add("upstream/two", debian="wiki")
    (place.archive / "down").touch()
    failed = place.update()["failed"]
    assert all("Could not connect" in why and "Remedy" in why for why in failed.values())
    assert len(failed) == 2 and len(place.asked()) == 1


def test_a_repository_that_is_not_there_is_said(place):
    place.known["repositories"]["upstream/gone"] = {"debian": "wiki"}
    assert "state.apply gitolite" in place.update()["failed"]["upstream/gone"]


def test_the_host_s_own_entries_are_asked_for_sources(place):
    parts = place.folder / "apt/sources.list.d"
    text = "# c\nTypes: deb deb-src\nURIs: http://two.test\nSuites: a\nSigned-By: /k\nEnabled: no\n"
    (parts / "two.sources").write_text(text, encoding="utf-8")
    (parts / "three.list").write_text("deb [signed-by=/k] http://3 a b\n", encoding="utf-8")
    (parts / "four.save").write_text("deb http://4 a b\n", encoding="utf-8")
    (place.folder / "state/sources.list.d").mkdir()
    (place.folder / "state/sources.list.d/old.list").touch()
    place.module.Archive(place.known).copy_sources()
    made = {
        str(path.relative_to(place.folder / "state")): path.read_text(encoding="utf-8")
        for path in (place.folder / "state").rglob("*")
        if path.is_file()
    }
    assert made == {
        "sources.list": "deb-src http://one.test/debian stable main\n",
        "sources.list.d/two.sources": text.replace("deb deb-src", "deb-src"),
        "sources.list.d/three.list": "deb-src [signed-by=/k] http://3 a b\n",
    }
    (place.folder / "apt/sources.list").unlink()
    place.module.Archive(place.known).copy_sources()
    assert (place.folder / "state/sources.list").read_text(encoding="utf-8") == ""


# -- mirrors ---------------------------------------------------------------------


@pytest.fixture
def elsewhere(tmp_path):
    """A repository of somebody else."""
    path = tmp_path / "elsewhere"
    subprocess.run(["git", "init", "-q", "-b", "main", str(path)], check=True)

    def git(*words):
        argv = ["git", "-C", str(path), "-c", "user.name=a", "-c", "user.email=a@b", *words]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()

    git("commit", "-q", "--allow-empty", "-m", "one")
    git.path = path
    return git


def test_a_mirror_follows_and_keeps_what_it_has_when_the_other_is_away(place, elsewhere):
    place.add(git=f"file://{elsewhere.path}")
    elsewhere("branch", "topic")
    elsewhere("tag", "v1")
    first = elsewhere("rev-parse", "HEAD")
    changed = place.update()["changed"][NAME]
    assert changed == dict.fromkeys(("refs/heads/main", "refs/heads/topic", "refs/tags/v1"), first)
    assert place.git("symbolic-ref", "HEAD") == "refs/heads/main"
    assert place.update()["changed"] == {}
    elsewhere("branch", "-D", "topic")
    elsewhere("commit", "-q", "--amend", "--allow-empty", "-m", "another")
    changed = place.update()["changed"][NAME]
    assert changed == {
        "refs/heads/main": elsewhere("rev-parse", "HEAD"),
        "refs/heads/topic": None,
    }
    elsewhere.path.rename(elsewhere.path.with_name("away"))
    found = place.update()
    assert "cannot be reached" in found["failed"][NAME] and found["changed"] == {}
    assert place.git("rev-parse", "main") == changed["refs/heads/main"]


def test_a_mirror_of_what_has_become_empty_keeps_what_it_has(place, elsewhere):
    place.add(git=f"file://{elsewhere.path}")
    place.update()
    elsewhere("update-ref", "-d", "refs/heads/main")
    assert "has no branch" in place.update()["failed"][NAME]
    assert place.git("for-each-ref")


def test_only_https_and_own_files_are_asked(place):
    place.add(git="ext::sh -c touch% /tmp/x")
    assert "not allowed" in place.update()["failed"][NAME]


# -- runs ------------------------------------------------------------------------


def test_a_run_that_takes_too_long_ends_and_the_next_begins_anew(place, monkeypatch):
    path = place.add(debian="wiki")
    place.add("upstream/zz", debian="wiki")
    place.list("wiki", "1-1", {orig("1"): packed({"w/a": "a"})})

    def fetch(*_):
        place.module.refuse_more()

    monkeypatch.setattr(place.module.Archive, "fetch", fetch)
    (place.folder / "state/work-old").mkdir()
    (path / "objects/pack/tmp_pack_x").touch()
    failed = place.update()["failed"]
    assert list(failed) == [NAME] and "not done within 60 s" in failed[NAME]
    assert not (place.folder / "state/work-old").exists()
    assert not (path / "objects/pack/tmp_pack_x").exists()
    monkeypatch.undo()
    monkeypatch.setitem(
        place.module.ENVIRONMENT, "PATH", f"{place.folder / 'bin'}:{os.environ['PATH']}"
    )
    assert place.update()["failed"] == {}


def test_an_import_that_is_ended_leaves_no_program_behind(place, monkeypatch):
    place.add(debian="wiki")
    place.list("wiki", "1-1", {orig("1"): packed({"w/a": "a"})})

    def add(*_):
        raise place.module.TimeUpError

    monkeypatch.setattr(place.module.Stream, "add", add)
    assert "not done within" in place.update()["failed"][NAME]
    assert place.git("for-each-ref") == ""


def test_everybody_may_read_how_the_last_run_ended_and_nothing_else(place):
    place.add(debian="wiki")
    place.list("wiki", "1-1", {orig("1"): packed({"w/a": "a"})})
    assert place.main("update") == 0
    modes = {path.name: path.stat().st_mode & 0o777 for path in (place.folder / "state").iterdir()}
    assert modes.pop("status.json") == 0o644
    assert all(mode & 0o007 == 0 for mode in modes.values()), modes


def test_the_command_line(place, capsys):
    place.add(debian="wiki")
    place.list("wiki", "1-1", {orig("1"): packed({"w/a": "a"})})
    assert place.main("lacking") == 0
    assert json.loads(capsys.readouterr().out) == [NAME]
    assert place.main("missing") == 0
    assert json.loads(capsys.readouterr().out)["changed"]
    assert place.main("missing", NAME) == 0
    assert json.loads(capsys.readouterr().out)["changed"] == {}
    assert place.main("lacking", "upstream/nobody") == 2
    assert "pillar/upstreams.yaml" in capsys.readouterr().err
    assert not (place.folder / "state/status.json").exists()
    place.known["state"] += "/none"
    assert place.main("update") == 2


def test_the_check_tells_of_failures_at_once_and_of_what_waits_in_time(place, capsys):
    place.add(debian="wiki")
    assert place.main("check") == 0
    place.list("wiki", "1-1", {orig("1"): packed({"w/a": "a"})})
    assert place.main("update") == 0 and place.main("check") == 0
    (place.archive / "down").touch()
    assert place.main("update") == 1 and place.main("check") == 1
    assert "Could not connect" in capsys.readouterr().out
    (place.archive / "down").unlink()
    place.list("wiki", "2-1", {orig("2"): b"x"}, said="404  Not Found")
    # One repository alone is not the night's run.
    assert place.main("update", NAME) == 0 and place.main("check") == 1
    assert place.main("update") == 0 and place.main("check") == 0
    config, now = place.folder / "config.json", time.time()
    complaints = place.module.complaints
    assert complaints(place.known, config, now) == []
    later = complaints(place.known, config, now + place.module.PATIENCE_SECONDS + 1)
    assert "has no upstream archive" in later[0] and "no run for two days" in later[1]
    (place.folder / "state/status.json").write_text("{", encoding="utf-8")
    assert place.main("update") == 0 and place.main("check") == 0
    (place.folder / "state/status.json").unlink()
    assert complaints(place.known, config, now + place.module.SILENT_SECONDS + 60)
