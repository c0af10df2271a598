"""Waiting for a condition, with a limit."""

import time


def wait_for(condition, seconds, what, interval=0.5):
    """
    Wait until a condition holds.

    condition
        A function without arguments. What it raises counts as not yet.

    seconds
        How long at most.

    what
        The sentence of the failure: what was waited for.

    Returns (value, seconds it took): the first true value of the condition.
    Raises AssertionError, with the last value or error, when time is up.
    """
    started = time.monotonic()
    last = None
    while True:
        try:
            last = condition()
            if last:
                return last, time.monotonic() - started
        except Exception as error:
            last = error
        if time.monotonic() - started > seconds:
            raise AssertionError(f"{what}: not within {seconds} s; last: {last!r}")
        time.sleep(interval)
