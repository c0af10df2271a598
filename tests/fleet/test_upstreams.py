"""The code of others: imported, read by many, pushed by nobody, and mirrors that follow."""

import json
import shlex

import pytest
import yaml

from tests.support.pushes import Pusher
from tools.inventory import TREE

TABLE = yaml.safe_load((TREE / "pillar/upstreams.yaml").read_text("utf-8"))
IMPORTED = sorted(name for name, entry in TABLE.items() if "debian" in entry)
PROGRAM = "/usr/local/lib/saltworks/git-upstreams"
FOLDER = "/var/lib/git/upstreams-trial"
CONFIG = "/run/test-upstreams.json"


@pytest.fixture(scope="module")
def source(fleet):
    return fleet.with_role("source")[0]


def git(source, path, command):
    return source.check_output(f"runuser -u git -- git --git-dir {path} {command}")


def bare(name):
    return f"/var/lib/git/repositories/{name}.git"


@pytest.mark.parametrize("name", IMPORTED)
def test_each_version_is_a_tag_of_a_commit_without_a_parent(source, name):
    tags = git(source, bare(name), "tag").split()
    assert tags and all(tag[0].isdigit() and "dfsg" not in tag for tag in tags)
    assert git(source, bare(name), "symbolic-ref HEAD") == "refs/heads/upstream"
    heads = git(source, bare(name), "for-each-ref --points-at=upstream --format='%(refname)'")
    assert any(ref.startswith("refs/tags/") for ref in heads.split())
    for tag in tags:
        said = git(source, bare(name), f"show --no-patch --format='%an|%P|%s' {tag}")
        assert said == f"Saltworks||{TABLE[name]['debian']} {tag}"
    # What the program itself is made of, and nothing of Debian's beside it.
    files = git(source, bare(name), "ls-tree --name-only upstream").split()
    assert "index.php" in files and "debian" not in files


@pytest.mark.parametrize("name", IMPORTED)
def test_they_are_read_as_the_others(source, site, name):
    assert source.run(f"runuser -u cgit -- git -c safe.directory='*' --git-dir {bare(name)} "
                      "cat-file -e upstream").rc == 0  # fmt: skip
    assert source.run(f"runuser -u nobody -- ls {bare(name)}/.").rc != 0
    answer = site.session().get(site.url("source", f"/{name}/"), timeout=30)
    assert answer.status_code == 200 and "Nobody pushes here" in answer.text


@pytest.mark.parametrize("name", IMPORTED)
def test_a_push_is_refused_with_words_and_by_the_rules_without_them(fleet, source, tmp_path, name):
    pusher = Pusher(fleet, tmp_path, "www")
    url = f"git@{source.name}:{name}"
    listed = pusher.git("ls-remote", url)
    assert "refs/heads/upstream" in listed.stdout
    pusher.commit()
    words = f"{bare(name)}/.gitolite.down"
    for ref in ("refs/heads/upstream", "refs/heads/mine", "refs/tags/0.1"):
        done = pusher.git("push", "--force", url, f"HEAD:{ref}", check=False)
        assert done.returncode != 0 and "Nobody pushes here" in done.stderr
    source.check_output(f"mv {words} {words}.away")
    try:
        done = pusher.git("push", "--force", url, "HEAD:refs/heads/mine", check=False)
        assert done.returncode != 0 and "DENIED by refs/" in done.stderr
    finally:
        source.check_output(f"mv {words}.away {words}")
    assert pusher.git("ls-remote", url).stdout == listed.stdout


def call(fleet, source, function, *words):
    line = shlex.join(["salt-call", "--local", "--out=json", "--retcode-passthrough"])
    return fleet.shell(source.name, f"{line} {function} {shlex.join(words)}", seconds=600)


def test_a_second_run_changes_nothing(fleet, source):
    done = call(fleet, source, "site_upstreams.update")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)["local"]
    assert found["changed"] == {}
    lacking = call(fleet, source, "site_upstreams.lacking").stdout
    assert json.loads(lacking)["local"] == []
    assert source.run("find /var/lib/git-upstreams -name 'work-*'").stdout == ""
    assert source.run(f"{PROGRAM} check").rc == 0


def test_the_timer_runs_the_program_in_its_fence(source):
    assert source.service("git-upstreams.timer").is_running
    assert source.service("git-upstreams.timer").is_enabled
    source.check_output("systemctl start git-upstreams.service")
    shown = source.check_output("systemctl show -P Result git-upstreams.service")
    assert shown == "success"


# -- mirrors ---------------------------------------------------------------------


class Trial:
    """A mirror of a repository of this host, with a table of its own."""

    def __init__(self, fleet, source):
        self.fleet, self.source = fleet, source
        self.other, self.mirror = f"{FOLDER}/other.git", f"{FOLDER}/repositories/trial/mirror.git"

    def make(self):
        real = json.loads(self.source.file("/etc/git-upstreams/config.json").content_string)
        self.run(f"mkdir -p {FOLDER}/repositories/trial {FOLDER}/state")
        for path in (self.other, self.mirror):
            self.run(f"git init --quiet --bare --initial-branch=main {path}")
        table = {"trial/mirror": {"git": f"file://{self.other}"}}
        config = real | {
            "folder": f"{FOLDER}/repositories",
            "state": f"{FOLDER}/state",
            "repositories": table,
        }
        done = self.fleet.shell(self.source.name, f"cat > {CONFIG}", stdin=json.dumps(config))
        assert done.returncode == 0

    def run(self, command):
        return self.source.check_output(f"runuser -u git -- {command}")

    def commit(self, branch):
        words = f"git --git-dir {self.other}"
        tree = self.run(f"{words} hash-object -t tree -w /dev/null")
        who = "-c user.name=ada -c user.email=ada@example.org"
        commit = self.run(f"{words} {who} commit-tree -m {branch} {tree}")
        self.run(f"{words} update-ref refs/heads/{branch} {commit}")
        return commit

    def update(self):
        return call(self.fleet, self.source, "site_upstreams.update", f"config={CONFIG}")

    def refs(self):
        said = git(self.source, self.mirror, "for-each-ref --format='%(refname) %(objectname)'")
        return dict(line.split() for line in said.splitlines())


@pytest.fixture(scope="module")
def trial(fleet, source):
    made = Trial(fleet, source)
    clean = f"rm -rf {FOLDER} {CONFIG}"
    source.check_output(clean)
    made.make()
    yield made
    source.check_output(clean)


def test_a_mirror_follows_and_keeps_what_it_has_when_the_other_is_away(trial):
    main, topic = trial.commit("main"), trial.commit("topic")
    done = trial.update()
    assert done.returncode == 0, done.stdout + done.stderr
    assert trial.refs() == {"refs/heads/main": main, "refs/heads/topic": topic}
    assert json.loads(trial.update().stdout)["local"]["changed"] == {}
    trial.run(f"git --git-dir {trial.other} update-ref -d refs/heads/topic")
    newer = trial.commit("next")
    assert trial.update().returncode == 0
    kept = {"refs/heads/main": main, "refs/heads/next": newer}
    assert trial.refs() == kept
    trial.run(f"mv {trial.other} {trial.other}.away")
    done = trial.update()
    assert done.returncode != 0
    assert "cannot be reached" in done.stdout + done.stderr
    assert "Remedy" in done.stdout + done.stderr
    assert trial.refs() == kept
    # The check tells of it, from now on until it is well again.
    assert trial.source.run(f"{PROGRAM} --config {CONFIG} check").rc == 1
    trial.run(f"mv {trial.other}.away {trial.other}")
    assert trial.update().returncode == 0
    assert trial.source.run(f"{PROGRAM} --config {CONFIG} check").rc == 0
