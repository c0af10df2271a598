"""The master is away while a push comes: it is answered, and told when the master is back."""

import json

from tests.support.hook import Sender, heard, told
from tests.support.services import stopped
from tests.support.waiting import wait_for


def test_a_push_outlives_the_master(fleet, site):
    sender, master = Sender(site), fleet.with_role("salt")[0]
    body = sender.body()
    with stopped(master, "salt-master"):
        assert sender.push(body).status_code == 202
        master.run_expect([0], "systemctl kill -s KILL hook")
    with heard(master) as events:
        commit = json.loads(body)["after"]
        wait_for(lambda: told(master, commit), 60, "it was told")
        other = sender.body()
        wait_for(lambda: sender.push(other).status_code == 202, 30, "the receiver is back")
        wait_for(
            lambda: json.loads(other)["after"] in [event["commit"] for event in events()],
            30,
            "the next push is heard",
        )
