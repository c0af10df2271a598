"""
Keep the outcome of the last highstate on the minion itself.

Set as the minion's default returner (``return: site_highstate``), it sees the
highstates that the master orders and those of ``salt-call``, alike.
:py:func:`site_highstate.last` of the execution module reads what it wrote.
"""

import json
import time
from pathlib import Path

FILE_NAME = "last_highstate.json"


def _is_highstate(ret):
    """Whether this is a whole highstate that was allowed to change things."""
    arguments = ret.get("fun_args") or []
    names = [a for a in arguments if not isinstance(a, dict) and "=" not in str(a)]
    if ret.get("fun") == "state.apply" and names:
        return False
    if ret.get("fun") not in ("state.highstate", "state.apply"):
        return False
    tested = [a.get("test") for a in arguments if isinstance(a, dict)]
    return not any(tested) and "test=True" not in arguments


def outcome(ret):
    """
    Sum up a highstate.

    ret
        The return of a job, as a returner gets it.

    Returns ``{"finished": seconds since 1970, "states", "changed", "failed":
    counts, "failures": [{"state", "comment"}, …], "seconds"}``.

    CLI Example:

    .. code-block:: bash

        salt-call state.highstate --return site_highstate
    """
    states = ret.get("return")
    if not isinstance(states, dict):
        # Pillar or rendering errors: a list of sentences instead of states.
        comments = [str(line) for line in states] if isinstance(states, list) else [str(states)]
        failures = [{"state": "highstate", "comment": "\n".join(comments)}]
        states = {}
    else:
        failures = [
            {"state": state.get("__id__", key), "comment": str(state.get("comment", ""))}
            for key, state in states.items()
            if state.get("result") is False
        ]
    return {
        "finished": int(time.time()),
        "states": len(states),
        "changed": sum(1 for state in states.values() if state.get("changes")),
        "failed": len(failures),
        "failures": failures,
        "seconds": round(sum(state.get("duration", 0) for state in states.values()) / 1000, 2),
    }


def returner(ret):
    """
    Write the outcome beside the minion's cache, for the owner alone.

    ret
        The return of a job; whatever is not a highstate is passed over.

    CLI Example:

    .. code-block:: bash

        salt-call state.highstate --return site_highstate
    """
    if not _is_highstate(ret):
        return
    path = Path(__opts__["cachedir"]) / FILE_NAME
    new = path.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_text(json.dumps(outcome(ret)), encoding="utf-8")
    new.replace(path)
