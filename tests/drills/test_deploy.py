"""Faults in the middle of a deploy: the level ends at one release, on every host."""

import json
import subprocess

import pytest

from tests.fleet.test_deploy import on_hosts, page
from tests.support.hosts import LEVEL
from tests.support.pushes import APP, APPS, TreePusher, served
from tests.support.services import stopped
from tests.support.waiting import wait_for


def test_the_master_is_killed_between_accepting_and_building(fleet, site, pusher):
    since, master = pusher.last(), fleet.with_role("salt")[0]
    commit = pusher.commit(trial__index_html_j2=page("Master killed"))
    assert "webhook: accepted" in pusher.push()
    master.run_expect([0], "systemctl kill -s KILL salt-master")
    found = pusher.outcome(since, 180)
    assert found[-1]["state"] == "live" and found[-1]["release"].startswith(commit)
    assert {release for _, release, _ in served(site, APP).values()} == {found[-1]["release"]}


def test_the_builder_is_killed_while_it_builds(fleet, site, pusher):
    source = fleet.with_role("source")[0]
    since = pusher.last()
    commit = pusher.commit(trial__index_html_j2=page("Builder killed"))
    pusher.push()
    wait_for(lambda: pusher.deploys(since), 30, "the push has arrived")
    source.run("systemctl kill -s KILL salt-minion")
    found = pusher.outcome(since, 240)
    if found[-1]["state"] != "live":
        # It was asked three times, in vain: that is told, and it can be asked for again.
        assert "did not answer" in found[-1]["why"]
        return
    assert found[-1]["release"].startswith(commit)
    left = source.check_output("ls -A /var/lib/builder/work /var/lib/builder/releases/compat")
    assert "new" not in left and "\ncompat\n" not in left, "nothing half-made is left"


def test_a_host_that_is_away_catches_up_when_it_is_back(fleet, sandbox, pusher, frontends):
    if len(frontends) < 2:
        pytest.skip("one frontend only")
    late = frontends[-1]
    with stopped(late, "salt-minion"):
        deploy = pusher.deploy(trial__index_html_j2=page("Away"))
        assert deploy["state"] == "live"
        assert "away" in json.loads(deploy["hosts"])[late.id]
        assert on_hosts([late])[late.name] != deploy["release"]
    wait_for(
        lambda: on_hosts([late])[late.name] == deploy["release"], 90, "it has caught up by itself"
    )


@pytest.fixture
def full(sandbox, frontends):
    """A host on which the releases of the app have a disk of their own, and it is full."""
    host, folder, kept = frontends[-1], f"/srv/release/{APP}", "/var/tmp/kept"
    pid = sandbox.podman.run("inspect", "--format", "{{.State.Pid}}", host.id).stdout.strip()

    def on_machine(*words):
        # A container may not mount; the machine may, inside it.
        subprocess.run(["nsenter", "--target", pid, "--mount", *words], check=True)

    host.run_expect([0], f"rm -rf {kept} && cp -a {folder} {kept}")
    on_machine("mount", "-t", "tmpfs", "-o", "size=1m,mode=0755", "tmpfs", folder)
    try:
        host.run_expect([0], f"cp -a {kept}/. {folder}/")
        host.run(f"dd if=/dev/zero of={folder}/filler bs=4k")
        yield host
    finally:
        on_machine("umount", folder)
        host.run_expect([0], f"rm -rf {kept}")


def test_a_full_disk_of_one_host_leaves_all_as_they_are(pusher, frontends, full):
    before = on_hosts(frontends)
    deploy = pusher.deploy(trial__index_html_j2=page("Full"))
    assert deploy["state"] == "failed", deploy
    assert full.id in deploy["why"] and "full" in deploy["why"]
    assert on_hosts(frontends) == before
    assert all(deploy["release"] not in there for there in on_hosts(frontends, "there").values())


def test_a_minion_is_killed_in_the_middle_of_a_switch(pusher, site, frontends):
    since = pusher.last()
    before = {release for _, release, _ in served(site, APP).values()}
    pusher.commit(trial__index_html_j2=page("Minion killed"))
    pusher.push()

    def is_fetched():
        found = pusher.deploys(since)
        return found and "fetch" in found[-1]["stages"]

    wait_for(is_fetched, 60, "the hosts have it", interval=0.1)
    frontends[-1].run("systemctl kill -s KILL salt-minion")
    (deploy,) = pusher.outcome(since, 240)
    wanted = {deploy["release"]} if deploy["state"] == "live" else before

    def at_one():
        return set(on_hosts(frontends).values()) == wanted

    wait_for(at_one, 120, "all hosts are at one release")
    assert {release for _, release, _ in served(site, APP).values()} == wanted


@pytest.fixture
def author(fleet, tmp_path_factory):
    """Somebody who may push to the repository of Saltworks itself."""
    if LEVEL not in APPS["saltworks"]["branches"]:
        pytest.skip("no branch of the repository is for this level")
    made = TreePusher(fleet, tmp_path_factory.mktemp("author"))
    yield made
    made.restore()


def test_bad_pillar_is_pushed(drill, author):
    """
    A pillar is pushed that no host could be compiled with.

    Somebody changes a value of the level itself, writes nonsense, and pushes it to the
    branch that the master serves.

    Noticed: `./fleet releases saltworks` says `failed`, names the first host and key that
    are wrong, and how many more there are.

    Heals: the builder compiles every host of the level before anything is served. What
    does not compile never reaches the master: hosts and their next highstate stay as
    they are.

    Do: correct it and push again, or `git revert`: [deploy-the-tree](../deploy-the-tree.md).
    """
    path = author.folder / "pillar/role/memcache.sls"
    text = path.read_text("utf-8")
    assert "memcached: {}" in text
    drill.load()
    path.write_text(text.replace("memcached: {}", "memcached: {threads: many}"), encoding="utf-8")
    since, commit = author.last(), author.commit()
    author.push()
    drill.happens("a bad pillar is pushed")
    (deploy,) = author.outcome(since, 240)
    drill.detected("the builder refuses it")
    assert deploy["state"] == "failed" and "threads" in deploy["why"], deploy
    assert author.served() == author.before and not author.before.startswith(commit)
    drill.recovered("the master serves what it served, and so do the sites", 30)
    assert drill.requests_failed == 0
    author.git("revert", "--no-edit", "HEAD")
