"""Hosts come by one line in the inventory each, and go without a trace."""

import secrets
import shutil
import subprocess

import pytest

from tests.support import accounts
from tests.support.hosts import LEVEL
from tests.support.waiting import wait_for
from tools.inventory import TREE

# Two whole runs of `up`, one of them with two hosts to be made.
pytestmark = pytest.mark.long
NAME = "memcache-cache2"
# The portal and the directory have one host in a small level, and may have two.
ACCOUNTS = "accounts2"


def up(tree):
    done = subprocess.run(
        [str(tree / "fleet"), "--level", LEVEL, "up"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
    return done


@pytest.fixture(scope="module")
def larger(tmp_path_factory):
    """A copy of the tree whose inventory has two lines more."""
    copy = tmp_path_factory.mktemp("larger") / "tree"
    shutil.copytree(TREE, copy, symlinks=True)
    path = copy / "inventory" / f"{LEVEL}.yaml"
    path.write_text(path.read_text("utf-8") + f"  {NAME}:\n  {ACCOUNTS}:\n", encoding="utf-8")
    return copy


def mentions(fleet):
    """Where the names still stand: (host, file) under /etc and in what the master keeps."""
    found = []
    for member in fleet.members:
        places = "/etc"
        if member.roles[0] == "salt":
            places += (
                " /var/cache/salt/master/mine /var/cache/salt/master/minions /var/lib/saltworks"
            )
        done = fleet.shell(
            member.name,
            f"grep -rlsE '{NAME}|{ACCOUNTS}' {places}; "
            f"find {places} -name '*{NAME}*' -o -name '*{ACCOUNTS}*'",
        )
        found += [(member.name, line) for line in done.stdout.split()]
    return found


def signed_in_without_the_first(fleet, sandbox, portal):
    """
    The first accounts host dies: what somebody meets who was signed in, and who comes now.

    Returns a list of what went wrong.
    """
    first = fleet.with_role("accounts")[0].name
    second = f"{ACCOUNTS}.{fleet.inventory.level}.{fleet.inventory.names['domain']}"
    uid, password, chosen = "test-two-hosts", secrets.token_hex(8), secrets.token_hex(12)
    search = ["ldapsearch", "-LLL", "-Q", "-Y", "EXTERNAL", "-H", "ldapi:///", "-b", portal.base]
    portal.remove(uid)
    portal.make(uid, password)
    wrong = []
    try:
        wait_for(
            lambda: uid in sandbox.podman.run("exec", second, *search, f"uid={uid}", "dn").stdout,
            30,
            "the other host has the person, too",
        )
        before = portal.person()
        before.sign_in(uid, password)
        sandbox.kill(first)
        try:
            wait_for(lambda: before.inside, 30, "who was signed in goes on at the other host")
            after = portal.person()
            page = after.sign_in(uid, password)
            if not after.inside:
                wrong.append("nobody can sign in")
            given = accounts.fields_of(page.text, "newpassword")
            given |= {"oldpassword": password, "newpassword": chosen, "confirmpassword": chosen}
            after.post("", given)
        finally:
            sandbox.start(first)
        knows = f"ldapwhoami -x -H ldapi:/// -D {portal.dn(uid)} -w {chosen}"
        wait_for(
            lambda: portal.shell(knows).returncode == 0,
            120,
            "the first host, back, knows the new password",
        )
    finally:
        portal.remove(uid)
    return wrong


@pytest.fixture(scope="module")
def membership(fleet, larger, sandbox, portal):
    """What was seen while the hosts were there, and after they left."""
    assert mentions(fleet) == [], "the drill starts without these hosts"
    try:
        up(larger)
        during = mentions(fleet)
        config = {
            host.name: host.file("/etc/nutcracker/nutcracker.yml").content_string
            for host in fleet.with_role("app")
        }
        wrong = signed_in_without_the_first(fleet, sandbox, portal)
    finally:
        up(TREE)
    return during, config, mentions(fleet), wrong


def test_every_consumer_has_the_new_host(membership, fleet):
    during, config, *_ = membership
    assert config and all(f" {NAME}" in text for text in config.values())
    assert {host for host, path in during if path == "/etc/hosts"} == {
        member.name for member in fleet.members
    }


def test_two_hosts_serve_the_accounts(membership):
    assert membership[3] == []


def test_nothing_mentions_the_host_that_left(membership):
    assert membership[2] == []


def test_their_keys_are_gone(membership, fleet):
    keys = fleet.shell("salt", "salt-key --list=all").stdout
    assert NAME not in keys and ACCOUNTS not in keys
