"""
What is deployed by a push: pillar/apps.yaml and pillar/static-sites.yaml, as one level
sees them.
"""

import hashlib
import json

from salt.exceptions import CommandExecutionError

DEFAULTS = {
    "roles": [],
    "packages": [],
    "build": [],
    "output": ".",
    "seconds": 300,
    "memory_mb": 1024,
    "told": False,
    "keep": 5,
    "check": {},
    "renew": [],
    "hooks": {},
    "cached": [],
    "watch": 5,
    "tree": False,
    "frozen": "",
    "windows": [],
}
# What a static site is beyond that.
STATIC = {
    "roles": ["frontend"],
    "build": ["static-build"],
    "output": "public",
    "seconds": 60,
    "told": True,
}
BUILDS = (
    "repository",
    "branch",
    "version",
    "packages",
    "build",
    "output",
    "seconds",
    "memory_mb",
    "told",
)
RUNS = ("keep", "check", "renew", "tree")


def of_level(level, apps, static):
    """
    The apps of a level. Pure.

    level
        Its name; apps without a branch or a version for it are left out.

    apps, static
        pillar/apps.yaml and pillar/static-sites.yaml, as data.

    Returns ``{app: {"repository", "branch", "version", "roles", "packages", "build",
    "output", "seconds", "memory_mb", "told", "keep", "check", "renew", "hooks", "cached",
    "watch", "tree", "frozen", "windows"}}``; one of ``branch`` and ``version`` is None.

    Raises CommandExecutionError where a name stands in both files, two apps have one
    repository, or one has a branch and a version.

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
        branch = entry.get("branches", {}).get(level)
        version = entry.get("versions", {}).get(level)
        if branch and version:
            raise CommandExecutionError(
                f"{name} has a branch and a version for {level}. Cure: leave one of them"
            )
        if not (branch or version):
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
            "branch": branch,
            "version": version,
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
        The app's ``build``, ``output``, ``version`` and ``told``.

    data
        What the level tells those builds that are told of it; its ``programs`` are digests
        of the builder's own programs, by name, and count where a build names them.

    CLI Example:

    .. code-block:: bash

        salt-call site_apps.inputs '{build: [], output: ., version: null, told: true}' '{}'
    """
    made = {key: settings[key] for key in ("build", "output", "version")}
    words = {word for command in settings["build"] for word in command.split()}
    programs = data.get("programs", {})
    made["programs"] = {name: programs[name] for name in sorted(words & set(programs))}
    if settings["told"]:
        made["data"] = {key: value for key, value in data.items() if key != "programs"}
    text = json.dumps(made, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]
