"""The mail host's postfix stopped: mail waits where it was sent, and arrives afterwards."""

import uuid

from tests.support import mail

CHECK = "/usr/local/lib/saltworks/mail-queue-check"
SOMEBODY = "somebody@example.net"


def test_mail_relay_is_down(drill):
    """
    The mail host does not take mail.

    All mail of the level goes by it: links to reset a password, notices of the wiki.

    Noticed: `mail-queue` in monit's log of the hosts that send, once mail has waited for
    a quarter of an hour; `postqueue -p` there says `Connection refused`.

    Heals: every host keeps its mail and tries again by itself, for five days. No mail is
    lost by waiting.

    Do: on the mail host `systemctl status postfix`, `journalctl -u postfix`. Afterwards
    `salt '*' cmd.run 'postqueue -f'` sends at once what waits: [mail-queue](../mail-queue.md).
    """
    relays, client = drill.hosts("mail"), drill.hosts("app")[0]
    subject = f"t{uuid.uuid4().hex[:12]}"
    drill.load()
    for relay in relays:
        drill.stop(relay, "postfix")
    mail.send(drill.fleet, client.name, SOMEBODY, subject)
    drill.detected(
        "the mail waits, and the queue says why",
        lambda: "Connection refused" in client.check_output("postqueue -j"),
        15,
    )
    # It waits for seconds only: no alarm for people, but the check sees it.
    client.run_expect([0], CHECK)
    seen = client.run_expect([1], f"{CHECK} --age -1").stdout
    assert "mails wait" in seen and "Connection refused" in seen
    assert mail.read(drill.fleet, SOMEBODY, subject, wait=0) is None
    drill.heal()
    client.run_expect([0], "postqueue -f")
    drill.recovered(
        "the mail has arrived", 30, lambda: mail.read(drill.fleet, SOMEBODY, subject, wait=10)
    )
    drill.wait_until(
        "nothing is left in the queue", lambda: client.check_output("postqueue -j") == "", 10
    )
