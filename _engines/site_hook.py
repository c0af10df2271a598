"""
Takes the pushes that the receiver of webhooks has accepted into the queue of deploys.

The receiver may only write into its table. Nobody but the receiver's own user opens that
table: what is in it could be made to harm whoever reads it. Here, in the master, its
program is asked, as that user, what waits; each answer is held against the configuration,
becomes a deploy that waits, and one event ``site/push/accepted``: all that somebody who
has taken over the receiver could cause.
"""

import json
import logging
import os
import re
import subprocess
import time
from pathlib import Path

import salt.utils.event
from salt.exceptions import SaltException

log = logging.getLogger(__name__)

TAG = "site/push/accepted"
WANTED = "site/deploy/wanted"
# So often it is asked whether a deploy was cut off, or waits for the end of a freeze.
REMIND_SECONDS = 30
# The receiver's program, and who runs it.
PROGRAM = ("/usr/local/lib/saltworks/hook",)
USER = "hook"
SECONDS = 20
COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
TEXTS = ("delivery", "app", "repository", "branch", "commit", "pusher")
FAILURES = (OSError, ValueError, KeyError, TypeError, subprocess.SubprocessError, SaltException)


def _configured(path):
    """The receiver's configuration, or None where there is none yet."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def _changed(table):
    """Something that is another one once the table was written; it is not opened."""
    found = []
    for path in (table, f"{table}-wal"):
        try:
            seen = os.lstat(path)
            found.append((seen.st_mtime_ns, seen.st_size))
        except FileNotFoundError:
            found.append(None)
    return found


def _asked(config, *words):
    """What the receiver's program says, as the receiver's user."""
    who = {"user": USER, "group": USER, "extra_groups": []} if USER else {}
    return subprocess.run(
        [*PROGRAM, config, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        timeout=SECONDS,
        check=True,
        cwd="/",
        env={"PATH": "/usr/bin:/bin"},
        **who,
    ).stdout


def _fits(push, repositories):
    """Whether the configuration knows what a row speaks of."""
    known = repositories.get(push["repository"])
    return bool(
        known
        and push["app"] == known["app"]
        and push["branch"] in known["branches"]
        and COMMIT.fullmatch(push["commit"])
    )


def _read(row):
    """A row as a number and a push, or an error where it is none."""
    push = {name: row[name] for name in TEXTS}
    if not all(isinstance(text, str) and len(text) <= 200 for text in push.values()):
        raise ValueError("a row of the receiver's table is no push")
    return int(row["number"]), dict(push, received=float(row["received"]))


def tell(path, repositories, ask, fire):
    """
    Ask for a deploy, and make an event, of each push that was not told yet, in their order.

    path
        The receiver's configuration.

    repositories
        What stands there: ``{name: {"app", "branches"}}``.

    ask
        Called with an app, ``kind`` and ``who``: ``site_deploy.request``. What it was
        asked for outlives the master; only then the push counts as told.

    fire
        Called with an event's data and its tag.

    Returns the apps that a deploy waits for. Raises OSError, ValueError, KeyError,
    TypeError, subprocess.SubprocessError where the receiver's program does not answer, or
    answers nonsense.
    """
    wanted = []
    for row in json.loads(_asked(path, "--waiting")):
        number, push = _read(row)
        if _fits(push, repositories):
            if ask(push["app"], kind="push", who=push["pusher"]):
                wanted.append(push["app"])
            fire(push, TAG)
        else:
            log.error("push %d is of no repository that is configured; left out", number)
        _asked(path, "--told", str(number))
    return list(dict.fromkeys(wanted))


def start(config="/etc/hook/hook.json", pause=0.5):
    """
    Tell of pushes, and that deploys wait, until the master stops.

    config
        The receiver's configuration; where it is missing, nothing is told.

    pause
        Seconds between two looks.
    """
    with salt.utils.event.get_event(
        "master", opts=__opts__, sock_dir=__opts__["sock_dir"], listen=False
    ) as bus:
        reminded, seen = -REMIND_SECONDS, None
        while True:
            wanted = []
            try:
                known = _configured(config)
                now = known and _changed(known["queue"])
                if known and now != seen and now[0]:
                    ask = __salt__["site_deploy.request"]
                    wanted = tell(config, known["repositories"], ask, bus.fire_event)
                # What it was before: what came meanwhile makes it another.
                seen = now
            except FAILURES as error:
                log.error("pushes wait: %s", error)
                seen = None
                time.sleep(10 * pause)
            try:
                if time.monotonic() - reminded >= REMIND_SECONDS:
                    reminded = time.monotonic()
                    wanted += __salt__["site_deploy.unfinished"]()
                for app in dict.fromkeys(wanted):
                    bus.fire_event({"app": app}, WANTED)
            except FAILURES as error:
                log.error("deploys wait: %s", error)
            time.sleep(pause)
