"""What is deployed by a push, as one level sees it."""

import pytest
from salt.exceptions import CommandExecutionError

from tests.unit.conftest import load_module

APPS = {
    "portal": {
        "repository": "webplatform/portal",
        "branches": {"staging": "next", "sandbox": "main"},
        "roles": ["app"],
        "build": ["make"],
        "frozen": "Until the move is over.",
    },
    "tree": {"repository": "webplatform/tree", "branches": {"sandbox": "main"}},
}
STATIC = {
    "www": {
        "title": "Start page",
        "repository": "webplatform/www",
        "branches": {"production": "production", "sandbox": "main"},
    }
}


@pytest.fixture(scope="module")
def apps():
    return load_module("_modules/site_apps.py")


def test_a_level_has_the_apps_that_have_a_branch_for_it(apps):
    assert sorted(apps.of_level("sandbox", APPS, STATIC)) == ["portal", "tree", "www"]
    assert sorted(apps.of_level("production", APPS, STATIC)) == ["www"]
    assert apps.of_level("demo", APPS, STATIC) == {}


def test_an_app_has_its_own_settings_and_the_defaults_of_the_others(apps):
    found = apps.of_level("staging", APPS, STATIC)
    assert found == {
        "portal": apps.DEFAULTS
        | {
            "repository": "webplatform/portal",
            "branch": "next",
            "version": None,
            "roles": ["app"],
            "build": ["make"],
            "frozen": "Until the move is over.",
        }
    }


def test_a_static_site_is_built_served_and_asked_for_its_first_page(apps):
    site = apps.of_level("production", APPS, STATIC)["www"]
    assert site["roles"] == ["frontend"] and site["output"] == "public"
    assert site["build"] == ["static-build"]
    assert site["check"] == {"site": "www", "path": "/"}
    assert site["told"] is True
    assert "title" not in site
    other = {"www": STATIC["www"] | {"seconds": 5, "check": {"site": "www", "path": "/a"}}}
    site = apps.of_level("production", {}, other)["www"]
    assert (site["seconds"], site["check"]["path"]) == (5, "/a")


def test_one_name_in_both_files_is_refused(apps):
    with pytest.raises(CommandExecutionError, match=r"both have tree"):
        apps.of_level("sandbox", APPS, {"tree": STATIC["www"]})


def test_two_apps_of_one_repository_are_refused(apps):
    again = {"again": STATIC["www"]}
    with pytest.raises(CommandExecutionError, match=r"again and www .* webplatform/www"):
        apps.of_level("sandbox", APPS, STATIC | again)


def test_an_app_of_others_has_a_version_and_no_branch(apps):
    other = {"repository": "others/tool", "versions": {"staging": "v2", "sandbox": "v3"}}
    mixed = other | {"branches": {"production": "production"}}
    for level, branch, version in (
        ("staging", None, "v2"),
        ("sandbox", None, "v3"),
        ("production", "production", None),
    ):
        found = apps.of_level(level, {"tool": mixed}, {})["tool"]
        assert (found["branch"], found["version"]) == (branch, version)
    assert apps.of_level("production", {"tool": other}, {}) == {}
    assert apps.of_level("demo", {"tool": mixed}, {}) == {}


def test_a_branch_and_a_version_for_one_level_are_refused(apps):
    both = APPS["portal"] | {"versions": {"staging": "v1"}}
    with pytest.raises(CommandExecutionError, match=r"portal has a branch and a version for stag"):
        apps.of_level("staging", {"portal": both}, {})
    # Elsewhere it has one of them.
    assert apps.of_level("sandbox", {"portal": both}, {})["portal"]["version"] is None


def test_an_app_says_what_is_done_at_a_change_of_release(apps):
    said = {
        "check": {"site": "docs", "path": "/", "behind_edge": True},
        "renew": ["x-*.service"],
        "hooks": {"before": "site_x.migrate"},
        "cached": ["docs"],
    }
    found = apps.of_level("sandbox", {"portal": APPS["portal"] | said}, {})
    assert said.items() <= found["portal"].items()
    # What the caches at the edge are told, and the hooks, the master says, and not the host.
    del said["cached"], said["hooks"]
    assert apps.part(found, "runs", ["app"]) == {"portal": said | {"keep": 5, "tree": False}}
    assert (
        apps.of_level("sandbox", APPS, {})["portal"].items()
        >= {
            "renew": [],
            "hooks": {},
            "cached": [],
            "told": False,
        }.items()
    )


def test_each_host_gets_what_it_needs_of_the_apps_that_it_runs(apps):
    found = apps.of_level("sandbox", APPS, STATIC)
    assert set(apps.part(found, "builds")) == {"portal", "www"}
    assert set(apps.part(found, "builds")["www"]) == set(apps.BUILDS)
    assert apps.part(found, "runs", ["frontend", "mail"]) == {
        "www": {
            "keep": 5,
            "check": {"site": "www", "path": "/"},
            "renew": [],
            "tree": False,
        }
    }
    assert apps.part(found, "runs", ["db"]) == {}


def test_inputs_change_with_what_a_release_is_made_of_and_with_nothing_else(apps):
    settings = {"build": ["make"], "output": "public", "version": None, "told": True, "seconds": 5}
    data = {"domain": "webplatform.test", "level": "sandbox"}
    first = apps.inputs(settings, data)
    assert len(first) == 8 and int(first, 16) >= 0
    assert apps.inputs(settings | {"seconds": 9}, dict(reversed(data.items()))) == first
    others = [
        apps.inputs(settings | {"build": []}, data),
        apps.inputs(settings | {"output": "."}, data),
        apps.inputs(settings | {"version": "v1"}, data),
        apps.inputs(settings | {"told": False}, data),
        apps.inputs(settings, data | {"level": "demo"}),
    ]
    assert len({first, *others}) == 6


def test_a_build_that_is_told_nothing_is_the_same_in_all_levels(apps):
    settings = {"build": ["make"], "output": ".", "version": None, "told": False}
    data = [{"level": level} for level in ("sandbox", "demo")]
    assert len({apps.inputs(settings, one) for one in data}) == 1
    assert len({apps.inputs(settings | {"told": True}, one) for one in data}) == 2
