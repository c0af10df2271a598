#!/usr/bin/python3
# Managed by Saltworks: deploy. Local changes are overwritten.
"""Tells monit whether a newer version is there than one that runs: what the master found."""

import json
import sys
import time
from pathlib import Path

FOUND = "/var/lib/deploy/versions.json"
# The master compares each hour; one time without an answer is no alarm.
PATIENCE_SECONDS = 3 * 3600


def problems(path):
    """Sentences with their remedies; none where all is well."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return [f"{error}. Remedy: `systemctl start deploy-versions` on the master"]
    said = [app["say"] for app in found["apps"].values() if app["say"]]
    if time.time() - (found["compared"] or 0) > PATIENCE_SECONDS:
        said.append(
            f"versions were not compared for hours: {found['why'] or 'nobody tried'}. Remedy: "
            "the host that is named, or `systemctl status deploy-versions.timer` on the master"
        )
    return said


def main(path=FOUND):
    """Print what is wrong; returns the exit code."""
    said = problems(path)
    print("\n".join(said) or "the newest versions run")
    return bool(said)


if __name__ == "__main__":  # pragma: no cover
    sys.exit(main())
