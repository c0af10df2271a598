"""Deploys: asked for, and shown."""

import getpass
import json
import os
import time

from rich.markup import escape

from tools.errors import FleetError
from tools.master import Master

STYLE = {"live": "green", "failed": "red", "running": "yellow", "waiting": "yellow"}


def carry_out(sandbox, app, kind, ref, progress):
    """
    Ask for a deploy and wait for its end.

    kind
        ``order`` or ``rollback``.

    ref
        A commit, a branch or a release; empty for the usual one.

    Returns the sentence that says what became of it.
    Raises FleetError where it failed.
    """
    wanted = {"app": app, "kind": kind, "ref": ref, "who": who()}
    steps = Master(sandbox).orchestrate(
        "orch.deploy", progress, {key: value for key, value in wanted.items() if value}
    )
    for step in steps:
        if not step["result"]:
            raise FleetError(
                f"{app}: {step['comment']}",
                f"what ran before still does; `./fleet releases {app}` shows it, and "
                "docs/runbooks/deploy.md what to do",
            )
    return steps[-1]["comment"]


def who():
    """Who sits before this machine."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def history(sandbox, app, limit):
    """The last deploys, the newest first, as ``site_deploy.history`` gives them."""
    words = ["salt-run", "--out=json", "--log-level=quiet", "salt.cmd", "site_deploy.history"]
    words += [f"app={app}"] if app else []
    done = Master(sandbox).inside(*words, f"limit={limit}", check=False)
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        raise FleetError(
            f"the master does not say what was deployed: {done.stdout[-500:]}{done.stderr[-500:]}",
            "`./fleet up` first: it makes the master",
        ) from error


def rows(deploys):
    """Rows of a table: number, app, when, seconds, what, who, release, state and why."""
    for deploy in deploys:
        took = f"{deploy['ended'] - deploy['requested']:.1f}" if deploy["ended"] else "-"
        style = STYLE.get(deploy["state"], "dim")
        yield (
            str(deploy["number"]),
            deploy["app"],
            when(deploy["requested"]),
            took,
            deploy["kind"],
            escape(deploy["who"]) or "-",
            short(deploy["release"]),
            f"[{style}]{deploy['state']}[/{style}]",
            escape(
                deploy["why"] or ", ".join(f"{name} {took} s" for name, took in deploy["stages"])
            ),
        )


def when(seconds):
    """A time, as people here read it."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def short(release):
    """A release's name, as short as people can tell it from others."""
    commit, _, inputs = (release or "-").partition("-")
    return f"{commit[:10]}-{inputs}" if inputs else "-"
