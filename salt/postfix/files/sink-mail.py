#!/usr/bin/python3
# Managed by Saltworks: postfix. Local changes are overwritten.
"""
Print the newest mail of the level's mailbox that was sent to an address.

Usage: sink-mail --to ADDRESS [--subject REGEX] [--wait SECONDS] [--since EPOCH]

The mail goes to standard output as it was received. Ends with 1 where there is
none (after the wait, where one was asked for).
"""

import argparse
import email
import email.policy
import re
import sys
import time
from email.utils import getaddresses
from pathlib import Path

MAILDIR = Path("/var/lib/sink-mail/maildir")
# Postfix writes these: who it was sent to at first, and after the aliases.
ENVELOPE = ("X-Original-To", "Delivered-To")


def matches(message, address, subject):
    """
    Whether a mail was sent to an address, with a subject like this.

    message
        An ``email.message.EmailMessage``.

    address
        As in the envelope; case does not matter.

    subject
        A regular expression that the subject must contain, or None.
    """
    found = {str(value).strip().lower() for name in ENVELOPE for value in message.get_all(name, [])}
    headers = [str(value) for name in ("To", "Cc") for value in message.get_all(name, [])]
    found |= {each.lower() for _, each in getaddresses(headers)}
    return address.lower() in found and bool(
        subject is None or re.search(subject, str(message.get("Subject", "")))
    )


def newest(folder, address, subject=None, since=0.0):
    """
    The newest mail in a Maildir for an address, as bytes; None where there is none.

    folder
        The Maildir.

    address, subject
        As in :py:func:`matches`.

    since
        Only what came at that time (seconds since 1970) or later.
    """
    times = {}
    for place in ("new", "cur"):
        for path in (folder / place).iterdir():
            try:
                times[path] = path.stat().st_mtime
            except FileNotFoundError:
                # It was taken away in between.
                continue
    for path in sorted(times, key=lambda each: times[each], reverse=True):
        if times[path] < since:
            return None
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            # Read by somebody else, it stands in the other place; or it is too old.
            return newest(folder, address, subject, since)
        if matches(
            email.message_from_bytes(content, policy=email.policy.default), address, subject
        ):
            return content
    return None


def main(arguments):
    """What the command does; returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--to", required=True, help="the address, as in the envelope")
    parser.add_argument("--subject", help="a regular expression")
    parser.add_argument("--wait", type=float, default=0, help="seconds to wait for it")
    parser.add_argument("--since", type=float, default=0, help="only what came later (epoch)")
    given = parser.parse_args(arguments)
    limit = time.monotonic() + given.wait
    while True:
        found = newest(MAILDIR, given.to, given.subject, given.since)
        if found is not None:
            sys.stdout.buffer.write(found)
            sys.stdout.buffer.flush()
            return 0
        if time.monotonic() >= limit:
            sys.stderr.write(f"no mail to {given.to}\n")
            return 1
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
