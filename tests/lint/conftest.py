"""Fixtures of the lint step."""

import subprocess

import pytest

from tests.support.offline import small_tree, tree  # noqa: F401 - fixtures


@pytest.fixture(scope="session")
def files(tree):  # noqa: F811 - the fixture of that name
    """``{path: text}`` of every text file that is in git or would be added to it."""
    listed = subprocess.run(
        ["git", "-C", str(tree), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = {}
    for name in sorted(set(listed.split("\0"))):
        path = tree / name
        if name and path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            if b"\0" not in content:
                found[name] = content.decode("utf-8", errors="replace")
    return found
