"""
The code of others as repositories of our own (pillar/upstreams.yaml): which of them have
nothing yet, and bringing them up to date.

The work is that of a program that runs as the owner of the repositories; the timer of the
host runs the same one.
"""

import json
from pathlib import Path

from salt.exceptions import CommandExecutionError

PROGRAM = "/usr/local/lib/saltworks/git-upstreams"
CONFIG = "/etc/git-upstreams/config.json"
OWNER = "git"


def _call(config, what, names):
    """What the program answers, as data."""
    try:
        seconds = json.loads(Path(config).read_text(encoding="utf-8"))["seconds"]
    except FileNotFoundError:
        raise CommandExecutionError(
            f"{config} is missing: nothing is kept here. Remedy: salt-call state.apply upstreams"
        ) from None
    result = __salt__["cmd.run_all"](
        ["runuser", "-u", OWNER, "--", PROGRAM, "--config", config, what, *names],
        python_shell=False,
        cwd="/",
        # It ends by itself, a little earlier.
        timeout=seconds + 30,
        ignore_retcode=True,
    )
    try:
        return json.loads(result["stdout"])
    except ValueError:
        said = "\n".join(part for part in (result["stdout"], result["stderr"]) if part)
        raise CommandExecutionError(f"{PROGRAM} {what} failed:\n{said[-4000:]}") from None


def lacking(*names, config=CONFIG):
    """
    Repositories that are not there yet, or have nothing in them.

    names
        ``<owner>/<name>``; all of the table.

    config
        The host's configuration. Where it is not there, all that are named lack.

    Returns names.

    CLI Example:

    .. code-block:: bash

        salt 'source*' site_upstreams.lacking
    """
    if names and not Path(config).exists():
        return list(names)
    return _call(config, "lacking", names)


def bring(name, config=CONFIG):
    """
    Import into a repository in which there is nothing yet.

    name
        ``<owner>/<name>``.

    config
        The host's configuration.

    Returns ``{"changed": {name: {ref: commit}}, "waiting": {name: why}, "failed":
    {name: why}, "seconds"}``. What waits is listed by the archive, and not there yet.

    Raises CommandExecutionError where the program does not run.

    CLI Example:

    .. code-block:: bash

        salt 'source*' site_upstreams.bring upstream/mediawiki
    """
    return _call(config, "missing", [name])


def update(*names, config=CONFIG):
    """
    Bring repositories up to date: what the timer does each night.

    names
        ``<owner>/<name>``; all of the table.

    config
        The host's configuration.

    Returns ``{"changed": {name: {ref: commit, or None where it is gone}}, "waiting":
    {name: why}, "seconds"}``. What waits is listed by the archive, and not there yet.

    Raises CommandExecutionError where one fails, with the reason and the remedy of each.
    What is there stays, and the others are brought up to date all the same.

    CLI Example:

    .. code-block:: bash

        salt 'source*' site_upstreams.update
        salt 'source*' site_upstreams.update upstream/wordpress
    """
    found = _call(config, "update", names)
    failed = found.pop("failed")
    if failed:
        lines = [f"{name}: {why}" for name, why in sorted(failed.items())]
        lines += [f"{name}: up to date" for name in sorted(found["changed"]) if name not in failed]
        raise CommandExecutionError("\n".join(lines))
    return found
