"""
Lock files of Python packages: exact versions, each with the digests that its files may
have, and nothing else.
"""

import re

from packaging.requirements import InvalidRequirement, Requirement
from salt.exceptions import CommandExecutionError

HASH = re.compile(r"--hash[= ]sha256:([0-9a-f]{64})(?=\s|$)")
COMMENT = re.compile(r"(^|\s)#.*$")
HASHES = (
    "Remedy: write the lock with `pip-compile --generate-hashes` or "
    "`uv pip compile --generate-hashes`"
)


def _lines(text):
    """The lines of a lock: without comments, each with what continues it."""
    plain = "\n".join(COMMENT.sub("", line).rstrip() for line in text.splitlines())
    return [line.strip() for line in plain.replace("\\\n", " ").split("\n") if line.strip()]


def _exact(requirement):
    """Whether one version alone is meant."""
    found = list(requirement.specifier)
    return (
        not requirement.url
        and len(found) == 1
        and found[0].operator == "=="
        and not found[0].version.endswith(".*")
    )


def locked(name, text):
    """
    The packages of a lock file that this host's Python needs. Pure.

    name
        The file's name, for what is said of it.

    text
        What stands in it.

    Returns ``[{"requirement": "<name>==<version>", "sha256": […]}, …]``.

    Raises CommandExecutionError for a package without a digest, one of which not one
    version alone is named, an address, or an option: where packages come from is the
    host's affair.

    CLI Example:

    .. code-block:: bash

        salt-call site_wheels.locked requirements.txt 'mdurl==0.1.2 --hash=sha256:…'
    """
    found = []
    for line in _lines(text):
        plain, digests = HASH.sub("", line).strip(), HASH.findall(line)
        shown = plain[:80]
        if plain.startswith("-"):
            raise CommandExecutionError(
                f"{name}: '{shown}' is an option. Remedy: a lock names packages alone; take it out"
            )
        if "--hash" in plain:
            raise CommandExecutionError(f"{name}: '{shown}': no SHA-256. {HASHES}")
        try:
            requirement = Requirement(plain)
        except InvalidRequirement:
            raise CommandExecutionError(f"{name}: '{shown}' is no package. {HASHES}") from None
        if not _exact(requirement):
            raise CommandExecutionError(f"{name}: '{shown}' is not one version. {HASHES}")
        if not digests:
            raise CommandExecutionError(f"{name}: {shown} has no hash. {HASHES}")
        if requirement.marker is None or requirement.marker.evaluate():
            exact = f"{requirement.name}{requirement.specifier}"
            found.append({"requirement": exact, "sha256": sorted(digests)})
    return found
