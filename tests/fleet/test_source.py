"""The repositories of the apps: cloned and pushed over SSH, and shown as pages."""

import secrets
import subprocess

import pytest

from tests.support.hosts import LEVEL
from tests.support.pushes import APPS, Pusher

OWNER, REPOSITORY = "webplatform", "webplatform/www"
BARE = f"/var/lib/git/repositories/{REPOSITORY}.git"
BRANCH = APPS["www"]["branches"].get(LEVEL)

pytestmark = pytest.mark.skipif(not BRANCH, reason="no repository is for this level")


@pytest.fixture(scope="module")
def source(fleet):
    return fleet.with_role("source")[0]


@pytest.fixture
def pusher(fleet, tmp_path):
    return Pusher(fleet, tmp_path, "www")


@pytest.fixture
def topic(pusher):
    """The name of a branch that is gone at the end."""
    name = f"test-{secrets.token_hex(4)}"
    yield name
    pusher.git("push", "origin", f":refs/heads/{name}", check=False)


def head(source, ref):
    """The commit of a ref on the host; empty where there is none."""
    return source.run(
        f"runuser -u git -- git --git-dir {BARE} rev-parse --quiet --verify {ref}"
    ).stdout.strip()


def test_a_clone_has_the_first_version(pusher):
    assert pusher.git("branch", "--show-current").stdout.strip() == BRANCH
    first = pusher.git("log", "--reverse", "--format=%an <%ae> %at %s").stdout.splitlines()[0]
    assert first == "Saltworks <git@localhost> 1767225600 The first version"
    files = pusher.git("ls-files").stdout.split()
    assert any(name.startswith(".well-known/") for name in files)


def test_a_stranger_s_key_opens_nothing(fleet, source, pusher, tmp_path):
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    # Of the fleet's own configuration only where the host is, and its key.
    found = subprocess.run(
        ["ssh", "-G", "-F", str(fleet.ssh_config), source.name],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    asked = dict(line.partition(" ")[::2] for line in found.splitlines())
    config = tmp_path / "config"
    config.write_text(
        f"Host {source.name}\n"
        f"  HostName {asked['hostname']}\n  Port {asked['port']}\n"
        f"  HostKeyAlias {asked.get('hostkeyalias', asked['hostname'])}\n"
        f"  UserKnownHostsFile {asked['userknownhostsfile']}\n"
        f"  StrictHostKeyChecking {asked['stricthostkeychecking']}\n"
        f"  IdentityFile {key}\n  IdentitiesOnly yes\n  BatchMode yes\n  ConnectTimeout 10\n",
        encoding="utf-8",
    )
    pusher.environment["GIT_SSH_COMMAND"] = f"ssh -F {config}"
    done = pusher.git("ls-remote", "origin", check=False)
    assert done.returncode != 0 and "Permission denied (publickey)" in done.stderr


@pytest.mark.parametrize("command", ["", "bash", "git-shell", "cat /etc/passwd", "info; id"])
def test_a_key_opens_no_shell(pusher, fleet, source, command):
    done = subprocess.run(
        [*pusher.environment["GIT_SSH_COMMAND"].split(), f"git@{source.name}", command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "uid=" not in done.stdout and "root:" not in done.stdout
    # Without a command gitolite says who one is.
    assert done.returncode != 0 or (not command and done.stdout.startswith("hello "))


def test_another_branch_is_taken_rewritten_and_deleted(pusher, source, topic):
    made = pusher.commit()
    # The receiver was asked, and has told what it is made of.
    assert "webhook: " in pusher.push(f"refs/heads/{topic}")
    assert head(source, f"refs/heads/{topic}") == made

    pusher.git("commit", "--quiet", "--amend", "--allow-empty", "-m", "another")
    words = ("origin", f"HEAD:refs/heads/{topic}")
    assert pusher.git("push", *words, check=False).returncode != 0
    pusher.git("push", "--force", *words)
    pusher.git("push", "origin", f":refs/heads/{topic}")
    assert head(source, f"refs/heads/{topic}") == ""


def test_the_level_s_branch_is_not_rewritten(pusher, source):
    before = head(source, f"refs/heads/{BRANCH}")
    # Nothing that this branch has seen.
    pusher.git("checkout", "--quiet", "--orphan", "test-orphan")
    pusher.commit()
    done = pusher.git("push", "--force", "origin", f"HEAD:refs/heads/{BRANCH}", check=False)
    assert done.returncode != 0 and "DENIED" in done.stderr
    assert head(source, f"refs/heads/{BRANCH}") == before


def test_the_level_s_branch_is_not_deleted(pusher, source):
    before = head(source, f"refs/heads/{BRANCH}")
    assert pusher.git("push", "origin", f":refs/heads/{BRANCH}", check=False).returncode != 0
    assert before and head(source, f"refs/heads/{BRANCH}") == before


def test_others_read_no_repository(source):
    for user in ("www-data", "nobody"):
        for path in ("/var/lib/git", "/var/lib/git/repositories", f"{BARE}/HEAD"):
            assert source.run(f"runuser -u {user} -- stat -c %n {path}/.").rc != 0
            assert source.run(f"runuser -u {user} -- cat {path}").rc != 0
    # Whoever shows them reads these, and no more.
    assert source.run(f"runuser -u cgit -- cat {BARE}/HEAD").rc == 0
    for path in (
        "/etc/git-webhook/config.json",
        "/var/spool/git-webhook",
        "/var/lib/git/.gitolite.rc",
        "/var/lib/git/.gitolite/conf/gitolite.conf",
        "/var/lib/git/.ssh/authorized_keys",
    ):
        assert source.run(f"runuser -u cgit -- ls {path}/.").rc != 0
        assert source.run(f"runuser -u cgit -- cat {path}").rc != 0
    assert source.run(f"runuser -u cgit -- touch {BARE}/x").rc != 0
    # What a push writes is as closed as what was there.
    open_to_all = source.check_output("find /var/lib/git/repositories -not -type l -perm /o+rwx")
    assert open_to_all == ""


def test_what_waits_is_for_its_owner_only(source):
    spool, config = (
        source.file("/var/spool/git-webhook"),
        source.file("/etc/git-webhook/config.json"),
    )
    assert (spool.user, spool.mode) == ("git", 0o700)
    assert (config.user, config.group, config.mode) == ("root", "git", 0o640)
    assert source.service("git-webhook.timer").is_running


def test_the_pages_are_public(site):
    answer = site.session().get(site.url("source", "/"), timeout=30)
    assert answer.status_code == 200
    assert f"/{REPOSITORY}/" in answer.text and f"/{OWNER}/saltworks/" in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src" not in policy


def test_a_repository_and_its_files_are_shown(site, pusher):
    session = site.session()
    commit = pusher.git("rev-parse", "HEAD").stdout.strip()
    shown = session.get(site.url("source", f"/{REPOSITORY}/"), timeout=30)
    assert shown.status_code == 200
    assert commit in session.get(site.url("source", f"/{REPOSITORY}/commit/"), timeout=30).text
    name = pusher.git("ls-files", "index.html*").stdout.split()[0]
    file = session.get(site.url("source", f"/{REPOSITORY}/plain/{name}"), timeout=30)
    assert file.status_code == 200 and file.headers["Content-Type"].startswith("text/plain")
    assert session.get(site.url("source", "/site.css"), timeout=30).status_code == 200
    assert session.get(site.url("source", "/cgit.css"), timeout=30).status_code == 200


def test_the_pages_take_nothing(site):
    session = site.session()
    assert session.post(site.url("source", "/"), data=b"x", timeout=30).status_code == 403
    for path in ("/info/refs?service=git-receive-pack", "/HEAD", "/objects/info/packs"):
        answer = session.get(site.url("source", f"/{REPOSITORY}{path}"), timeout=30)
        assert answer.status_code == 404, path


def test_fcgiwrap_runs_as_somebody_without_rights(source):
    assert source.service("fcgiwrap").is_running
    users = source.check_output("ps -o user= -C fcgiwrap").split()
    assert set(users) == {"cgit"}
