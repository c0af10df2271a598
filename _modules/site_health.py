"""
Whether this host does its work: every daemon of the registry runs and answers.
"""

import socket
import time

from salt.exceptions import CommandExecutionError

CONNECT_SECONDS = 2
POLL_SECONDS = 1


def _answers(address, port):
    """Whether somebody accepts a connection there."""
    try:
        with socket.create_connection((address, port), timeout=CONNECT_SECONDS):
            return True
    except OSError:
        return False


def problems():
    """
    What does not run or answer on this host, by what the registry says.

    Ports whose check is ``none`` and those of UDP are not asked.

    Returns a list of sentences, empty where all is well.

    CLI Example:

    .. code-block:: bash

        salt '*' site_health.problems
    """
    own = __salt__["site_hosts.address"]()
    found = []
    for service in __salt__["site_registry.services"]():
        if not __salt__["service.status"](service["unit"]):
            found.append(f"{service['unit']} does not run: journalctl -u {service['unit']}")
            continue
        for listen in service["listens"]:
            if listen["check"] == "none" or listen["protocol"] != "tcp":
                continue
            address = "127.0.0.1" if listen["address"] == "local" else own
            if not _answers(address, listen["port"]):
                found.append(f"{service['name']} does not answer on {address}:{listen['port']}")
    return found


def wait(seconds=60):
    """
    Wait until there is no problem: the health gate between the waves of orch.up.

    seconds
        How long at most.

    Returns True. Raises CommandExecutionError with every problem when time is up.

    CLI Example:

    .. code-block:: bash

        salt 'app*' site_health.wait seconds=30
    """
    ends = time.monotonic() + seconds
    while True:
        found = problems()
        if not found:
            return True
        if time.monotonic() > ends:
            raise CommandExecutionError("; ".join(found))
        time.sleep(POLL_SECONDS)
