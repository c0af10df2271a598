"""The programs that make releases of MediaWiki and WordPress of what their makers release."""

import subprocess

import pytest

from tests.unit.conftest import ROOT

WIKI = {
    "includes/Defines.php": "<?php\ndefine( 'MW_VERSION', '1.43.9' );\n",
    "index.php": "<?php\n",
    "maintenance/run.php": "<?php\n",
    "resources/lib/tests.js": "1;\n",
    "extensions/Cite/extension.json": "{}",
    "skins/Vector/skin.json": "{}",
    "vendor/wikimedia/assert/src/Assert.php": "<?php\n",
}
NOBODY_RUNS = {
    "mw-config/index.php": "<?php\n",
    "tests/phpunit/phpunit.php": "<?php\n",
    "docs/hooks.txt": "a\n",
    "extensions/Cite/tests/phpunit/CiteTest.php": "<?php\n",
    "extensions/a b/src/tests/deep/x.php": "<?php\n",
    "skins/Vector/tests/x.js": "1;\n",
    "vendor/wikimedia/assert/tests/tests/x.php": "<?php\n",
    "extensions/Scribunto/includes/Engines/LuaStandalone/binaries/lua5_1_5_linux_64/lua": "ELF",
}
BLOG = {
    "wp-includes/version.php": "<?php\n$wp_db_version = 60421;\n",
    "wp-settings.php": "<?php\n",
    "wp-config-sample.php": "<?php\n",
    "wp-content/themes/a/style.css": "a {}\n",
}


@pytest.fixture
def build(tmp_path):
    """Run one over a tree; returns its code, what it said, and the files that are left."""

    def run(program, files, links=()):
        tree = tmp_path / "tree"
        tree.mkdir(exist_ok=True)
        for name, text in files.items():
            path = tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        for name, target in dict(links).items():
            (tree / name).symlink_to(target)
        done = subprocess.run(
            [str(ROOT / "salt/builder/files" / program)],
            cwd=tree,
            capture_output=True,
            text=True,
            check=False,
        )
        left = {
            str(path.relative_to(tree)): path.read_text(encoding="utf-8")
            for path in tree.rglob("*")
            if path.is_file()
        }
        return done.returncode, done.stdout + done.stderr, left

    return run


def test_a_release_of_mediawiki_is_its_code_and_where_its_settings_are(build):
    code, said, left = build("mediawiki-build", WIKI | NOBODY_RUNS)
    assert (code, said) == (0, "")
    settings = left.pop("LocalSettings.php")
    assert settings.splitlines() == ["<?php", 'require "/etc/mediawiki/LocalSettings.php";']
    assert left == WIKI


def test_a_mediawiki_without_what_nobody_runs_is_one_too(build):
    code, said, left = build("mediawiki-build", WIKI)
    assert (code, said) == (0, "") and set(left) == {*WIKI, "LocalSettings.php"}


def test_what_a_link_leads_to_stays_as_it_is(build, tmp_path):
    other = tmp_path / "other/tests"
    other.mkdir(parents=True)
    (other / "kept").touch()
    links = {"tests": other, "extensions/link": other.parent}
    code, said, _ = build("mediawiki-build", WIKI, links)
    assert (code, said) == (0, "") and (other / "kept").exists()


def test_a_release_of_wordpress_is_its_code_and_where_its_settings_are(build):
    code, said, left = build("wordpress-build", BLOG)
    assert (code, said) == (0, "")
    lines = left.pop("wp-config.php").splitlines()
    assert lines[0] == "<?php"
    # The settings are told where the code is, and the code is loaded with them.
    folder, settings, load = lines[1:]
    assert "define( 'ABSPATH', __DIR__ . '/' );" in folder
    assert settings == "require_once '/etc/wordpress/config-default.php';"
    assert load == "require_once ABSPATH . 'wp-settings.php';"
    assert left == BLOG


@pytest.mark.parametrize(
    ("program", "name", "file"),
    [
        ("mediawiki-build", "MediaWiki", "includes/Defines.php"),
        ("wordpress-build", "WordPress", "wp-includes/version.php"),
    ],
)
def test_what_is_something_else_is_not_built_and_stays_as_it_is(build, program, name, file):
    other = {"README": "a\n", "tests/a.php": "<?php\n", "docs/b": "b\n"}
    code, said, left = build(program, other)
    assert (code, said) == (1, f"this is no {name}: there is no {file}\n")
    assert left == other


@pytest.mark.parametrize(
    ("program", "files", "made"),
    [
        ("mediawiki-build", WIKI | NOBODY_RUNS, "LocalSettings.php"),
        ("wordpress-build", BLOG, "wp-config.php"),
    ],
)
def test_settings_that_came_along_are_not_taken(build, program, files, made):
    """And a build of the same tree once more makes the same."""
    _, _, left = build(program, files)
    assert build(program, {made: "<?php\n$theirs = 1;\n"}) == (0, "", left)
