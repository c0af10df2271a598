#!/usr/bin/python3
# Managed by Saltworks: hook. Local changes are overwritten.
"""
Takes the webhooks that a host of git repositories sends after a push.

What is accepted stands in a table on the disk before the sender is answered; the
master takes it from there. Nothing of a request is believed before its signature
was checked, and this program may do nothing but write into that table.
"""

import argparse
import hashlib
import hmac
import json
import logging
import re
import sqlite3
import sys
import time
from pathlib import Path

log = logging.getLogger("hook")

TABLE = """
CREATE TABLE IF NOT EXISTS pushes (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    delivery TEXT NOT NULL UNIQUE,
    digest TEXT NOT NULL UNIQUE,
    app TEXT NOT NULL,
    repository TEXT NOT NULL,
    branch TEXT NOT NULL,
    "commit" TEXT NOT NULL,
    pusher TEXT NOT NULL,
    received REAL NOT NULL,
    told REAL
)
"""
SIGNATURE = re.compile(r"sha256=([0-9a-f]{64})")
DELIVERY = re.compile(r"[0-9A-Za-z-]{1,64}")
COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
BRANCH_HEAD = "refs/heads/"
# Compared where a repository is not known, so that its absence takes as long to find.
NOBODY = ("no repository has this secret",)


class RefusedError(Exception):
    """A delivery of which nothing comes: its status, and why."""

    def __init__(self, status, why):
        super().__init__(why)
        self.status = status
        self.why = why


def signed(secrets, body, header):
    """
    Whether one of these secrets signed these bytes.

    secrets
        Text; two of them while one is exchanged for the other.

    body
        The request's body as it came, bytes.

    header
        X-Hub-Signature-256, or None.

    Raises RefusedError where there is no signature of that kind.
    """
    given = SIGNATURE.fullmatch(header or "")
    if not given:
        raise RefusedError(401, "X-Hub-Signature-256 is missing, or is not sha256= and 64 digits")
    made = [hmac.new(secret.encode(), body, hashlib.sha256).hexdigest() for secret in secrets]
    # All of them, whichever fits: the time says nothing.
    fits = [hmac.compare_digest(one, given[1]) for one in made]
    return any(fits)


def judge(repositories, name, headers, body):
    """
    What comes of a delivery. Pure.

    repositories
        ``{name: {"app": str, "branches": [str], "secrets": [str]}}``

    name
        The repository that the address names.

    headers
        The request's headers; their names are asked for in lower case.

    body
        bytes

    Returns None for a ping, else the push: a dictionary with the columns of the
    table but the times.

    Raises RefusedError.
    """
    known = repositories.get(name)
    fits = signed(known["secrets"] if known else NOBODY, body, headers.get("x-hub-signature-256"))
    if not known:
        raise RefusedError(404, "no such repository here")
    if not fits:
        raise RefusedError(403, "the signature is not this repository's")
    event = headers.get("x-github-event")
    if event == "ping":
        return None
    if event != "push":
        raise RefusedError(422, "of all events only push and ping are taken")
    delivery = headers.get("x-github-delivery", "")
    if not DELIVERY.fullmatch(delivery):
        raise RefusedError(400, "X-GitHub-Delivery is missing, or is no delivery's id")
    return dict(
        _push(known, name, _object(headers, body)),
        delivery=delivery,
        digest=hashlib.sha256(body).hexdigest(),
    )


def _object(headers, body):
    """The body, read."""
    kind = headers.get("content-type", "").partition(";")[0].strip()
    if kind != "application/json":
        raise RefusedError(415, "the content type must be application/json")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedError(400, "the body is not JSON") from None
    if not isinstance(found, dict):
        raise RefusedError(400, "the body is not an object")
    return found


def _push(known, name, said):
    """What a push means for this level."""
    repository = said.get("repository")
    if not isinstance(repository, dict) or repository.get("full_name") != name:
        raise RefusedError(422, "the body names another repository than the address")
    ref, commit = said.get("ref"), said.get("after")
    if not isinstance(ref, str) or not ref.startswith(BRANCH_HEAD):
        raise RefusedError(422, "this is no push to a branch")
    if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
        raise RefusedError(422, "after is no commit")
    if said.get("deleted") or not commit.strip("0"):
        raise RefusedError(422, "the branch was deleted")
    branch = ref.removeprefix(BRANCH_HEAD)
    if branch not in known["branches"]:
        raise RefusedError(
            422, f"nothing here is made of this branch, but of {known['branches'][0]}"
        )
    pusher = said.get("pusher")
    who = pusher.get("name") if isinstance(pusher, dict) else None
    who = who if isinstance(who, str) else ""
    return {
        "app": known["app"],
        "repository": name,
        "branch": branch,
        "commit": commit,
        "pusher": re.sub(r"[^\w .@+-]", "", who)[:80],
    }


class Queue:
    """The table of accepted pushes; one file, written before anybody is answered."""

    def __init__(self, path):
        self._base = sqlite3.connect(path, isolation_level=None, timeout=5)
        self._base.execute("PRAGMA journal_mode=WAL")
        self._base.execute("PRAGMA synchronous=FULL")
        self._base.execute(TABLE)

    def add(self, push, now):
        """
        Keep a push.

        push
            What :py:func:`judge` returned.

        now
            Seconds since 1970.

        Returns False where its delivery, or another with the same body, came before.
        Raises sqlite3.Error where it cannot be kept.
        """
        try:
            self._base.execute(
                'INSERT INTO pushes (delivery, digest, app, repository, branch, "commit", '
                "pusher, received) VALUES "
                "(:delivery, :digest, :app, :repository, :branch, :commit, :pusher, :received)",
                dict(push, received=now),
            )
        except sqlite3.IntegrityError:
            return False
        return True

    def waiting(self):
        """What the master was not told of yet, in order: a list of dictionaries."""
        self._base.row_factory = sqlite3.Row
        return [
            dict(row)
            for row in self._base.execute(
                'SELECT number, delivery, app, repository, branch, "commit", pusher, received '
                "FROM pushes WHERE told IS NULL ORDER BY number"
            )
        ]

    def told(self, numbers, now):
        """The master has been told of these."""
        self._base.executemany(
            "UPDATE pushes SET told = ? WHERE number = ?", [(now, number) for number in numbers]
        )

    def forget(self, before):
        """Forget what the master was told of before a moment."""
        self._base.execute("DELETE FROM pushes WHERE told < ?", (before,))


def answer(config, queue, name, headers, body, now):
    """
    Take one delivery.

    Returns ``(status, sentence)``.
    """
    try:
        push = judge(config["repositories"], name, headers, body)
    except RefusedError as refused:
        log.warning("refused %d %r: %s", refused.status, name[:80], refused.why)
        return refused.status, refused.why
    if push is None:
        log.info("ping of %s", name)
        return 200, "pong"
    what = f"{push['repository']} {push['branch']} {push['commit']}"
    try:
        queue.forget(now - config["days"] * 86400)
        new = queue.add(push, now)
    except sqlite3.Error as error:
        log.error("%s could not be kept: %s", what, error)
        return 503, "it could not be kept; send it again later"
    if not new:
        log.info("seen before: %s, delivery %s", what, push["delivery"])
        return 202, "accepted before"
    log.info("accepted %s, delivery %s", what, push["delivery"])
    return 202, "accepted"


def application(config, queue):
    """The web application."""
    from aiohttp import web

    async def deliver(request):
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            log.warning("refused 413: more than %d bytes", config["max_bytes"])
            return web.json_response({"message": "too large"}, status=413)
        headers = {name.lower(): value for name, value in request.headers.items()}
        name = f"{request.match_info['owner']}/{request.match_info['repository']}"
        status, sentence = answer(config, queue, name, headers, body, time.time())
        return web.json_response({"message": sentence}, status=status)

    async def well(_):
        return web.Response(text="Webhooks of git pushes are taken here.\n")

    made = web.Application(client_max_size=config["max_bytes"])
    made.router.add_post("/{owner}/{repository}", deliver)
    made.router.add_get("/", well)
    return made


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path, help="a file of JSON")
    parser.add_argument("--check", action="store_true", help="read the configuration, and end")
    parser.add_argument("--waiting", action="store_true", help="print what waits, as JSON")
    parser.add_argument("--told", nargs="+", type=int, help="the master was told of these numbers")
    given = parser.parse_args(argv)
    config = json.loads(given.config.read_text(encoding="utf-8"))
    for name, repository in config["repositories"].items():
        if not (repository["app"] and repository["branches"] and all(repository["secrets"])):
            return f"hook: {name}: app, branches and secrets must not be empty"
        if not 1 <= len(repository["secrets"]) <= 2:
            return f"hook: {name}: one secret, or two while they are exchanged"
    if given.check:
        return None
    if given.told:
        Queue(config["queue"]).told(given.told, time.time())
        return None
    if given.waiting:
        print(json.dumps(Queue(config["queue"]).waiting()))
        return None

    from aiohttp import web

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(message)s")
    web.run_app(
        application(config, Queue(config["queue"])),
        host=config["address"],
        port=config["port"],
        access_log=None,
        print=None,
    )
    return None


if __name__ == "__main__":
    sys.exit(main())
