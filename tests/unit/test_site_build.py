"""Releases: made of commits, the same bytes each time, or refused with the reason."""

import errno
import hashlib
import io
import json
import os
import pwd
import subprocess
import tarfile
import time
from types import SimpleNamespace

import pytest
from salt.exceptions import CommandExecutionError

from tests.unit.conftest import load_module

APPS = load_module("_modules/site_apps.py")
WHEELS = load_module("_modules/site_wheels.py")
REPOSITORY = "webplatform/www"
# What stands in for systemd: it leaves the options out and runs the steps; what it says
# at the end is what the test wants.
SYSTEMD_RUN = """#!/bin/sh
echo "$@" >> {folder}/asked
echo "Running as unit: x" >&2
{before}
while [ "$1" != --chdir ]; do shift; done
cd "$2"
while [ "$1" != prlimit ]; do shift; done
while [ "$1" != -- ]; do shift; done
shift
"$@"
code=$?
{after}
exit $code
"""
FINISHED = (
    'if [ $code = 0 ]; then echo "Finished with result: success" >&2; '
    'else echo "Finished with result: exit-code" >&2; fi'
)


def git(folder, *words, **more):
    done = subprocess.run(
        ["git", "-c", "user.name=ada", "-c", "user.email=ada@example.org", *words],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        **more,
    )
    return done.stdout.strip()


class Place:
    """A builder in a folder: its configuration, a repository, and a stand-in for systemd."""

    def __init__(self, folder):
        self.folder, self.var = folder, folder / "var"
        self.path = folder / "builder.json"
        self.bare = folder / "repositories" / f"{REPOSITORY}.git"
        self.tree = folder / "tree"
        for path in (self.var / "work", self.var / "cache", self.bare.parent, folder / "bin"):
            path.mkdir(parents=True)
        self.certificate()
        self.config = {
            "user": pwd.getpwuid(os.geteuid()).pw_name,
            "folder": str(self.var),
            "repositories": str(folder / "repositories"),
            "tools": "/usr/local/lib/saltworks/build",
            "key": str(folder / "key.pem"),
            "certificate": str(folder / "host.crt"),
            "ca": str(folder / "host.crt"),
            "keep": 2,
            "log_bytes": 10000,
            "tasks": 64,
            "archive_bytes": 1000000,
            "free_bytes": 0,
            "data": {"domain": "webplatform.test", "level": "sandbox"},
            "fetch": {
                "user": pwd.getpwuid(os.geteuid()).pw_name,
                "seconds": 50,
                "memory_mb": 32,
                "bytes": 20000,
                "days": 90,
            },
            "apps": {
                "www": {
                    "repository": REPOSITORY,
                    "branch": "main",
                    "version": None,
                    "packages": [],
                    "build": ["mkdir public", "cp a.txt public/"],
                    "output": "public",
                    "seconds": 60,
                    "memory_mb": 64,
                    "told": True,
                },
                "later": {
                    "repository": "webplatform/later",
                    "branch": "main",
                    "version": None,
                    "build": [],
                    "output": ".",
                    "seconds": 60,
                    "memory_mb": 64,
                    "told": False,
                },
            },
        }
        self.save()
        self.program("systemctl", "#!/bin/sh\nexit 0\n")
        self.systemd()

    def certificate(self):
        """A certificate of its own, which is its own authority, too."""
        made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=source1"]
        made += ["-keyout", str(self.folder / "key.pem"), "-out", str(self.folder / "host.crt")]
        subprocess.run(made, check=True, capture_output=True)

    def save(self, settings=(), **changes):
        self.config["apps"]["www"].update(settings)
        self.config.update(changes)
        self.path.write_text(json.dumps(self.config))

    def program(self, name, text):
        path = self.folder / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def systemd(self, before="", after=FINISHED):
        self.program(
            "systemd-run", SYSTEMD_RUN.format(folder=self.folder, before=before, after=after)
        )

    def commit(self, message="first", **files):
        if not self.tree.exists():
            git(self.folder, "init", "--quiet", "--bare", "--initial-branch=main", str(self.bare))
            git(self.folder, "clone", "--quiet", str(self.bare), str(self.tree))
        (self.tree / "a.txt").write_text(message)
        for name, text in files.items():
            (self.tree / name).write_text(text)
        git(self.tree, "add", "--all")
        git(self.tree, "commit", "--quiet", "--message", message)
        git(self.tree, "push", "--quiet", "origin", "HEAD:main")
        return git(self.tree, "rev-parse", "HEAD")

    def left(self):
        """What lies about beside whole releases."""
        work = {path.name for path in (self.var / "work").iterdir()} - {"www.lock", "later.lock"}
        releases = self.var / "releases/www"
        new = {path.name for path in releases.glob(".*")} if releases.is_dir() else set()
        return work | new

    def files(self, release):
        folder = self.var / "releases/www" / release
        return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def build():
    known = {"site_apps.inputs": APPS.inputs, "site_wheels.locked": WHEELS.locked}
    return load_module("_modules/site_build.py", salt=known)


@pytest.fixture
def place(tmp_path, monkeypatch):
    made = Place(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return made


def refused(place, build, why, **more):
    with pytest.raises(CommandExecutionError, match=why) as caught:
        build.build("www", config=place.path, **more)
    assert not place.left()
    return str(caught.value)


# -- releases --------------------------------------------------------------------


def test_a_release_is_made_of_a_commit_signed_and_laid_out(place, build):
    commit = place.commit()
    made = build.build("www", config=place.path)
    release = f"{commit}-{APPS.inputs(place.config['apps']['www'], place.config['data'])}"
    files = place.files(release)
    assert set(files) == set(build.FILES)
    manifest = json.loads(files["manifest.json"])
    assert made == manifest | {"built": True, "seconds": made["seconds"]}
    assert manifest == {
        "app": "www",
        "release": release,
        "commit": commit,
        "inputs": release.partition("-")[2],
        "created": manifest["created"],
        "archive": {
            "sha256": manifest["archive"]["sha256"],
            "size": len(files["archive.tar.gz"]),
        },
        "files": 1,
    }
    stamp = git(place.tree, "show", "-s", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", "--format=%cd",
                env={"TZ": "UTC", "PATH": os.environ["PATH"]})  # fmt: skip
    assert manifest["created"] == stamp
    folder = place.var / "releases/www" / release
    words = ["openssl", "cms", "-verify", "-inform", "DER", "-binary", "-purpose", "any"]
    words += ["-CAfile", str(place.folder / "host.crt"), "-content", str(folder / "manifest.json")]
    words += ["-in", str(folder / "manifest.json.sig"), "-out", "/dev/null"]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 0
    with tarfile.open(folder / "archive.tar.gz") as archive:
        assert [(one.name, one.uname, one.uid) for one in archive] == [("a.txt", "root", 0)]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}
    assert folder.stat().st_mode & 0o777 == 0o755
    assert not place.left()
    assert build.releases("www", config=place.path) == [release]
    said = build.log("www", release, config=place.path)
    assert said.startswith("+ mkdir public\n+ cp a.txt public/\n# ")


def test_the_same_commit_is_the_same_bytes(place, build):
    place.commit()
    release = build.build("www", config=place.path)["release"]
    first = place.files(release)
    assert build.build("www", config=place.path)["built"] is False
    build.shutil.rmtree(place.var / "releases/www" / release)
    assert build.build("www", config=place.path)["built"] is True
    second = place.files(release)
    for name in ("archive.tar.gz", "manifest.json"):
        assert first[name] == second[name], name


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: (folder / "archive.tar.gz").write_bytes(b"short"),
        lambda folder: (folder / "archive.tar.gz").unlink(),
        lambda folder: (folder / "manifest.json").write_text("{"),
        lambda folder: (folder / "manifest.json").write_text("{}"),
        lambda folder: (folder / "manifest.json.sig").write_bytes(b"forged"),
        lambda folder: (folder / "build.log").unlink(),
    ],
)
def test_a_release_that_is_not_whole_is_made_again(place, build, harm):
    place.commit()
    release = build.build("www", config=place.path)["release"]
    harm(place.var / "releases/www" / release)
    assert build.build("www", config=place.path)["built"] is True
    assert build.build("www", config=place.path)["built"] is False


def test_two_releases_of_a_commit_have_other_times(place, build):
    """A web server tells a page that a reader has from today's by time and length."""
    place.commit()
    times = []
    for domain in ("one.test", "two.test"):
        place.save(data={"domain": domain, "level": "sandbox"})
        release = build.build("www", config=place.path)["release"]
        with tarfile.open(place.var / "releases/www" / release / "archive.tar.gz") as archive:
            times.append([one.mtime for one in archive])
    assert times[0] != times[1]


def test_another_authority_has_it_made_anew(place, build):
    place.commit()
    release = build.build("www", config=place.path)["release"]
    before = place.files(release)
    place.certificate()
    assert build.build("www", config=place.path)["built"] is True
    after = place.files(release)
    assert before["manifest.json"] == after["manifest.json"]
    assert before["manifest.json.sig"] != after["manifest.json.sig"]


def test_what_the_level_says_makes_another_release(place, build):
    place.commit()
    first = build.build("www", config=place.path)["release"]
    place.save(data={"domain": "webplatform.test", "level": "demo"})
    second = build.build("www", config=place.path)
    assert second["built"] is True and second["release"] != first


def test_the_newest_stay_and_what_is_wanted_again_is_new(place, build):
    commits = [place.commit(text) for text in ("one", "two")]
    made = [build.build("www", ref=commit, config=place.path)["release"] for commit in commits]
    for age, release in enumerate(reversed(made)):
        os.utime(place.var / "releases/www" / release, (1000 - age, 1000 - age))
    assert build.releases("www", config=place.path) == made[::-1]
    assert build.build("www", ref=commits[0], config=place.path)["built"] is False
    third = build.build("www", ref=place.commit("three"), config=place.path)["release"]
    assert set(build.releases("www", config=place.path)) == {made[0], third}


def test_a_build_knows_what_it_makes_and_nothing_else(place, build):
    commit = place.commit()
    # The stand-in has no fence: the words that make it are looked at instead.
    made = build.build("www", config=place.path)
    asked = (place.folder / "asked").read_text()
    for word in (
        f"--setenv COMMIT {commit} ",
        f"--setenv RELEASE {made['release']} ",
        "--setenv DOMAIN webplatform.test ",
        "--setenv LEVEL sandbox ",
        "--setenv APP www ",
        f"--setenv CACHE {place.var}/cache/www ",
        f"--setenv BUILD_DATA {place.var}/work/www/data.json ",
        "--unshare-all",
        "--clearenv",
        "--unit=build-www",
        "--property=RuntimeMaxSec=60",
        "--property=MemoryMax=67108864",
        "--nproc=64",
        "--data=67108864",
        f"--property=User={place.config['user']}",
    ):
        assert word in asked, word
    bound = asked.split("--unshare-all")[1].split()
    for option in ("--bind", "--ro-bind", "--ro-bind-try"):
        for at, word in enumerate(bound):
            if word == option:
                allowed = ("/usr", "/proc", "/etc/", "/opt/salt", f"{place.var}/")
                assert bound[at + 1].startswith(allowed), word


# What a step sees: its folder is beside that which it is told of.
TOLD = ["mkdir public", "cat ../data.json > public/data.json"]


def packed(place, release):
    """The files of a release and what they hold."""
    with tarfile.open(place.var / "releases/www" / release / "archive.tar.gz") as archive:
        return {one.name: archive.extractfile(one).read().decode() for one in archive}


def test_a_build_that_is_told_knows_the_level(place, build):
    place.commit()
    place.save({"build": TOLD})
    release = build.build("www", config=place.path)["release"]
    assert json.loads(packed(place, release)["data.json"]) == place.config["data"]


def test_a_build_that_is_not_told_knows_nothing_of_the_level(place, build):
    place.commit()
    place.save({"build": TOLD, "told": False})
    release = build.build("www", config=place.path)["release"]
    assert json.loads(packed(place, release)["data.json"]) == {}
    asked = (place.folder / "asked").read_text()
    assert "--setenv APP www " in asked
    assert not {"DOMAIN", "LEVEL"} & set(asked.split())
    assert "webplatform.test" not in asked
    # Whatever the level: it is the same release.
    place.save(data={"domain": "elsewhere.test", "level": "demo"})
    again = build.build("www", config=place.path)
    assert (again["built"], again["release"]) == (False, release)


def test_without_commands_the_tree_itself_is_the_release(place, build):
    place.commit(**{"b.txt": "b"})
    place.save({"build": [], "output": "."})
    assert build.build("www", config=place.path)["files"] == 2
    assert not (place.folder / "asked").exists()


# -- commits ---------------------------------------------------------------------


def test_a_repository_that_is_empty_or_missing_has_nothing_to_build(place, build):
    commit = place.commit()
    config = {"config": place.path}
    made = build.build("www", **config)
    assert made["commit"] == commit
    wanted = {"later": None, "www": made["inputs"]}
    empty = place.folder / "repositories/webplatform/later.git"
    for _ in ("missing", "empty"):
        assert build.inputs(["later", "www"], **config) == wanted
        with pytest.raises(CommandExecutionError, match="has no branch main"):
            build.build("later", **config)
        git(place.folder, "init", "--quiet", "--bare", str(empty))


@pytest.mark.parametrize("words", [[], ["--annotate", "--message", "two"]], ids=["plain", "told"])
def test_a_version_is_the_commit_of_its_tag(place, build, words):
    tagged, config = place.commit("one"), {"config": place.path}
    git(place.tree, "tag", *words, "v1.0")
    git(place.tree, "push", "--quiet", "origin", "v1.0")
    place.commit("two")
    place.save({"branch": None, "version": "v1.0"})
    made = build.build("www", **config)
    assert made["commit"] == tagged
    assert packed(place, made["release"]) == {"a.txt": "one"}


def test_a_version_is_a_tag_and_no_branch_of_that_name(place, build):
    first, config = place.commit("one"), {"config": place.path}
    place.save({"branch": None, "version": "main"})
    # What runs may be of a tag that has gone.
    assert len(build.inputs(["www"], **config)["www"]) == 8
    refused(place, build, r"the repository webplatform/www has no version main \(there: none\)$")
    place.save({"branch": "v1.0", "version": None})
    git(place.tree, "push", "--quiet", "origin", f"{first}:refs/tags/v1.0")
    refused(place, build, "the repository webplatform/www has no branch v1.0$")


def tagged(place, *tags):
    """A commit for each tag, in this order; which commit each tag is."""
    found = {}
    for tag in tags:
        found[tag] = place.commit(tag)
        git(place.tree, "push", "--quiet", "origin", f"HEAD:refs/tags/{tag}")
    return found


@pytest.mark.parametrize(
    ("pattern", "newest"),
    [
        ("1.43.*", "1.43.10"),
        ("1.44.*", "1.44.0"),
        ("1.4*", "1.45.0-rc.2"),
        ("1.45.*", "1.45.0-rc.2"),
        ("1.43.9", "1.43.9"),
        ("*", "1.45.0-rc.2"),
    ],
)
def test_a_pattern_is_the_newest_version_that_it_names(place, build, pattern, newest):
    # Neither the newest commit nor the last of the alphabet; what is to be one is older.
    tags = ["1.43.10", "1.43.9", "1.44.0", "1.44.0-rc.1", "1.45.0-rc.2", "1.45.0-rc.1", "1.5"]
    commits = tagged(place, *tags)
    place.save({"branch": None, "version": pattern})
    made = build.build("www", config=place.path)
    assert made["commit"] == commits[newest]
    assert packed(place, made["release"]) == {"a.txt": newest}


def test_a_pattern_follows_the_tags_that_come(place, build):
    place.save({"branch": None, "version": "1.43.*"})
    tagged(place, "1.43.9")
    first = build.build("www", config=place.path)["release"]
    commits = tagged(place, "1.43.10", "1.44.0")
    second = build.build("www", config=place.path)
    assert second["commit"] == commits["1.43.10"]
    # Made of the same beside its commit: nothing is made anew for the tag alone.
    assert second["inputs"] == first.partition("-")[2]


def test_a_version_that_is_not_there_names_those_that_are(place, build):
    tagged(place, "1.43.9", "1.43.10", "1.42.1")
    there = r"\(there: 1\.43\.10, 1\.43\.9, 1\.42\.1\)$"
    for version, said in (("1.44.*", r"1\.44\.\*"), ("1.43.1", r"1\.43\.1"), ("1.43", r"1\.43")):
        place.save({"branch": None, "version": version})
        refused(place, build, f"the repository webplatform/www has no version {said} {there}")


def test_a_version_of_a_repository_that_is_not_there(place, build):
    place.save({"repository": "upstream/none", "branch": None, "version": "1.*"})
    refused(place, build, r"upstream/none has no version 1\.\* \(there: none\)$")


def test_a_host_builds_before_its_configuration_knows_newer_settings(place, build):
    commit = place.commit()
    place.save({"build": TOLD})
    known = build.build("www", config=place.path)["release"]
    for key in ("version", "told", "packages"):
        del place.config["apps"]["www"][key]
    place.save()
    release = build.build("www", config=place.path)["release"]
    # As it was before: of a branch, and told of the level.
    assert release == known and release.startswith(commit)
    assert json.loads(packed(place, release)["data.json"]) == place.config["data"]


@pytest.mark.parametrize(
    ("version", "runs", "newest", "behind"),
    [
        ("1.43.*", "1.43.10", "1.43.10", False),
        ("1.43.*", "1.43.9", "1.43.10", True),
        # The line says more than what runs, or less.
        ("1.44.*", "1.43.10", "1.44.1-rc.1", True),
        ("1.42.*", "1.43.9", "1.42.1", False),
        ("1.43.9", "1.43.9", "1.43.10", True),
        ("1.43.10", "1.43.9", "1.43.10", True),
        # Not the next series, and nothing that is to become a version.
        ("1.44.0", "1.44.0", "1.44.0", False),
        ("1.44.1-rc.1", "1.44.1-rc.1", "1.44.1-rc.1", False),
        # The first of a series.
        ("1.5", "1.5", "1.5", False),
        # There is none; nothing is newer than what runs.
        ("1.46.*", "1.44.0", None, False),
        ("1.43.*", None, "1.43.10", True),
    ],
)
def test_what_runs_is_held_against_what_is_there(place, build, version, runs, newest, behind):
    tags = ["1.43.10", "1.43.9", "1.44.0", "1.44.1-rc.1", "1.42.1", "1.5"]
    commits = tagged(place, *tags) | {None: "0" * 40}
    git(place.tree, "tag", "--force", "--annotate", "--message", "x", "1.43.9", commits["1.43.9"])
    git(place.tree, "push", "--quiet", "--force", "origin", "refs/tags/1.43.9")
    asked = {"www": {"version": version, "release": f"{commits[runs]}-0badcafe"}}
    assert build.versions(asked, config=place.path) == {
        "www": {"runs": runs, "newest": newest, "behind": behind}
    }


def test_of_a_repository_that_is_not_there_no_version_is_known(place, build):
    asked = {"later": {"version": "1.*", "release": f"{'0' * 40}-0badcafe"}}
    none = {"runs": None, "newest": None, "behind": False}
    assert build.versions(asked, config=place.path) == {"later": none}


def test_another_version_is_another_release_even_of_the_same_commit(place, build):
    place.commit()
    for tag in ("v1", "v2"):
        git(place.tree, "push", "--quiet", "origin", f"HEAD:refs/tags/{tag}")
    names = []
    for version in ("v1", "v2"):
        place.save({"branch": None, "version": version})
        names.append(build.build("www", config=place.path)["release"])
    assert len(set(names)) == 2 and len({name.partition("-")[0] for name in names}) == 1


def test_another_commit_than_the_version_can_be_asked_for(place, build):
    commit = place.commit()
    place.save({"branch": None, "version": "v1"})
    assert build.build("www", ref="main", config=place.path)["commit"] == commit


def test_a_repository_that_git_refuses_is_told(place, build):
    place.commit()
    (place.bare / "HEAD").write_text("broken")
    with pytest.raises(CommandExecutionError, match="webplatform/www: fatal: "):
        build.build("www", config=place.path)


def test_folders_can_be_entered_whatever_the_caller_s_umask(place, build):
    place.commit()
    before = os.umask(0o077)
    try:
        release = build.build("www", config=place.path)["release"]
    finally:
        os.umask(before)
    for path in ("releases/www", f"releases/www/{release}", "cache/www"):
        assert (place.var / path).stat().st_mode & 0o755 == 0o755, path


@pytest.mark.parametrize("ref", ["gone", "0" * 40, "--help", "main:a.txt", "", "main@{1}"])
def test_what_is_no_commit_is_refused(place, build, ref):
    place.commit()
    refused(place, build, r"webplatform/www has no commit", ref=ref)


def test_an_app_or_a_configuration_that_is_not_here_is_refused(place, build, tmp_path):
    for function in (build.build, build.releases):
        with pytest.raises(CommandExecutionError, match=r"'x' is not built here; later, www is"):
            function("x", config=place.path)
    with pytest.raises(CommandExecutionError, match="not built here"):
        build.inputs(["www", "x"], config=place.path)
    with pytest.raises(CommandExecutionError, match="nothing is built here"):
        build.build("www", config=tmp_path / "gone.json")


def test_a_log_that_is_not_here_is_refused(place, build):
    for release in ("../../etc", f"{'0' * 40}-{'0' * 8}"):
        with pytest.raises(CommandExecutionError, match="there is no release"):
            build.log("www", release, config=place.path)


def test_programs_run_as_others_without_their_groups(build):
    assert build._as(os.geteuid(), 0) == {}
    assert build._as(os.geteuid() + 1, 5) == {
        "user": os.geteuid() + 1,
        "group": 5,
        "extra_groups": [],
    }


# -- builds that fail ------------------------------------------------------------


def test_a_step_that_fails_is_told_with_the_end_of_the_log(place, build):
    place.commit()
    place.save({"build": ["seq 100; echo why >&2; exit 3", "echo never"]})
    said = refused(place, build, r"www \w{12} is not built: a step failed \(exit-code, exit code 3")
    assert said.endswith("99\n100\nwhy") and "\n50\n" not in said and "never" not in said
    assert build.releases("www", config=place.path) == []


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ("", 'echo "Finished with result: timeout" >&2; code=1', "longer than 60 s"),
        ("", 'echo "Finished with result: oom-kill" >&2; code=1', "out of memory.* 64 MiB"),
        ("", 'echo "Finished with result: signal" >&2; code=0', r"failed \(signal, exit code 0\)"),
        ("echo Failed to start >&2; exit 1", "", "could not be started: .*Failed to start"),
        ("exit 1", "", "could not be started: Running as unit"),
        (
            'echo "bwrap: no namespaces" >&2; echo "Finished with result: exit-code" >&2; exit 1',
            "",
            "exit code 1.; bwrap: no namespaces",
        ),
    ],
)
def test_what_systemd_says_of_the_end_is_told(place, build, before, after, why):
    place.commit()
    place.systemd(before, after)
    refused(place, build, why)


def test_a_log_without_end_is_cut_and_ends_the_build(place, build):
    place.commit()
    # Stopping the unit ends the stand-in, too.
    place.program("systemctl", f'#!/bin/sh\n[ "$1" = stop ] && touch {place.folder}/stop\nexit 0\n')
    step = f"rm -f {place.folder}/stop; while [ ! -e {place.folder}/stop ]; do seq 1000; done"
    place.save({"build": [step]})
    said = refused(place, build, "its log is longer than 10000 bytes")
    assert len(said) < 5000


def test_a_disk_that_fills_up_ends_the_build(place, build, monkeypatch):
    place.commit()
    stop = place.folder / "stop"
    place.program("systemctl", f'#!/bin/sh\n[ "$1" = stop ] && touch {stop}\nexit 0\n')
    # It has room at first, and once more; then it has none, and says so once.
    free = iter([10, 10])
    monkeypatch.setattr(
        build.shutil, "disk_usage", lambda path: SimpleNamespace(free=next(free, 3))
    )
    step = f"rm -f {stop}; while [ ! -e {stop} ]; do sleep 0.1; done; sleep 1.5"
    place.save({"build": [step]}, free_bytes=5)
    refused(place, build, "the disk is full: 0 MiB are free")
    refused(place, build, "is not built: the disk is full")


@pytest.mark.parametrize(
    ("number", "why"), [(errno.ENOSPC, "the disk is full$"), (errno.EIO, "Input/output error")]
)
def test_an_error_of_the_disk_leaves_nothing(place, build, monkeypatch, number, why):
    place.commit()

    def fail(folder):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(build, "_keep", fail)
    refused(place, build, why)
    assert build.releases("www", config=place.path) == []


def test_a_key_that_does_not_sign_is_told(place, build):
    place.commit()
    (place.folder / "key.pem").write_text("no key")
    refused(place, build, "its manifest cannot be signed: .")


def test_a_program_that_fails_without_a_word_is_told(build):
    with pytest.raises(CommandExecutionError, match="this: it failed"):
        build._done("this", ["false"])


def test_what_a_killed_call_left_is_removed(place, build):
    place.commit()
    (place.var / "work/www/tree").mkdir(parents=True)
    (place.var / f"releases/www/.new-{'0' * 40}-{'0' * 8}").mkdir(parents=True)
    build.build("www", config=place.path)
    assert not place.left()


# -- packages --------------------------------------------------------------------


LOCK = "requirements.txt"
RULE = f"meta skuid {os.geteuid()} jump fenced"


class Index:
    """What the stand-in for pip brings, a lock of it, and the packet filter's rules."""

    def __init__(self, place):
        self.place, self.folder = place, place.folder / "index"
        self.store = place.var / "packages/www"
        self.folder.mkdir()
        self.filter()
        self.pip()

    def filter(self, rules=RULE):
        self.place.program("nft", f"#!/bin/sh\necho '{rules}'\n")

    def pip(self, more=""):
        text = f'#!/bin/sh\necho "$@" >> {self.place.folder}/pip\ncp -P {self.folder}/* .\n{more}'
        self.place.program("pip", text)

    def asked(self):
        """How often the index was asked."""
        path = self.place.folder / "pip"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def wheel(self, name, text):
        """A package, and its line of a lock."""
        (self.folder / f"{name}-1.0-py3-none-any.whl").write_text(text)
        return f"{name}==1.0 --hash=sha256:{hashlib.sha256(text.encode()).hexdigest()}\n"

    def kept(self):
        return {path.name.partition("-")[0] for path in self.store.iterdir()}


@pytest.fixture
def index(place):
    place.save({"packages": [LOCK]})
    return Index(place)


def test_what_a_lock_names_is_fetched_once(place, build, index):
    one = index.wheel("one", "1")
    place.commit(**{LOCK: one})
    build.build("www", config=place.path)
    assert index.kept() == {"one"} and index.asked() == 1
    asked = (place.folder / "asked").read_text().splitlines()
    fetch, made = [line for line in asked if "--unit=" in line]
    for words, line in (
        (["--unit=fetch-www", "--share-net", "PrivateNetwork=no", "RuntimeMaxSec=50"], fetch),
        (["--data=33554432", "--fsize=20000", "/etc/resolv.conf", "--require-hashes"], fetch),
        (["--unit=build-www", "PrivateNetwork=yes", "--setenv PIP_NO_INDEX 1"], made),
        ([f"--setenv PIP_FIND_LINKS {index.store} ", f"--ro-bind {index.store} "], made),
    ):
        for word in words:
            assert word in line, word
    assert "--share-net" not in made and "resolv.conf" not in made
    # Neither the tree, nor what builds keep, nor what the level says.
    for word in ("tree", "cache/", "data.json", "PIP_NO_INDEX", "DOMAIN", "COMMIT"):
        assert word not in fetch, word
    # Another commit of the same lock asks nobody.
    index.pip("exit 1")
    place.commit("second")
    build.build("www", config=place.path)
    assert index.asked() == 1
    # Of another lock, only what is not here is asked for.
    index.pip(f'for word; do :; done; cp "${{word#*=}}" {place.folder}/lock\n')
    (index.folder / "one-1.0-py3-none-any.whl").unlink()
    two = index.wheel("two", "2")
    place.commit("third", **{LOCK: one + two})
    build.build("www", config=place.path)
    assert index.asked() == 2 and index.kept() == {"one", "two"}
    assert (place.folder / "lock").read_text() == two


def test_an_index_that_cannot_be_reached_is_told(place, build, index):
    place.commit(**{LOCK: index.wheel("one", "1")})
    index.pip("echo no route; exit 1")
    said = refused(place, build, r"its packages cannot be fetched: a step failed .*\. Remedy: ")
    assert said.endswith("no route") and index.kept() == set()


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        ("echo other > one-1.0-py3-none-any.whl", "one-1.0-.* has another digest than the lock"),
        ("rm *.whl", "not all fetched: one==1.0. Remedy: "),
        ("touch a.tar.gz", "a.tar.gz is no wheel"),
        ("ln -sf /etc/shadow one-1.0-py3-none-any.whl", "symbolic links"),
        ("head -c 20001 /dev/zero > two.whl", "fetched: they are larger than 20000 bytes"),
    ],
)
def test_what_is_not_that_of_the_lock_is_not_kept(place, build, index, harm, why):
    place.commit(**{LOCK: index.wheel("one", "1")})
    index.pip(harm)
    refused(place, build, why)
    assert index.kept() == set()


def test_nothing_is_fetched_where_the_packet_filter_has_no_rule(place, build, index):
    place.commit(**{LOCK: index.wheel("one", "1")})
    index.filter("")
    refused(place, build, "does not limit who fetches. Remedy: salt-call state.apply nftables")
    assert not index.asked()


def test_a_commit_without_the_lock_needs_no_packages(place, build, index):
    place.commit()
    assert build.build("www", config=place.path)["built"] and not index.asked()


def test_what_is_no_lock_is_refused(place, build, index):
    place.commit(**{LOCK: "one==1.0\n"})
    refused(place, build, f"{LOCK}: one==1.0 has no hash. Remedy: write the lock with `pip-comp")
    place.commit(**{LOCK: "#" * (build.LOCK_BYTES + 1)})
    refused(place, build, f"{LOCK} is no lock: a file of at most 1048576 bytes")
    (place.tree / "folder").mkdir()
    place.commit(**{"folder/x": "x"})
    place.save({"packages": ["folder"]})
    refused(place, build, "folder is no lock")
    assert not index.asked()


def test_packages_that_nobody_needs_any_more_go(place, build, index):
    place.commit(**{LOCK: index.wheel("one", "1")})
    index.store.mkdir(parents=True)
    now = time.time()
    for name, size, days in (
        ("new", 9000, 1),
        ("large", 9000, 2),
        ("more", 9000, 3),
        ("old", 1, 91),
    ):
        path = index.store / f"{name}-1.whl"
        path.write_bytes(b"\0" * (size + days))
        os.utime(path, (now - days * 86400,) * 2)
    (index.store / ".new-x.whl").write_text("what a killed fetch left")
    build.build("www", config=place.path)
    assert index.kept() == {"one", "new", "large"}
    # What is needed stays however old it is.
    os.utime(index.store / "one-1.0-py3-none-any.whl", (0, 0))
    place.commit("second")
    build.build("www", config=place.path)
    assert index.kept() == {"one", "new", "large"} and index.asked() == 1
    assert (index.store / "one-1.0-py3-none-any.whl").stat().st_mtime >= now - 1


# -- what comes out --------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ("true", "its output 'public' is empty"),
        ("mkdir public", "its output 'public' is empty"),
        ("ln -s /etc public", "leads out of its tree"),
        ("mkdir public; ln -s /etc/passwd public/x", "the link x leads out"),
        ("mkdir -p public/a; ln -s ../../a.txt public/a/x", "the link a/x leads out"),
        ("mkdir -p public; ln -s .. public/a; ln -s a/a.txt public/b", "the link a leads out"),
        ("mkdir public; mkfifo public/x", "x is neither a file"),
        ("mkdir public; head -c 1000001 /dev/zero > public/x", "larger than 1000000 bytes"),
    ],
)
def test_an_output_that_cannot_be_a_release_is_refused(place, build, step, why):
    place.commit()
    # The stand-in runs with the limits of prlimit left out.
    place.save({"build": [step]})
    refused(place, build, why)


def test_an_archive_is_sorted_and_even(build, tmp_path):
    tree = tmp_path / "tree"
    (tree / "b").mkdir(parents=True)
    for name in ("z", "b/a", "run"):
        (tree / name).write_text(name)
    (tree / "run").chmod(0o4750)
    (tree / "z").chmod(0o600)
    os.link(tree / "z", tree / "y")
    (tree / "b/l").symlink_to("../z")
    assert build._pack(tree, tmp_path / "one", 1000, 100000) == 4
    os.utime(tree / "z", (5, 5))
    assert build._pack(tree, tmp_path / "two", 1000, 100000) == 4
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    with tarfile.open(fileobj=io.BytesIO((tmp_path / "one").read_bytes())) as archive:
        found = {one.name: (one.mode, one.mtime, one.uid, one.type) for one in archive}
        assert archive.extractfile("y").read() == b"z"
        assert archive.getmember("b/l").linkname == "../z"
    assert list(found) == ["b", "b/a", "b/l", "run", "y", "z"]
    assert found["run"] == (0o755, 1000, 0, tarfile.REGTYPE)
    assert found["z"] == (0o644, 1000, 0, tarfile.REGTYPE)
    assert found["y"][3] == tarfile.REGTYPE
    assert found["b"][0] == 0o755
