#!/usr/bin/python3
# Managed by Saltworks: postfix. Local changes are overwritten.
"""
Say whether mail of this host goes out: for monit.

Usage: mail-queue-check [--age SECONDS] [--bounces COUNT] [--minutes MINUTES]

Ends with 1 and one line where the oldest mail in the queue is older than that, or
where so many mails came back as undeliverable in the last minutes.
"""

import argparse
import json
import subprocess
import sys
import time


def queue():
    """``[(age in seconds, queue id, why it waits), …]``, the oldest first."""
    said = subprocess.run(
        ["/usr/sbin/postqueue", "-j"], capture_output=True, text=True, timeout=20, check=True
    ).stdout
    now = time.time()
    found = []
    for line in said.splitlines():
        mail = json.loads(line)
        reasons = [each.get("delay_reason", "") for each in mail.get("recipients", [])]
        found.append((int(now - mail["arrival_time"]), mail["queue_id"], "".join(reasons[:1])))
    return sorted(found, reverse=True)


def bounces(minutes):
    """How many mails of this host's came back in the last minutes, by its journal."""
    said = subprocess.run(
        [
            "/usr/bin/journalctl",
            *("--quiet", "--output=cat", "--facility=mail"),
            *(f"--since=-{minutes}min", "--grep=status=bounced"),
        ],
        capture_output=True,
        text=True,
        timeout=20,
        # It ends with 1 where it finds none.
        check=False,
    ).stdout
    return len(said.splitlines())


def problems(age, count, minutes):
    """
    What is wrong, as a list of sentences.

    age
        Seconds that mail may wait.

    count
        How many mails may come back in these minutes.
    """
    found = []
    try:
        waiting = queue()
    except subprocess.SubprocessError as error:
        why = getattr(error, "stderr", None) or error
        return [f"the queue cannot be read: {' '.join(str(why).split())}"]
    if waiting and waiting[0][0] > age:
        seconds, queue_id, why = waiting[0]
        found.append(
            f"{len(waiting)} mails wait, {queue_id} for {seconds} s: {why or 'no reason yet'}"
        )
    came_back = bounces(minutes)
    if came_back > count:
        found.append(f"{came_back} mails came back in {minutes} minutes")
    return found


def main(arguments):
    """What the command does; returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--age", type=int, default=900, help="seconds that mail may wait")
    parser.add_argument("--bounces", type=int, default=5, help="mails that may come back")
    parser.add_argument("--minutes", type=int, default=30, help="in so many minutes")
    given = parser.parse_args(arguments)
    found = problems(given.age, given.bounces, given.minutes)
    sys.stdout.write("; ".join(found or ["mail goes out"]) + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
