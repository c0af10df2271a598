"""Pushes to the repositories of the static sites, until they are live or taken back."""

import json
import re

import pytest

from tests.support.hosts import fleet_command
from tests.support.pushes import APP, STATIC, Readers, served
from tests.support.services import stopped
from tests.support.waiting import wait_for

RELEASE = re.compile(r"[0-9a-f]{40}-[0-9a-f]{8}")


def page(word):
    """A page that says so."""
    return (
        '{% extends "page.html.j2" %}{% block description %}A test.{% endblock %}'
        f"{{% block main %}}<h1>{word}</h1>{{% endblock %}}"
    )


@pytest.fixture
def before(site, pusher):
    """What is live before; a test that fails to deploy has to leave it so."""
    found = {release for _, release, _ in served(site, APP).values()}
    assert len(found) == 1
    return found.pop()


def on_hosts(frontends, what="current"):
    """What each host says it has."""
    return {
        host.name: json.loads(
            host.check_output(f"salt-call --local --out=json site_release.state {APP}")
        )["local"][what]
        for host in frontends
    }


def test_every_static_site_has_a_release(site):
    for app in STATIC:
        found = served(site, app)
        assert {status for status, _, _ in found.values()} == {200}
        (release,) = {release for _, release, _ in found.values()}
        assert RELEASE.fullmatch(release)


def test_a_push_is_live_on_every_host_and_says_how_long_it_took(pusher, site):
    since = pusher.last()
    commit = pusher.commit(trial__index_html_j2=page("Pushed"))
    assert "webhook: accepted" in pusher.push()
    (deploy,) = pusher.outcome(since)
    assert (deploy["state"], deploy["kind"]) == ("live", "push"), deploy
    assert deploy["release"].startswith(commit)
    stages = [name for name, _ in json.loads(deploy["stages"])]
    assert stages == ["build", "fetch", "first host", "other hosts", "watch"]
    assert set(json.loads(deploy["hosts"]).values()) == {"serves it"}
    for status, release, text in served(site, APP, "/trial/").values():
        assert (status, release) == (200, deploy["release"]) and "<h1>Pushed</h1>" in text
    shown = fleet_command("releases", APP, "--json")
    assert json.loads(shown.stdout)["deploys"][0]["release"] == deploy["release"]
    shown = fleet_command("releases", APP)
    assert shown.returncode == 0 and deploy["release"][:10] in shown.stdout


def test_what_a_page_loads_is_of_its_own_release(site, pusher):
    (_, first, text), *_ = served(site, APP).values()
    (style,) = re.findall(r'href="(/_release/[^"]+\.css)"', text)
    assert style.startswith(f"/_release/{first}/")
    for status, _, body in served(site, APP, style).values():
        assert status == 200 and "{" in body
    for wrong in (f"/_release/{'0' * 40}-{'0' * 8}/compat.css", f"/_release/{first}/../../x"):
        assert {status for status, _, _ in served(site, APP, wrong).values()} <= {400, 404}


def test_a_build_that_fails_changes_nothing(pusher, site, before, frontends):
    deploy = pusher.deploy(trial__index_html_j2="{% this is no template %}")
    assert deploy["state"] == "failed" and "the build failed" in deploy["why"]
    assert "trial/index.html.j2" in deploy["why"]
    assert set(on_hosts(frontends).values()) == {before}
    assert {release for _, release, _ in served(site, APP).values()} == {before}
    assert pusher.deploy(trial__index_html_j2=page("Mended"))["state"] == "live"


def test_a_host_that_is_not_well_takes_all_back(pusher, site, before, frontends):
    if len(frontends) < 2:
        pytest.skip("one frontend only")
    with stopped(frontends[-1], "nginx"):
        deploy = pusher.deploy(trial__index_html_j2=page("Not well"))
        assert deploy["state"] == "failed"
        assert frontends[-1].id in deploy["why"] and "does not answer with 200" in deploy["why"]
        assert set(json.loads(deploy["hosts"]).values()) >= {"taken back"}
        assert set(on_hosts(frontends).values()) == {before}
    # Nothing of it is left.
    assert all(deploy["release"] not in there for there in on_hosts(frontends, "there").values())
    assert {release for _, release, _ in served(site, APP).values()} == {before}


def test_more_errors_after_the_switch_take_all_back(pusher, site, before, frontends):
    since = pusher.last()
    with Readers(site, APP, ["/", "/css", "/html"]) as readers:
        wait_for(lambda: len(readers.answers) > 60, 30, "readers have read for a while")
        pusher.commit(css__index_html_j2=None)
        pusher.push()
        (deploy,) = pusher.outcome(since)
    assert deploy["state"] == "failed" and "requests failed after the switch" in deploy["why"]
    assert set(on_hosts(frontends).values()) == {before}
    assert {status for status, _, _ in served(site, APP, "/css").values()} == {200}
    pusher.git("revert", "--no-edit", "HEAD")


def test_an_altered_archive_is_refused(pusher, fleet, site, before, frontends):
    source = fleet.with_role("source")[0]
    commit = pusher.commit(trial__index_html_j2=page("Altered"))
    # Another branch than the level's: the push deploys nothing.
    pusher.push("refs/heads/trial")
    said = source.check_output(f"salt-call --out=json site_build.build {APP} {commit}")
    release = json.loads(said)["local"]["release"]
    archive = f"/var/lib/builder/releases/{APP}/{release}/archive.tar.gz"
    # One byte in the middle.
    source.run_expect([0], f"printf X | dd of={archive} bs=1 seek=200 conv=notrunc status=none")
    for host in frontends:
        done = host.run(f"salt-call --retcode-passthrough site_release.fetch {APP} {release}")
        assert done.rc != 0, "it was fetched"
        said = " ".join((done.stdout + done.stderr).split())
        assert "is not the one that its manifest names" in said
    assert set(on_hosts(frontends).values()) == {before}
    assert all(release not in there for there in on_hosts(frontends, "there").values())
    # The builder sees it, too, and makes it anew.
    done = fleet_command("deploy", APP, commit)
    assert done.returncode == 0 and "is live" in done.stdout, done.stdout + done.stderr
    assert {served_ for _, served_, _ in served(site, APP).values()} == {release}


def test_of_many_pushes_the_last_is_live_and_not_all_were_built(pusher, site):
    since = pusher.last()
    for number in range(5):
        commit = pusher.commit(trial__index_html_j2=page(f"Number {number}"))
        pusher.push()
    found = pusher.outcome(since, 150)
    assert len(found) == 5 and found[-1]["state"] == "live"
    assert found[-1]["release"].startswith(commit)
    assert "superseded" in {deploy["state"] for deploy in found}
    for _, _, text in served(site, APP, "/trial/").values():
        assert "<h1>Number 4</h1>" in text


def test_readers_notice_no_deploy_and_the_way_back_is_one_command(pusher, site, before):
    with Readers(site, APP, ["/", "/trial/"]) as readers:
        deploy = pusher.deploy(trial__index_html_j2=page("Under load"))
        assert deploy["state"] == "live"
        done = fleet_command("rollback", APP)
        assert done.returncode == 0, done.stdout + done.stderr
    assert readers.failed() == [] and len(readers.answers) > 100
    # No answer mixes two releases.
    for path, _, release, text in readers.answers:
        if path == "/trial/":
            assert ("Under load" in text) == (release == deploy["release"])
    for _, release, _ in served(site, APP).values():
        assert release == before
    taken = pusher.deploys(deploy["number"])[-1]
    assert (taken["kind"], taken["state"]) == ("rollback", "live")


def test_what_a_minion_tells_the_master_becomes_no_command(fleet, frontends, pusher):
    """Any minion may send the event that a deploy waits."""
    master, trace = pusher.master, "/run/test-forged"
    forged = json.dumps({"app": f"a:\n  cmd.run:\n    - name: touch {trace}\nb"})
    frontends[0].run_expect([0], f"salt-call event.send site/deploy/wanted '{forged}'")
    said = master.run(f"salt-run state.orchestrate orch.deploy pillar='{forged}'")
    assert "say which app" in said.stdout + said.stderr
    # What was sent before this one has been heard.
    assert pusher.deploy(trial__index_html_j2=page("Afterwards"))["state"] == "live"
    assert not master.file(trace).exists


def test_what_runs_is_held_against_what_is_there(fleet):
    (master,) = fleet.with_role("salt")
    assert master.service("deploy-versions.timer").is_running
    assert master.service("deploy-versions.timer").is_enabled
    master.check_output("systemctl start deploy-versions.service")
    found = json.loads(fleet_command("status", "--json").stdout)["versions"]
    assert found["why"] is None and set(found["apps"]) >= {"mediawiki", "wordpress"}
    assert all(app["runs"] and app["newest"] for app in found["apps"].values()), found
    wrong = [app["say"] for app in found["apps"].values() if app["say"]]
    assert master.run("/usr/local/lib/saltworks/versions-check").rc == bool(wrong)


def test_a_unit_that_does_not_take_a_release_is_noticed(fleet):
    """Of an app of its own, on one host, that nobody deploys."""
    host = fleet.with_role("app")[0]
    pool, config, app = "/etc/php/8.4/fpm/pool.d/zz-trial.conf", "/run/trial.json", "trial"
    known = {"folder": "/run/trial", "apps": {app: {"keep": 2, "renew": ["php*-fpm.service"]}}}
    releases = [f"{digit * 40}-0badcafe" for digit in "12"]
    call = "salt-call --local --retcode-passthrough site_release.switch"
    host.check_output("mkdir -p %s", f"/run/trial/{app}/releases")
    host.check_output(f"cd /run/trial/{app}/releases && mkdir -p {' '.join(releases)}")
    host.check_output("echo %s > %s", json.dumps(known), config)
    try:
        host.check_output(f"{call} {app} {releases[0]} config={config}")
        host.check_output("echo 'nonsense = [' > %s", pool)
        done = host.run(f"{call} {app} {releases[1]} config={config}")
        said = " ".join((done.stdout + done.stderr).split())
        assert done.rc != 0 and "php8.4-fpm.service did not reload" in said, said
        assert "unknown entry" in said
        # It serves on, with what it had read before.
        assert host.service("php8.4-fpm").is_running
    finally:
        host.run(f"rm -f {pool}")
        host.check_output(f"{call} {app} {releases[0]} config={config}")
        host.run(f"rm -rf /run/trial {config}")


def test_what_there_is_not_is_refused_in_words():
    for words, said in (
        (["deploy", "nothing-of-this-name"], "there is no app"),
        (["deploy", APP, "0" * 40], "0" * 40),
        (["rollback", APP, "0" * 40 + "-" + "0" * 8], "was never live"),
    ):
        done = fleet_command(*words)
        assert done.returncode != 0 and said in done.stdout + done.stderr, words
