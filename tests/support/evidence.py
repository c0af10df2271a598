"""What the hosts logged while a test failed: a host's journal is gone when it is."""

import re
import subprocess
from concurrent import futures
from pathlib import Path

from tools import machine

PLACE = machine.CACHE / "failed"
TESTS = 12
LINES = 4000


def keep(fleet, test, began):
    """
    Write the journals of all hosts, from the beginning of a test, into one folder.

    fleet
        The hosts.

    test
        The test's id: the folder's name.

    began
        When it began, seconds since 1970.

    Returns the folder; None where the first tests that failed filled the place.
    """
    folder = PLACE / re.sub(r"[^\w.-]+", "_", test)[-120:]
    if PLACE.is_dir() and len(list(PLACE.iterdir())) >= TESTS and not folder.is_dir():
        return None
    folder.mkdir(parents=True, exist_ok=True)
    # A few seconds more: clocks of drills, and what led to it.
    command = f"journalctl --quiet --no-pager --since=@{int(began) - 5} | tail -n {LINES}"

    def read(member):
        try:
            text = fleet.shell(member.name, command, seconds=8).stdout
        except subprocess.TimeoutExpired:
            text = "no answer\n"
        Path(folder / f"{member.name}.log").write_text(text, encoding="utf-8")

    with futures.ThreadPoolExecutor(max_workers=6) as pool:
        list(pool.map(read, fleet.members))
    return folder
