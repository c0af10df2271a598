"""
Tells the master of the pushes that the receiver of webhooks has accepted.

The receiver may only write into its table. Here, in the master, each row of it is held
against the configuration and becomes one event ``site/push/accepted``: the one thing
that somebody who has taken over the receiver could still cause.
"""

import json
import logging
import os
import re
import sqlite3
import stat
import time
from pathlib import Path

import salt.utils.event

log = logging.getLogger(__name__)

TAG = "site/push/accepted"
COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
WAITING = (
    'SELECT number, delivery, app, repository, branch, "commit", pusher, received '
    "FROM pushes WHERE told IS NULL ORDER BY number"
)


def _configured(path):
    """The receiver's configuration, or None where there is none yet."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def _is_table(path):
    """Whether the table is there; a link that leads elsewhere is none."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False


def _fits(push, repositories):
    """Whether the configuration knows what a row speaks of."""
    known = repositories.get(push["repository"])
    return bool(
        known
        and push["app"] == known["app"]
        and push["branch"] in known["branches"]
        and COMMIT.fullmatch(push["commit"])
    )


def tell(config, fire, now):
    """
    Make an event of each push that was not told yet, in their order.

    config
        The receiver's configuration: ``{"queue": path, "repositories": {…}}``.

    fire
        Called with an event's data and its tag.

    now
        Seconds since 1970.

    Returns how many there were. Raises sqlite3.Error where the table cannot be read.
    """
    if not _is_table(config["queue"]):
        return 0
    base = sqlite3.connect(f"file:{config['queue']}?mode=rw", uri=True, isolation_level=None)
    try:
        base.row_factory = sqlite3.Row
        rows = [dict(row) for row in base.execute(WAITING)]
        told = 0
        for push in rows:
            number = push.pop("number")
            if _fits(push, config["repositories"]):
                fire(push, TAG)
                told += 1
            else:
                log.error("push %d is of no repository that is configured; left out", number)
            base.execute("UPDATE pushes SET told = ? WHERE number = ?", (now, number))
        return told
    finally:
        base.close()


def start(config="/etc/hook/hook.json", pause=0.5):
    """
    Tell of pushes until the master stops.

    config
        The receiver's configuration; where it is missing, nothing is told.

    pause
        Seconds between two looks.
    """
    with salt.utils.event.get_event(
        "master", opts=__opts__, sock_dir=__opts__["sock_dir"], listen=False
    ) as bus:
        while True:
            try:
                known = _configured(config)
                if known:
                    tell(known, bus.fire_event, time.time())
            except (OSError, ValueError, KeyError, sqlite3.Error) as error:
                log.error("pushes wait: %s", error)
            time.sleep(pause)
