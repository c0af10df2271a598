"""
How long a push takes until it is live on every host, and the way back.

On a raised sandbox, for a static site or the wiki: a commit is pushed, again and again, and
each time the stages are taken from the history of the deploy itself:

  push         `git push`, with the webhook that its hook sends, until git returns
  queue        from there until the deploy begins
  build, fetch, hook before, first host, other hosts, edge
               until the last host serves it, and the edge has forgotten the pages of before
  live         all of these but the first: from the end of `git push` to the last host
  watch        seconds for which errors are counted afterwards; nothing waits for it

Meanwhile a reader at each frontend asks for pages again and again: no request may
fail, and no page may be of another release than it says. Then it goes back to the release
before, and measures that. At the end the tree of the first commit is live again. Ends
with 1 where a target is missed.
"""

import argparse
import json
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TREE))

from tests.support.hosts import LEVEL, Fleet  # noqa: E402
from tests.support.pushes import APP, Pusher, Readers  # noqa: E402
from tests.support.site import Site  # noqa: E402
from tools import inventory, machine  # noqa: E402
from tools.sandbox import Sandbox  # noqa: E402

STAGES = ("build", "fetch", "hook before", "first host", "other hosts", "edge")


class Static:
    """A static site: a page of its own says the number."""

    app = site = APP
    role, targets = "frontend", {"live": 5.0, "rollback": 3.0}
    paths, told, says = ["/", "/trial/"], "/trial/", "<h1>(.*?)</h1>"

    @staticmethod
    def files(_, number):
        """What is pushed."""
        page = (
            '{% extends "page.html.j2" %}{% block description %}A measurement.{% endblock %}'
            f"{{% block main %}}<h1>Number {number}</h1>{{% endblock %}}"
        )
        return {"trial/index.html.j2": page}


class Wiki:
    """The wiki: the title of each page says the number, made by PHP for each reader."""

    app, site = "wiki", "docs"
    role, targets = "app", {"live": 20.0, "rollback": 3.0}
    told = "/wiki/Special:BlankPage"
    paths, says = [told], "<title>.*(Number [0-9]+)</title>"

    @staticmethod
    def files(pusher, number):
        """What is pushed."""
        settings = pusher.git("show", f"{pusher.first}:settings.php").stdout
        return {"settings.php": f"{settings}\n$wgSitename = 'Number {number}';\n"}


KINDS = {"static": Static, "wiki": Wiki}


def one(pusher, kind, number):
    """Push one change; {part: seconds}."""
    since = pusher.last()
    pusher.commit(kind.files(pusher, number))
    began = time.time()
    pusher.push()
    pushed = time.time()
    (deploy,) = pusher.outcome(since)
    if deploy["state"] != "live":
        raise SystemExit(f"deploy {deploy['number']} failed: {deploy['why']}")
    stages = dict(json.loads(deploy["stages"]))
    found = {"push": pushed - began, "queue": deploy["began"] - pushed}
    found |= {stage: stages[stage] for stage in STAGES if stage in stages}
    found["live"] = sum(found.values()) - found["push"]
    return found | {"watch": stages["watch"]}


def back(pusher):
    """Seconds of one way back, as the master counts them."""
    since = pusher.last()
    pusher.master.check_output(
        "salt-run --log-level=quiet state.orchestrate orch.deploy pillar=%s",
        json.dumps({"app": pusher.app, "kind": "rollback", "who": "bench"}),
    )
    (deploy,) = pusher.outcome(since)
    return deploy["ended"] - deploy["requested"]


def main():
    """Measure, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("times", nargs="?", type=int, default=20, help="pushes; 20")
    parser.add_argument("--kind", choices=sorted(KINDS), default="static", help="what; static")
    given = parser.parse_args()
    times, kind = given.times, KINDS[given.kind]
    machine.require_root()
    sandbox = Sandbox(inventory.load(LEVEL))
    fleet = Fleet(sandbox.write_ssh_config())
    with tempfile.TemporaryDirectory(prefix="bench-deploy-") as folder:
        pusher = Pusher(fleet, Path(folder), kind.app)
        try:
            rounds = [one(pusher, kind, 0)]
            with Readers(Site(fleet, Path(folder)), kind.site, kind.paths) as readers:
                for number in range(1, times + 1):
                    rounds.append(one(pusher, kind, number))
                    print(f"{number} of {times}: {rounds[-1]['live']:.1f} s", file=sys.stderr)
                rollback = back(pusher)
            # The first made the page that readers ask for.
            del rounds[0]
        finally:
            pusher.restore()
    print(f"{times} pushes to {kind.app}, {len(fleet.with_role(kind.role))} hosts; seconds\n")
    print("| part | median | least | most |\n|---|---|---|---|")
    for part in rounds[0]:
        values = [found[part] for found in rounds]
        print(
            f"| {part} | {statistics.median(values):.2f} | {min(values):.2f} | {max(values):.2f} |"
        )
    print(f"| rollback, once | {rollback:.2f} | | |")
    told = {}
    for path, status, release, text in readers.answers:
        if path == kind.told and status == 200:
            told.setdefault(release, set()).update(re.findall(kind.says, text)[:1])
    mixed = [release for release, words in told.items() if len(words) > 1]
    failed = Counter(status for _, status, _, _ in readers.failed())
    print(
        f"\n{len(readers.answers)} requests meanwhile: {failed.total()} failed, {len(mixed)} mixed"
    )
    for status, number in failed.items():
        print(f"{number} times {status or 'no answer'}", file=sys.stderr)
    found = {"live": statistics.median(one["live"] for one in rounds), "rollback": rollback}
    missed = [name for name, target in kind.targets.items() if found[name] > target]
    for name in missed:
        print(f"{name} takes more than {kind.targets[name]} s", file=sys.stderr)
    return 1 if missed or failed or mixed else 0


if __name__ == "__main__":
    sys.exit(main())
