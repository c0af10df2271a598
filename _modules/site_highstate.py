"""
What the last highstate of this host came to.
"""

import json
from pathlib import Path


def last():
    """
    The outcome of the last highstate, as the returner of the same name kept it.

    Returns a dictionary (see the returner's ``outcome``), or None where no
    highstate has run yet.

    CLI Example:

    .. code-block:: bash

        salt '*' site_highstate.last
    """
    path = Path(__opts__["cachedir"]) / "last_highstate.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
