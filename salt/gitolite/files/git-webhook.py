#!/usr/bin/python3
# Managed by Saltworks: gitolite. Local changes are overwritten.
"""
Sends the webhooks of pushes that wait in the spool, oldest first.

The hook of a repository writes a delivery there and runs this; what is not taken then
stays, and is tried again each minute. A delivery keeps its id and its bytes, so one
that came through although nobody said so is known when it comes again.
"""

import argparse
import fcntl
import hashlib
import hmac
import http.client
import json
import os
import ssl
import sys
import time
from pathlib import Path
from urllib.parse import quote, urlsplit

# Of all that says "your fault", these pass by themselves: no such site at the edge yet,
# a time that ran out, a level that starts, too much at once.
PASSING = (408, 421, 425, 429)


def signature(secret, body):
    """The signature of a body, as the receiver checks it."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def judge(status, said):
    """
    What comes of an answer. Pure.

    Returns ``(word, why)``: ``accepted``; ``other``, nothing here is made of that;
    ``refused``, it would be again; ``later``, it stays.
    """
    if 200 <= status < 300:
        return "accepted", said
    if status == 422:
        return "other", said
    if 400 <= status < 500 and status not in PASSING:
        return "refused", f"{status} {said}".strip()
    return "later", f"the receiver answers {status}"


def post(config, delivery, seconds):
    """
    Send one delivery.

    delivery
        ``{"repository", "headers", "body"}``

    seconds
        That it may take to connect, and then again for each part of the answer.

    Returns ``(status, sentence)``.

    Raises OSError or http.client.HTTPException where there is no answer.
    """
    base = urlsplit(config["url"])
    body = delivery["body"].encode()
    headers = delivery["headers"] | {
        "X-Hub-Signature-256": signature(config["secrets"][delivery["repository"]], body)
    }
    # No proxy of the environment is asked, and no redirect followed.
    connection = http.client.HTTPSConnection(
        base.hostname,
        base.port,
        timeout=seconds,
        context=ssl.create_default_context(cafile=config["ca"]),
    )
    try:
        connection.request("POST", f"{base.path}/{quote(delivery['repository'])}", body, headers)
        answer = connection.getresponse()
        return answer.status, sentence(answer.read(4096))
    finally:
        connection.close()


def sentence(body):
    """What an answer says, in one line; a page for people says nothing here."""
    try:
        said = json.loads(body)["message"]
    except (ValueError, KeyError, TypeError):
        return ""
    return " ".join(str(said).split())[:200]


def read(path):
    """A delivery of the spool, or None where it is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if {"repository", "headers", "body"} <= set(found) else None
    except (ValueError, TypeError):
        return None


def send(config, until, say):
    """
    Send what waits.

    until
        The moment of time.monotonic() after which no other is begun.

    say
        Called with ``(name of the file, word, why)`` for each that was looked at.
    """
    waiting, silent = set(), ""
    for path in sorted(Path(config["spool"]).glob("[!.]*.json")):
        delivery = read(path)
        if delivery is None:
            word, why = "refused", "the file is no delivery"
        elif delivery["repository"] not in config["secrets"]:
            word, why = "refused", "the repository has no webhook any more"
        elif silent:
            word, why = "later", silent
        elif delivery["repository"] in waiting:
            # Else an older state of it would be taken after a newer one.
            word, why = "later", "an earlier push waits, too"
        elif time.monotonic() >= until:
            word, why = "later", "no time was left"
        else:
            try:
                left = max(0.5, until - time.monotonic())
                word, why = judge(*post(config, delivery, left))
            except (OSError, http.client.HTTPException) as error:
                word, why = "later", f"no answer: {str(error) or type(error).__name__}"
                silent = why
        if word == "later":
            waiting.add(delivery["repository"])
        else:
            path.unlink(missing_ok=True)
        say(path.name, word, why)


def hold(folder, until):
    """Hold the spool; None where another has it until then."""
    handle = os.open(folder, os.O_RDONLY)
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                os.close(handle)
                return None
            time.sleep(0.1)
        else:
            return handle


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path, help="a file of JSON")
    parser.add_argument("--seconds", type=float, default=50, help="that all of it may take")
    parser.add_argument("--each", action="store_true", help="a line for each, for the hook")
    parser.add_argument("--check", action="store_true", help="read the configuration, and end")
    given = parser.parse_args(argv)
    config = json.loads(given.config.read_text(encoding="utf-8"))
    if not config["url"].startswith("https://") or not all(config["secrets"].values()):
        return "git-webhook: url must be https://…, and no secret empty"
    if given.check:
        return None

    until = time.monotonic() + given.seconds
    handle = hold(config["spool"], until)
    if handle is None:
        return None

    def say(name, word, why):
        if given.each:
            print(name, word, why, sep="\t", flush=True)
        elif word != "other":
            print(f"{name}: {word}{': ' if why else ''}{why}", flush=True)

    try:
        send(config, until, say)
    finally:
        os.close(handle)
    return None


if __name__ == "__main__":
    sys.exit(main())
