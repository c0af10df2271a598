"""Webhooks of pushes, through the public edge: taken, refused, and heard by the master."""

import json
import time
from concurrent import futures

import pytest

from tests.support.hook import APP, NAME, Sender, count, heard
from tests.support.hosts import fleet_command
from tests.support.waiting import wait_for


@pytest.fixture(scope="module")
def sender(site):
    return Sender(site)


@pytest.fixture(scope="module")
def master(fleet):
    return fleet.with_role("salt")[0]


def test_a_push_reaches_the_master_once(sender, master):
    body = sender.body()
    headers = sender.headers(body)
    with heard(master) as events:
        began = time.monotonic()
        answer = sender.send(body, headers)
        assert (answer.status_code, answer.json()) == (202, {"message": "accepted"})
        assert time.monotonic() - began < 5
        commit = json.loads(body)["after"]

        def told():
            return [event for event in events() if event["commit"] == commit]

        wait_for(told, 20, "the master hears of it")
        assert told()[0]["app"] == APP and told()[0]["repository"] == NAME
        # The same again, and the same bytes under another id.
        for again in (headers, sender.headers(body)):
            answer = sender.send(body, again)
            assert (answer.status_code, answer.json()) == (202, {"message": "accepted before"})
        # What comes later has been heard, and that one was not heard again.
        other = sender.body()
        assert sender.push(other).status_code == 202
        wait_for(
            lambda: json.loads(other)["after"] in [event["commit"] for event in events()],
            20,
            "the next push is heard",
        )
        assert len(told()) == 1


def test_a_ping_is_answered(sender):
    answer = sender.push(b'{"zen": "Keep it logically awesome."}', event="ping")
    assert (answer.status_code, answer.json()) == (200, {"message": "pong"})


def test_people_are_told_what_this_is(site):
    answer = site.session().get(site.url("hook"), timeout=30)
    assert answer.status_code == 200 and "Webhooks" in answer.text


def test_what_is_refused_leaves_nothing(sender, master):
    body = sender.body()
    before = count(master)
    signed = sender.headers(body)
    unsigned = {key: value for key, value in signed.items() if "Signature" not in key}
    found = {
        "unsigned": sender.send(body, unsigned),
        "forged": sender.push(body, secret="a guess"),
        "one byte": sender.send(body.replace(b"main", b"maim"), signed),
        "other repository": sender.send(body, signed, "webplatform/elsewhere"),
        "other branch": sender.push(sender.body(ref="refs/heads/topic")),
        "deleted": sender.push(sender.body(after="0" * 40, deleted=True)),
        "other event": sender.push(body, event="release"),
        "no object": sender.push(b"[]"),
        "too long": sender.push(b'{"a": "' + b"x" * 1_100_000 + b'"}'),
    }
    assert {name: answer.status_code for name, answer in found.items()} == {
        "unsigned": 401,
        "forged": 403,
        "one byte": 403,
        "other repository": 404,
        "other branch": 422,
        "deleted": 422,
        "other event": 422,
        "no object": 400,
        "too long": 413,
    }
    assert sender.site.session().get(
        sender.site.url("hook", f"/{NAME}"), timeout=30
    ).status_code in (404, 405)
    assert count(master) == before


FLOOD = """
import concurrent.futures, http.client, sys
def forged(number):
    asked = http.client.HTTPConnection(sys.argv[1], 9000, timeout=30)
    asked.request("POST", "/webplatform/www", b"{}" * 2000, {"X-Hub-Signature-256": "sha256=" + "0" * 64})
    return asked.getresponse().status
with concurrent.futures.ThreadPoolExecutor(20) as pool:
    print(sorted(set(pool.map(forged, range(1000)))))
"""  # noqa: E501


def test_among_a_thousand_forged_ones_a_true_one_is_served(fleet, sender, master):
    """The forged ones come from a frontend, past the limits of the edge."""
    frontend = fleet.with_role("frontend")[-1].name
    address = fleet.address(fleet.with_role("salt")[0].name)
    before = count(master)
    with futures.ThreadPoolExecutor(1) as pool:
        flood = pool.submit(fleet.shell, frontend, f"python3 - {address}", stdin=FLOOD, seconds=120)
        served = 0
        while not flood.done():
            began = time.monotonic()
            assert sender.push().status_code == 202
            assert time.monotonic() - began < 5
            served += 1
    assert served and flood.result().stdout.strip() == "[403]"
    assert count(master) == before + served


def test_the_receiver_s_user_reaches_nothing_of_the_master(master):
    for what in (
        "cat /etc/salt/pki/master/master.pem",
        "cat /etc/salt/pki/minion/minion.pem",
        "ls /srv/saltworks/pillar",
        "ls /var/lib/saltworks/pki/hosts",
        "touch /etc/hook/hook.json",
        "touch /usr/local/lib/saltworks/hook",
        "salt-run event.send site/push/accepted",
        "salt-call event.send site/push/accepted",
        "salt '*' test.ping",
    ):
        done = master.run(f"runuser -u hook -- timeout 60 {what}")
        assert done.rc != 0, what
    listening = master.check_output("find /run/salt /var/run/salt -type s 2>/dev/null || true")
    for socket in listening.split():
        done = master.run(
            'runuser -u hook -- python3 -c "import socket; '
            f"socket.socket(socket.AF_UNIX).connect('{socket}')\""
        )
        assert done.rc != 0, socket


def test_it_is_among_the_services(site):
    done = fleet_command("status", "--json")
    found = {service["name"]: service["url"] for service in json.loads(done.stdout)["services"]}
    assert found["hook"] == site.url("hook")
