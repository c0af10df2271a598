"""
What is deployed by a push: pillar/apps.yaml and pillar/static-sites.yaml, as one level
sees them.
"""

import hashlib
import json

from salt.exceptions import CommandExecutionError

DEFAULTS = {
    "roles": [],
    "build": [],
    "output": ".",
    "seconds": 300,
    "memory_mb": 1024,
    "keep": 5,
    "check": {},
    "watch": 5,
    "frozen": "",
    "windows": [],
}
# What a static site is beyond that.
STATIC = {"roles": ["frontend"], "build": ["static-build"], "output": "public", "seconds": 60}
BUILDS = ("repository", "branch", "build", "output", "seconds", "memory_mb")
RUNS = ("keep", "check")


def of_level(level, apps, static):
    """
    The apps of a level. Pure.

    level
        Its name; apps without a branch for it are left out.

    apps, static
        pillar/apps.yaml and pillar/static-sites.yaml, as data.

    Returns ``{app: {"repository", "branch", "roles", "build", "output", "seconds",
    "memory_mb", "keep", "check", "watch", "frozen", "windows"}}``.

    Raises CommandExecutionError where a name stands in both files, or two apps have
    one repository.

    CLI Example:

    .. code-block:: bash

        salt-call site_apps.of_level staging '{www: {…}}' '{}'
    """
    twice = sorted(set(apps) & set(static))
    if twice:
        raise CommandExecutionError(
            f"apps.yaml and static-sites.yaml both have {', '.join(twice)}. Cure: another name"
        )
    found, repositories = {}, {}
    sites = {
        name: STATIC | {"check": {"site": name, "path": "/"}} | entry
        for name, entry in static.items()
    }
    for name, entry in sorted((apps | sites).items()):
        if level not in entry["branches"]:
            continue
        other = repositories.setdefault(entry["repository"], name)
        if other != name:
            raise CommandExecutionError(
                f"{other} and {name} are both made of {entry['repository']}. Cure: one app "
                "for each repository"
            )
        app = DEFAULTS | {key: entry[key] for key in DEFAULTS if key in entry}
        found[name] = app | {
            "repository": entry["repository"],
            "branch": entry["branches"][level],
        }
    return found


def part(apps, keys, roles=None):
    """
    Some keys of each app that is released. Pure.

    apps
        As :py:func:`of_level` returns them; those that no role runs are left out.

    keys
        ``"builds"``, what the builder needs; ``"runs"``, what a host that runs it needs.

    roles
        Those of one host: only apps that it runs.

    CLI Example:

    .. code-block:: bash

        salt-call site_apps.part '{www: {…}}' runs '[frontend]'
    """
    wanted = {"builds": BUILDS, "runs": RUNS}[keys]
    return {
        name: {key: app[key] for key in wanted}
        for name, app in apps.items()
        if app["roles"] and (roles is None or set(app["roles"]) & set(roles))
    }


def inputs(settings, data):
    """
    What a release is made of beside its commit, as eight digits of a digest. Pure.

    settings
        The app's ``build`` and ``output``.

    data
        What the level tells every build.

    CLI Example:

    .. code-block:: bash

        salt-call site_apps.inputs '{build: [], output: .}' '{}'
    """
    made = {"build": settings["build"], "output": settings["output"], "data": data}
    text = json.dumps(made, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]
