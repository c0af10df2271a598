"""
How long `./fleet up` takes: from nothing, after `down`, and on a running fleet.

    python3 bench/up.py [LEVEL]

Removes the level and every image and cache of this project from the machine
first: it measures from nothing. Prints a table as Markdown, with where the time
goes as the command itself says.
"""

import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent
LEVEL = sys.argv[1] if len(sys.argv) > 1 else "sandbox"


def fleet(*words):
    """Run ./fleet; return (seconds, what it said on standard error)."""
    started = time.monotonic()
    done = subprocess.run(
        [str(TREE / "fleet"), "--level", LEVEL, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"./fleet {' '.join(words)} failed:\n{done.stderr}")
    return time.monotonic() - started, done.stderr


def phases(said):
    """Seconds at which the parts of an `up` began, as [(what, second)]."""
    marks = [
        ("base system", r"(\d+) s making a Debian"),
        ("image", r"(\d+) s building the image"),
        ("boot", r"(\d+) s \S+ +boot$"),
        ("tree, master, keys", r"(\d+) s \S+ +tree and master"),
        ("highstates", r"(\d+) s \S+ +highstate"),
    ]
    found = []
    for what, pattern in marks:
        match = re.search(pattern, said, re.M)
        if match:
            found.append((what, int(match[1])))
    return found


def main():
    """Measure the three ways of raising a level, in order."""
    fleet("down", "--purge")
    rows = [("from nothing", *fleet("up"))]
    fleet("down")
    rows.append(("after `down`", *fleet("up")))
    rows.append(("on a running fleet", *fleet("up")))
    cold = rows[0][1]
    print(f"{os.cpu_count()} cores; ratios are to the first row.\n")
    print("| up | wall, s | ratio | parts, s |")
    print("|---|---|---|---|")
    for what, seconds, said in rows:
        marks = [*phases(said), ("end", round(seconds))]
        parts = ", ".join(
            f"{name} {marks[place + 1][1] - start}"
            for place, (name, start) in enumerate(marks[:-1])
        )
        print(f"| {what} | {seconds:.0f} | {seconds / cold:.2f} | {parts} |")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"\nThe command itself took {peak:.0f} MiB at most.")


if __name__ == "__main__":
    main()
