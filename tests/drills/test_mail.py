"""The mail host's postfix stopped: mail waits where it was sent, and arrives afterwards."""

import contextlib
import uuid

import pytest

from tests.support import mail
from tests.support.services import stopped
from tests.support.waiting import wait_for

CHECK = "/usr/local/lib/saltworks/mail-queue-check"
SOMEBODY = "somebody@example.net"


def test_mail_waits_for_the_mail_host(fleet):
    relays = fleet.with_role("mail")
    if not relays:
        pytest.skip("this level has no mail host")
    client, subject = fleet.with_role("app")[0], f"t{uuid.uuid4().hex[:12]}"
    with contextlib.ExitStack() as after:
        for relay in relays:
            after.enter_context(stopped(relay, "postfix"))
        mail.send(fleet, client.name, SOMEBODY, subject)
        wait_for(
            lambda: "Connection refused" in client.check_output("postqueue -j"),
            15,
            "the mail waits, and the queue says why",
        )
        # It waits for seconds only: no alarm for people, but the check sees it.
        client.run_expect([0], CHECK)
        seen = client.run_expect([1], f"{CHECK} --age -1").stdout
        assert "mails wait" in seen and "Connection refused" in seen
        assert mail.read(fleet, SOMEBODY, subject, wait=0) is None
    client.run_expect([0], "postqueue -f")
    assert mail.read(fleet, SOMEBODY, subject, wait=20)
    wait_for(lambda: client.check_output("postqueue -j") == "", 10, "nothing is left in the queue")
