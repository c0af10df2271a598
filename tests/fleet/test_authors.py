"""What the authors of the wiki and of the blog push to their repositories."""

import contextlib
import json
import time

import pytest

from tests.support.pushes import Pusher, Readers, served
from tests.support.waiting import wait_for

TITLE = "Status_of_a_page"
TEXTS = "extensions/SiteStatus/i18n/en.json"
EXTENSION = "extensions/SiteStatus/extension.json"
TABLE = "site_status_trial"


@pytest.fixture(scope="module")
def wiki(fleet, tmp_path_factory):
    made = Pusher(fleet, tmp_path_factory.mktemp("wiki"), "wiki")
    yield made
    made.restore()


@pytest.fixture(scope="module")
def blog(fleet, tmp_path_factory):
    made = Pusher(fleet, tmp_path_factory.mktemp("blog"), "blog")
    yield made
    made.restore()


@pytest.fixture(scope="module")
def page(site, writer):
    """A page that uses the extension, in the caches of the edge."""
    writer.edit(TITLE, "<site-status>draft</site-status> <site-status>nonsense</site-status>")
    path = f"/wiki/{TITLE}"

    def is_cached():
        return all(
            "This page is a draft" in text for *_, text in served(site, "docs", path).values()
        )

    wait_for(is_cached, 20, "the page is there")
    return path


def on_every_host(fleet, site, role, name, path):
    """What each host of a role answers itself, behind the edge."""
    found = {}
    for host in fleet.with_role(role):
        found[host.name] = host.check_output(
            f"curl -s -i -m 30 -H 'Host: {name}.{site.domain}' -H 'X-Forwarded-Proto: https' "
            f"'http://127.0.0.1{path}'"
        )
    return found


def began(host):
    """Since when a host's job runner runs."""
    words = "systemctl show --value --property=ActiveEnterTimestampMonotonic"
    return int(host.check_output(f"{words} mediawiki-jobs-docs"))


def changed(pusher, path, key, text):
    """A JSON file of the clone with another value."""
    told = json.loads((pusher.folder / path).read_text("utf-8"))
    return {path: json.dumps(told | {key: text}, indent=1) + "\n"}


def test_an_extension_of_the_authors_is_part_of_the_wiki(site, page):
    for status, _, text in served(site, "docs", page).values():
        assert status == 200 and "This page is a draft" in text
        assert "There is no status &quot;nonsense&quot;" in text or "no status &#34;" in text
        assert "Category:Drafts" in text
    for status, *_ in served(site, "docs", "/site/logo.svg").values():
        assert status == 200
    # What is in a release beside it is nobody's business.
    for path in (
        "/site/../settings.php",
        "/settings.php",
        "/w/extensions/SiteStatus/extension.json",
    ):
        assert {status for status, *_ in served(site, "docs", path).values()} <= {400, 404}


def test_a_push_to_the_wiki_is_live_everywhere_and_the_edge_forgets(fleet, site, wiki, page):
    served(site, "docs", page)
    runners = {host.name: began(host) for host in fleet.with_role("app")}
    with Readers(site, "docs", [page]) as readers:
        deploy = wiki.deploy(changed(wiki, TEXTS, "sitestatus-draft", "Pushed: a draft."))
    assert deploy["state"] == "live", deploy["why"]
    stages = [name for name, _ in json.loads(deploy["stages"])]
    wanted = ["build", "fetch", "hook before", "first host", "other hosts", "edge", "watch"]
    alone = len(fleet.with_role("app")) == 1
    assert stages == [name for name in wanted if not alone or name != "other hosts"]
    for text in on_every_host(fleet, site, "app", "docs", page).values():
        assert "Pushed: a draft." in text and deploy["release"] in text
    for status, release, text in served(site, "docs", page).values():
        assert status == 200 and deploy["release"] in release and "Pushed: a draft." in text
    # Nobody noticed, and no page was of two releases.
    assert readers.failed() == [] and len(readers.answers) > 10
    for _, _, release, text in readers.answers:
        assert ("Pushed: a draft." in text) == (deploy["release"] in release)
    # What runs for long began anew, with the code that is live.
    for host in fleet.with_role("app"):
        wait_for(
            lambda host=host: began(host) > runners[host.name],
            20,
            f"the job runner of {host.name} begins anew",
        )


def test_what_does_not_compile_is_not_built(wiki):
    deploy = wiki.deploy({"settings.php": "<?php\n$wgLogos = [ ;\n"})
    wiki.git("revert", "--no-edit", "HEAD")
    assert deploy["state"] == "failed" and "the build failed" in deploy["why"]
    assert "settings.php" in deploy["why"]


def test_what_fails_on_the_first_host_is_taken_back(fleet, site, wiki, page):
    before = {release for _, release, _ in served(site, "docs", page).values()}
    deploy = wiki.deploy({"settings.php": "<?php\nthrow new Exception( 'trial' );\n"})
    wiki.git("revert", "--no-edit", "HEAD")
    assert deploy["state"] == "failed" and "does not answer with 200" in deploy["why"]
    fates = json.loads(deploy["hosts"])
    assert "taken back" in fates.values() and "serves it" not in fates.values()
    for text in on_every_host(fleet, site, "app", "docs", page).values():
        assert text.startswith("HTTP/1.1 200") and deploy["release"] not in text
    for status, release, _ in served(site, "docs", page).values():
        assert status == 200 and {release} == before


def test_a_theme_and_what_it_loads_are_of_one_release(fleet, site, blog):
    style = (blog.folder / "themes/saltworks/style.css").read_text("utf-8")
    deploy = blog.deploy({"themes/saltworks/style.css": style + "\n.trial { color: #123456; }\n"})
    assert deploy["state"] == "live", deploy["why"]
    for status, release, text in served(site, "blog").values():
        assert status == 200 and deploy["release"] in release
        asset = f"/wp-content/releases/{deploy['release']}/themes/saltworks/style.css"
        assert asset in text
    for status, _, text in served(site, "blog", asset).values():
        assert status == 200 and "#123456" in text
    for wrong in (
        asset.replace("style.css", "functions.php"),
        asset.replace(deploy["release"], "0" * 40 + "-" + "0" * 8),
    ):
        assert {status for status, *_ in served(site, "blog", wrong).values()} == {404}


def test_another_version_of_an_extension_brings_its_tables_once(fleet, site, wiki):
    told = json.loads((wiki.folder / EXTENSION).read_text("utf-8"))
    # One that was here before has its tables already.
    told["version"] = f"1.1.{time.time_ns()}"
    told["Hooks"] = dict(told["Hooks"], LoadExtensionSchemaUpdates="SiteStatus\\Tables::add")
    tables = (
        "<?php\nnamespace SiteStatus;\nclass Tables {\n"
        "\tpublic static function add( $updater ) {\n"
        f"\t\t$updater->addExtensionTable( '{TABLE}', __DIR__ . '/trial.sql' );\n\t}}\n}}\n"
    )
    database = fleet.with_role("db")[0]
    schemas = (
        "SELECT DISTINCT table_schema FROM information_schema.columns "
        "WHERE table_name LIKE 'site\\_status\\_trial'"
    )

    def ask(sql):
        return database.check_output("mariadb --batch --skip-column-names -e %s", sql).split()

    assert ask(schemas) == []
    try:
        deploy = wiki.deploy(
            {
                EXTENSION: json.dumps(told),
                "extensions/SiteStatus/src/Tables.php": tables,
                "extensions/SiteStatus/src/trial.sql": (
                    f"CREATE TABLE {TABLE} (one INT PRIMARY KEY) ENGINE=InnoDB;\n"
                ),
            }
        )
        assert deploy["state"] == "live", deploy["why"]
        assert sorted(ask(schemas)) == ["testwiki", "wiki"]
        # What is recorded needs no second update.
        for host in fleet.with_role("app"):
            done = json.loads(
                host.check_output(
                    "salt-call --local --out=json site_mediawiki.migrate_own "
                    "/srv/release/wiki/current"
                )
            )["local"]
            assert set(done.values()) == {None}
    finally:
        for name in ("wiki", "testwiki"):
            with contextlib.suppress(AssertionError):
                ask(f"DROP TABLE IF EXISTS {name}.{TABLE}")
