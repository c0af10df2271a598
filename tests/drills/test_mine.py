"""The mine emptied: a highstate fails with the remedy, and files stay as they were."""

import pytest

from tests.support.waiting import wait_for

FILE = "/etc/nutcracker/nutcracker.yml"


@pytest.fixture(scope="module")
def emptied(fleet):
    """app1's highstate while the mine knows no cache host; the mine is filled again."""
    app = fleet.with_role("app")[0]
    before = app.file(FILE).sha256sum
    # A minion that has just started tells the mine its address by itself.
    wait_for(
        lambda: "False" not in fleet.shell("salt", "salt --out=txt '*' test.ping").stdout,
        60,
        "every minion answers",
    )
    targets = "-L " + ",".join(host.id for host in fleet.with_role("memcache-cache"))
    try:
        fleet.shell("salt", f"salt {targets} mine.flush")
        done = fleet.shell(app.name, "salt-call --retcode-passthrough state.highstate", seconds=120)
    finally:
        fleet.shell("salt", f"salt {targets} mine.update")
    return before, done, app.file(FILE).sha256sum


def test_the_highstate_fails_and_says_what_to_do(emptied):
    _, done, _ = emptied
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "0 hosts with the role memcache-cache are known" in said
    assert "at least 1 needed" in said
    assert "mine.update" in said


def test_the_file_is_byte_for_byte_as_before(emptied):
    before, _, after = emptied
    assert after == before


def test_afterwards_the_highstate_is_whole_again(emptied, fleet):
    done = fleet.shell(
        fleet.with_role("app")[0].name,
        "salt-call --retcode-passthrough state.highstate",
        seconds=120,
    )
    assert done.returncode == 0, done.stdout[-2000:]
