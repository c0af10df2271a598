#!/usr/bin/python3
# Managed by Saltworks: gitolite. Local changes are overwritten.
"""
After a push: writes a webhook for each ref into the spool, and has them sent.

The push is over when this runs. Whatever goes wrong here is told to the pusher, and
changes nothing about it.
"""

import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

CONFIG = "/etc/git-webhook/config.json"
SENDER = "/usr/local/lib/saltworks/git-webhook"
# Seconds that all of it may take; those after which no more is asked of git.
SECONDS, READING = 10, 3
COMMITS, LETTERS = 20, 1000


def git(until, *command):
    """What git says, or None where it fails or has no time."""
    left = until - time.monotonic()
    if left <= 0:
        return None
    try:
        done = subprocess.run(["git", *command], capture_output=True, check=True, timeout=left)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace")


def commits(until, *which):
    """Commits as git log finds them, oldest first."""
    said = git(until, "log", "-z", "--reverse", "--format=%H%n%cI%n%B", *which, "--")
    found = []
    for text in (said or "").split("\0"):
        commit, _, rest = text.strip("\n").partition("\n")
        timestamp, _, message = rest.partition("\n")
        if commit:
            found.append(
                {"id": commit, "message": message.strip()[:LETTERS], "timestamp": timestamp}
            )
    return found


def body(repository, pusher, old, new, ref, until):
    """What is said of one ref, in the shape of GitHub's pushes."""
    created, deleted = not old.strip("0"), not new.strip("0")
    head, some, forced = None, [], False
    if not deleted:
        # A tag of something else than a commit has none.
        found = commits(until, "--max-count=1", f"{new}^{{commit}}")
        head = found[0] if found else None
    if head:
        # Not --all: that has HEAD in it, which may be this very branch.
        since = ["--not", f"--exclude={ref}", "--glob=refs/*"] if created else [f"^{old}"]
        some = commits(until, f"--max-count={COMMITS}", new, *since)
        if not created:
            base = git(until, "merge-base", old, new)
            forced = base is not None and base.strip() != old
            # No common past at all is told by a failure.
            forced = forced or (base is None and time.monotonic() < until)
    return {
        "ref": ref,
        "before": old,
        "after": new,
        "created": created,
        "deleted": deleted,
        "forced": forced,
        "repository": {
            "name": repository.rpartition("/")[2],
            "full_name": repository,
            "default_branch": (git(until, "symbolic-ref", "--short", "HEAD") or "").strip(),
        },
        "pusher": {"name": pusher},
        "head_commit": head,
        "commits": [{"id": one["id"], "message": one["message"]} for one in some],
        # The receiver takes no body twice, and a branch may come back to a commit.
        "pushed_at": time.time_ns(),
    }


def spool(folder, repository, said):
    """Write a delivery, so that it is there whole or not at all; return its name."""
    identity = str(uuid.uuid4())
    delivery = {
        "repository": repository,
        "headers": {
            "Content-Type": "application/json",
            "User-Agent": "saltworks-git-webhook",
            "X-GitHub-Event": "push",
            "X-GitHub-Delivery": identity,
        },
        "body": json.dumps(said),
    }
    # Names sort by age.
    name = f"{time.time_ns():020d}-{identity}.json"
    new = Path(folder, f".{name}")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(delivery, file)
        file.flush()
        os.fsync(file.fileno())
    new.rename(Path(folder, name))
    return name


def told(names, seconds):
    """What the sender says of these: ``{name: (word, why)}``."""
    try:
        done = subprocess.run(
            [SENDER, "--each", f"--seconds={max(0.1, seconds - 1):.1f}", CONFIG],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=max(0.1, seconds),
        ).stdout
    except subprocess.TimeoutExpired as late:
        # What it has said until then.
        done = (late.stdout or b"").decode(errors="replace")
    found = {}
    for line in done.splitlines():
        name, _, rest = line.partition("\t")
        word, _, why = rest.partition("\t")
        found[name] = (word, why)
    return {name: found.get(name, ("later", "no time was left")) for name in names}


def line(word, why):
    """What the pusher reads."""
    if word == "accepted":
        return "webhook: accepted"
    if word == "other":
        return f"webhook: not needed ({why or 'this level is made of another branch'})"
    if word == "refused":
        return f"webhook: refused ({why})"
    return f"webhook: not delivered yet ({why}); it will be tried again"


def run(lines, environment):
    """The hook."""
    began = time.monotonic()
    config = json.loads(Path(CONFIG).read_text(encoding="utf-8"))
    repository = environment.get("GL_REPO", "")
    if repository not in config["secrets"]:
        return
    names = []
    for one in lines:
        old, new, ref = one.split()
        said = body(repository, environment.get("GL_USER", ""), old, new, ref, began + READING)
        names.append(spool(config["spool"], repository, said))
    if names:
        for word, why in told(names, SECONDS - 0.5 - (time.monotonic() - began)).values():
            print(line(word, why), flush=True)


def main():
    try:
        run(sys.stdin.read().splitlines(), os.environ)
    except Exception as error:  # whatever it is: the push stands
        print(f"webhook: none was sent ({type(error).__name__}: {error})", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
