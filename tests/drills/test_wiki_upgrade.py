"""Another version of MediaWiki while people read, and the way back (runbook wiki-upgrade)."""

import json

import pytest

from tests.support.hosts import fleet_command
from tests.support.pushes import Readers

REPOSITORY = "/var/lib/git/repositories/upstream/mediawiki.git"
ASK = "/w/api.php?action=query&meta=siteinfo&format=json"
PAGE = "/wiki/Special:BlankPage"
NEWER = "1.43.999"
# A version that says another number, made of the newest that is there.
MAKE = f"""
set -eu
umask 027
export GIT_DIR={REPOSITORY} GIT_INDEX_FILE=$(mktemp -u)
export GIT_AUTHOR_NAME=Drill GIT_AUTHOR_EMAIL=drill@example.org
export GIT_COMMITTER_NAME=Drill GIT_COMMITTER_EMAIL=drill@example.org
old=$(git for-each-ref --sort=-version:refname --count=1 --format='%(refname:lstrip=2)' refs/tags)
git read-tree "$old"
file=includes/Defines.php
blob=$(git show "$old:$file" | sed "s/'$old'/'{NEWER}'/" | git hash-object -w --stdin)
git update-index --cacheinfo "100644,$blob,$file"
git tag {NEWER} "$(git commit-tree -m Drill "$(git write-tree)")"
rm -f "$GIT_INDEX_FILE"
"""


def carried_out(*words):
    done = fleet_command(*words, seconds=600)
    assert done.returncode == 0, done.stdout + done.stderr


def compare(fleet):
    """What the master does each hour."""
    fleet.with_role("salt")[0].check_output("systemctl start deploy-versions.service")


def told(fleet):
    """What `./fleet status` says of newer versions of the wiki."""
    compare(fleet)
    return json.loads(fleet_command("status", "--json").stdout)["versions"]["apps"]["mediawiki"]


def versions(fleet, site):
    """What each host says that it runs."""
    found = {}
    for host in fleet.with_role("app"):
        said = host.check_output(
            f"curl -sf -m 30 -H 'Host: docs.{site.domain}' -H 'X-Forwarded-Proto: https' "
            f"'http://127.0.0.1{ASK}'"
        )
        found[host.name] = json.loads(said)["query"]["general"]["generator"]
    return found


def recorded(database):
    """What was last done to the tables of each wiki."""
    words = "SELECT JSON_VALUE(CONVERT(ul_value USING utf8mb4), '$.version') FROM"
    return [
        database.check_output(
            "mariadb --batch --skip-column-names -e %s",
            f"{words} {name}.updatelog WHERE ul_key = 'saltworks'",
        )
        for name in ("wiki", "testwiki")
    ]


@pytest.fixture
def newer(fleet):
    """A version that is newer than all others is there; afterwards it never was."""
    source, database = fleet.with_role("source")[0], fleet.with_role("db")[0]
    (before,) = set(recorded(database))
    source.check_output("runuser -u git -- sh -c %s", MAKE)
    yield NEWER
    source.check_output(f"runuser -u git -- git --git-dir {REPOSITORY} tag -d {NEWER}")
    for name in ("wiki", "testwiki"):
        change = f"SET ul_value = REPLACE(ul_value, '{NEWER}', '{before}')"
        database.check_output(
            f"mariadb -e \"UPDATE {name}.updatelog {change} WHERE ul_key = 'saltworks'\""
        )
    compare(fleet)


def test_another_version_of_mediawiki_and_back(fleet, site, newer):
    database = fleet.with_role("db")[0]
    before = versions(fleet, site)
    assert not any(newer in said for said in before.values())
    master = fleet.with_role("salt")[0]
    say = told(fleet)["say"]
    assert f"{newer} is there. Remedy: `./fleet deploy mediawiki`" in say
    assert say in master.run("/usr/local/lib/saltworks/versions-check").stdout
    assert say in fleet_command("releases", "mediawiki").stdout
    with Readers(site, "docs", [PAGE]) as readers:
        carried_out("deploy", "mediawiki")
        # A deploy compares by itself.
        assert newer not in master.run("/usr/local/lib/saltworks/versions-check").stdout
        assert set(versions(fleet, site).values()) == {f"MediaWiki {newer}"}
        assert recorded(database) == [newer, newer]
        carried_out("rollback", "mediawiki")
    assert versions(fleet, site) == before
    # The tables stay; the release of before lives with them.
    assert recorded(database) == [newer, newer]
    assert readers.failed() == [] and len(readers.answers) > 50
    answered = {release.split()[0] for _, _, release, _ in readers.answers}
    assert len(answered) == 2
