"""
Pushes to the repository of Saltworks itself: the master serves what compiles, and nothing
else. No host is changed by it; at the end the master serves what it served before.
"""

import json

import pytest

from tests.support.hosts import LEVEL, fleet_command
from tests.support.pushes import APPS, TreePusher

pytestmark = pytest.mark.skipif(
    LEVEL not in APPS["saltworks"]["branches"], reason="no branch is for this level"
)
# What a build of a whole level may take where others work, too.
SECONDS = 240
TEMPLATE = "salt/memcached/templates/memcached.conf.j2"


@pytest.fixture(scope="module")
def author(fleet, tmp_path_factory):
    made = TreePusher(fleet, tmp_path_factory.mktemp("author"))
    yield made
    made.restore()


@pytest.fixture(scope="module")
def keystore(fleet):
    return fleet.with_role("memcache-cache")[0]


def would_change(host):
    """What a state would change of a host, as text."""
    done = host.run("salt-call --out=json state.apply memcached test=True")
    states = json.loads(done.stdout)["local"]
    assert all(state["result"] is not False for state in states.values()), states
    return json.dumps([state["changes"] for state in states.values()])


def pushed(author, **files):
    """Commit what was changed, push it, and return what became of that."""
    since = author.last()
    commit = author.commit(**files)
    assert "webhook: accepted" in author.push()
    (deploy,) = author.outcome(since, SECONDS)
    return commit, deploy


def change(author, name, old, new):
    path = author.folder / name
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_push_is_served_by_the_master_and_a_rollback_takes_it_back(author, keystore):
    assert "-t 3" not in would_change(keystore)
    change(author, TEMPLATE, "-W\n", "-W\n# Pushed.\n")
    change(author, "pillar/role/memcache.sls", "memcached: {}", "memcached: {threads: 3}")
    commit, deploy = pushed(author)
    assert (deploy["state"], deploy["previous"]) == ("live", author.before), deploy
    assert deploy["release"] == author.served() and deploy["release"].startswith(commit)
    assert "at their next highstate" in deploy["why"]
    # Both of them, the state and the pillar.
    found = would_change(keystore)
    assert "+# Pushed." in found and "+-t 3" in found
    status = json.loads(fleet_command("status", "--json").stdout)
    assert status["tree"] == deploy["release"]

    done = fleet_command("rollback", "saltworks")
    assert done.returncode == 0 and f"{author.before} is live" in done.stdout, done.stderr
    assert author.served() == author.before
    found = would_change(keystore)
    assert "Pushed" not in found and "-t 3" not in found


def test_a_push_that_does_not_compile_is_refused_and_the_reason_told(author):
    change(author, "salt/memcached/init.sls", "memcached-service:", "{% if %}\nmemcached-service:")
    commit, deploy = pushed(author)
    assert deploy["state"] == "failed" and author.served() == author.before
    # The first host, its first error, and how many more there are.
    assert f"memcache-sessions1.{LEVEL}." in deploy["why"]
    assert "salt/memcached/init.sls" in deploy["why"] and "more, of" in deploy["why"]
    there = author.master.check_output("ls /srv/release/saltworks/releases")
    assert commit not in there
    shown = json.loads(fleet_command("releases", "saltworks", "--json").stdout)["deploys"]
    assert shown[0]["why"] == deploy["why"]
    assert next(one["state"] for one in shown if one["release"] == author.before) == "live"
    author.git("revert", "--no-edit", "HEAD")


def test_a_push_of_another_repository_is_refused(author):
    author.git("rm", "--quiet", "-r", ".")
    _, deploy = pushed(author, README_md="Something else.\n")
    assert deploy["state"] == "failed" and "no tree of Saltworks" in deploy["why"]
    assert author.served() == author.before
    author.git("revert", "--no-edit", "HEAD")


def test_nobody_else_on_the_master_reads_a_tree(author):
    for path in ("/srv/saltworks/pillar", "/srv/release/saltworks/releases"):
        assert author.master.run(f"runuser -u nobody -- ls {path}").rc != 0
        assert author.master.run(f"ls {path}").rc == 0
