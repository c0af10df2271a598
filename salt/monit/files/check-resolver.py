#!/usr/bin/python3 -I
# Managed by Saltworks: monit. Local changes are overwritten.
"""
Ask the system's resolver for a name: exit 0 if it answers, 1 if it does not.

`check-resolver NAME`. "There is no such name" is an answer. The hosts file is
not asked, so the resolver itself has to speak.
"""

import ctypes
import os
import socket
import sys

# Each name server gets one question and two seconds (resolv.conf(5)).
os.environ["RES_OPTIONS"] = "timeout:2 attempts:1"
ANSWERS_NO = (socket.EAI_NONAME, socket.EAI_NODATA)


def dns_alone():
    """Let the C library look names up by DNS only, in this process."""
    if ctypes.CDLL(None).__nss_configure_lookup(b"hosts", b"dns") != 0:
        raise OSError("the C library refuses to look names up by DNS alone")


def ask(name):
    """A line that says what the resolver did, and whether it answered."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in ANSWERS_NO:
            return f"the resolver answers: no address for {name}", True
        return f"the resolver does not answer for {name}: {error.strerror}", False
    return f"the resolver answers: {name} is {found[0][4][0]}", True


def main(argv):
    """Return the exit status."""
    (name,) = argv
    dns_alone()
    line, answered = ask(name)
    print(line)
    return 0 if answered else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
