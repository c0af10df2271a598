"""
What each drill came to: seconds to detect and to recover, requests that failed, what was lost.

    python3 bench/drills.py [LEVEL] [ROUNDS]

Runs `./fleet drill --all` some times (three, if left out), and prints a table as
Markdown: of each number the median, and the worst where it differs.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent
NUMBERS = {
    "detect_s": "detect, s",
    "recover_s": "recover, s",
    "requests_failed": "requests failed",
    "lost": "writes lost",
}


def run(level):
    """Run every drill once; return their records."""
    words = [str(TREE / "fleet"), "--level", level, "drill", "--all", "--json"]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
    return json.loads(done.stdout)["drills"]


def shown(values):
    """A drill's numbers of one kind, as text."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    middle, worst = statistics.median(known), max(known)
    return f"{middle:g}" if middle == worst else f"{middle:g} ({worst:g})"


def table(rounds):
    """The lines of the table of some rounds' records."""
    lines = [
        f"| drill | passed | {' | '.join(NUMBERS.values())} |",
        f"|---|---|{'---|' * len(NUMBERS)}",
    ]
    for name in sorted({record["name"] for records in rounds for record in records}):
        found = [record for records in rounds for record in records if record["name"] == name]
        passed = sum(record["passed"] for record in found)
        numbers = [shown([record[key] for record in found]) for key in NUMBERS]
        lines.append(f"| {name} | {passed} of {len(rounds)} | {' | '.join(numbers)} |")
    return lines


if __name__ == "__main__":
    level, times = (*sys.argv[1:], *("sandbox", "3")[len(sys.argv) - 1 :])
    print("\n".join(table([run(level) for _ in range(int(times))])))
