#!/usr/bin/python3
# Managed by Saltworks: mariadb. Local changes are overwritten.
"""
Tells over HTTP whether this node of a Galera cluster may be given queries.

Usage: galera-health ADDRESS PORT

200 when the node is synced in the primary component, else 503. The body says
what it knows, as JSON: `history` is whether this node was ever in a cluster; a
new cluster is founded only when no peer was.
"""

import json
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pymysql

SOCKET = "/run/mysqld/mysqld.sock"
ACCOUNT = "galera-health"
# Older answers are not given: brokers ask once a second.
FRESH_SECONDS = 0.5
ANSWER_SECONDS = 2
STATE_FILE = Path("/var/lib/mysql/grastate.dat")
NAMES = (
    "wsrep_local_state_comment",
    "wsrep_cluster_status",
    "wsrep_cluster_size",
    "wsrep_cluster_state_uuid",
    "wsrep_ready",
)


class Node:
    """The local daemon, asked over one connection that is kept."""

    def __init__(self):
        self._lock = threading.Lock()
        self._connection = None
        self._answer = None
        self._asked = 0.0

    def _ask(self):
        if self._connection is None:
            self._connection = pymysql.connect(
                unix_socket=SOCKET,
                user=ACCOUNT,
                connect_timeout=ANSWER_SECONDS,
                read_timeout=ANSWER_SECONDS,
                write_timeout=ANSWER_SECONDS,
                autocommit=True,
            )
        with self._connection.cursor() as cursor:
            cursor.execute("SHOW GLOBAL STATUS LIKE 'wsrep%'")
            found = dict(cursor.fetchall())
        return {name: str(found.get(name, "")) for name in NAMES}

    def look(self):
        """What the daemon says of itself; an error's name where it says nothing."""
        with self._lock:
            if time.monotonic() - self._asked < FRESH_SECONDS:
                return self._answer
            try:
                self._answer = self._ask()
            except (pymysql.Error, OSError) as error:
                self._answer = {"error": type(error).__name__}
                if self._connection is not None:
                    self._connection.close() if self._connection.open else None
                    self._connection = None
            self._asked = time.monotonic()
            return self._answer


def history():
    """Whether this node was ever in a cluster; None where that cannot be seen."""
    try:
        return STATE_FILE.exists()
    except OSError:
        return None


def told(said):
    """(status code, body) for what the daemon said."""
    body = {
        "state": said.get("wsrep_local_state_comment", ""),
        "status": said.get("wsrep_cluster_status", ""),
        "size": int(said.get("wsrep_cluster_size") or 0),
        "uuid": said.get("wsrep_cluster_state_uuid", ""),
        "history": history(),
    }
    well = (body["state"], body["status"], said.get("wsrep_ready")) == ("Synced", "Primary", "ON")
    return (200 if well else 503), body


class Handler(BaseHTTPRequestHandler):
    """Any path gets the same answer."""

    # A client that says nothing holds no thread for longer.
    timeout = 5
    server_version = "galera-health"
    sys_version = ""
    node = Node()

    def do_GET(self):
        code, body = told(self.node.look())
        text = json.dumps(body).encode() + b"\n"
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(text)

    do_HEAD = do_OPTIONS = do_GET  # noqa: N815

    def log_message(self, *_):
        """Nothing: it is asked every second."""


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request, client_address):
        # A balancer hangs up once it has read the status, many times a second.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


if __name__ == "__main__":
    with Server((sys.argv[1], int(sys.argv[2])), Handler) as server:
        server.serve_forever()
