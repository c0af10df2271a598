"""Talking to the database from a host of the fleet, over TLS, as one of its users."""

import itertools
import json
import shlex
import threading

import pytest
import yaml

from tests.support.waiting import wait_for
from tools.inventory import TREE, is_sandbox

SECRETS = TREE / "pillar" / "secrets"
PYTHON = "/opt/salt/bin/python3"
CA = "/etc/ssl/site/ca.crt"

# Runs on the host. The job comes by standard input: a password in a command line
# would stand in the process list.
_CONNECT = """
import json, ssl, sys, time
import pymysql
job = json.load(sys.stdin)
def connect():
    tls = None
    if job["ca"]:
        tls = ssl.create_default_context(cafile=job["ca"])
        # No stricter about the form of a certificate than other clients are.
        tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return pymysql.connect(host=job["address"], port=3306, user=job["user"],
        password=job["password"], ssl=tls, connect_timeout=5, read_timeout=15, autocommit=True)
"""

_ASK = (
    _CONNECT
    + """
said = []
try:
    line = connect()
except (pymysql.Error, OSError) as error:
    print(json.dumps({"refused": str(error)}))
    sys.exit()
for statement in job["statements"]:
    with line.cursor() as cursor:
        try:
            cursor.execute(statement)
            said.append([list(map(str, row)) for row in cursor.fetchall()])
        except pymysql.Error as error:
            said.append(str(error))
print(json.dumps({"said": said}))
"""
)

# One client that writes numbers in turn, and says after each that was acknowledged.
_WRITE = (
    _CONNECT
    + """
begin = time.monotonic()
line, number = None, 0
acknowledged, failures, servers = [], [], []
while time.monotonic() - begin < job["seconds"]:
    number += 1
    try:
        if line is None:
            line = connect()
            with line.cursor() as cursor:
                cursor.execute("SELECT @@hostname")
                servers.append(cursor.fetchone()[0])
        with line.cursor() as cursor:
            cursor.execute(job["statement"], (number,))
        acknowledged.append([number, time.monotonic() - begin])
        time.sleep(0.01)
    except (pymysql.Error, OSError) as error:
        failures.append([str(error), time.monotonic() - begin])
        line = None
        time.sleep(0.1)
print(json.dumps({"acknowledged": acknowledged, "failures": failures, "servers": servers}))
"""
)


def secrets_of(fleet):
    """The secrets of the level: fakes, which stand in git in clear for a sandbox only."""
    path = SECRETS / fleet.inventory.level / "secrets.yaml"
    found = yaml.safe_load(path.read_text("utf-8"))
    if not is_sandbox(fleet.inventory.level):
        pytest.skip("this level's secrets are not in clear")
    return found


def _run(fleet, name, program, job, seconds):
    done = fleet.shell(
        name, f"{PYTHON} -c {shlex.quote(program)}", stdin=json.dumps(job), seconds=seconds
    )
    assert done.returncode == 0, done.stderr[-800:]
    return json.loads(done.stdout)


def ask(fleet, name, *statements, user="wiki", password, address="127.0.0.1", tls=True):
    """
    Run statements on one connection that begins at a host.

    Returns ``{"said": [rows or the error's text, …]}``, or ``{"refused": text}``
    where there is no connection.
    """
    job = {
        "address": address,
        "user": user,
        "password": password,
        "ca": CA if tls else None,
        "statements": statements,
    }
    return _run(fleet, name, _ASK, job, 60)


class Writer:
    """
    A client on an app host that writes to a table for a while, beside the test.

    ``with Writer(…) as writer: …``; afterwards ``writer.result`` is
    ``{"acknowledged": [[number, seconds], …], "failures": [[text, seconds], …],
    "servers": [host name of each connection]}``.
    """

    def __init__(self, fleet, name, table, *, seconds, password):
        self._arguments = (fleet, name, _WRITE)
        self._job = {
            "address": "127.0.0.1",
            "user": "wiki",
            "password": password,
            "ca": CA,
            "statement": f"INSERT INTO {table} VALUES (%s)",  # noqa: S608 - its own table
            "seconds": seconds,
        }
        self._thread = threading.Thread(target=self._write)
        self.result = None

    def _write(self):
        self.result = _run(*self._arguments, self._job, self._job["seconds"] + 60)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._thread.join()

    def numbers(self):
        """The numbers of the rows that were acknowledged."""
        return {number for number, _ in self.result["acknowledged"]}

    def longest_gap(self):
        """The longest time without an acknowledged row, in seconds."""
        times = [0.0, *[at for _, at in self.result["acknowledged"]]]
        return max(after - before for before, after in itertools.pairwise(times))


def as_root(host, statement):
    """Run a statement as root on a database host; return the lines, columns by tabs."""
    return host.check_output("mariadb --batch --skip-column-names --execute %s", statement)


def status(host, name):
    """One of the daemon's status values on a database host."""
    return as_root(host, f"SHOW GLOBAL STATUS LIKE '{name}'").partition("\t")[2]


def whole(hosts):
    """Whether every one of these hosts is synced in a cluster of just these."""
    return all(
        status(host, "wsrep_local_state_comment") == "Synced"
        and status(host, "wsrep_cluster_status") == "Primary"
        and status(host, "wsrep_cluster_size") == str(len(hosts))
        for host in hosts
    )


def wait_until_whole(hosts, seconds=120):
    """Wait until the cluster is whole; raises AssertionError when it does not become so."""
    wait_for(lambda: whole(hosts), seconds, "every database host is synced", interval=1)
