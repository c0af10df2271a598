"""Talking to the database from a host of the fleet, over TLS, as one of its users."""

import itertools
import json
import shlex
import threading
import time

from tests.support.waiting import wait_for

PYTHON = "/opt/salt/bin/python3"
CA = "/etc/ssl/site/ca.crt"
RECOVER = "salt-run --out=json state.orchestrate orch.db_recover"

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

# One client that writes numbers in turn, and tells of each at once: [number, None] was
# acknowledged, [number, text] was not. Ends with its standard input.
_WRITE = (
    _CONNECT.replace("json.load(sys.stdin)", "json.loads(sys.stdin.readline())")
    + """
import threading
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
def tell(*what):
    print(json.dumps(what), flush=True)
line, number = None, 0
while not ended.is_set():
    number += 1
    try:
        if line is None:
            line = connect()
            with line.cursor() as cursor:
                cursor.execute("SELECT @@hostname")
                tell("server", cursor.fetchone()[0])
        with line.cursor() as cursor:
            cursor.execute(job["statement"], (number,))
        tell(number, None)
        ended.wait(0.02)
    except (pymysql.Error, OSError) as error:
        tell(number, str(error))
        line = None
        ended.wait(0.1)
"""
)


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
    A client on an app host that writes numbers to a table, beside the test.

    ``with Writer(…) as writer: …``

    fleet, name
        The fleet, and the host that the client runs on.

    table
        Its own, as of :py:func:`make_table`.

    password
        The wiki's.

    bytes_each
        What each row takes besides its number.

    told
        ``[(seconds, number, None or the error), …]``, as it happens.

    servers
        The host name of each connection.
    """

    def __init__(self, fleet, name, table, *, password, bytes_each=0):
        self._fleet, self._name = fleet, name
        statement = f"INSERT INTO {table} VALUES (%s, REPEAT('x', {bytes_each}))"  # noqa: S608
        self._job = {
            "address": "127.0.0.1",
            "user": "wiki",
            "password": password,
            "ca": CA,
            "statement": statement,
        }
        self.told, self.servers = [], []

    def __enter__(self):
        self._client = self._fleet.begin(self._name, f"{PYTHON} -c {shlex.quote(_WRITE)}")
        self._client.stdin.write(json.dumps(self._job) + "\n")
        self._client.stdin.flush()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()
        return self

    def _listen(self):
        for line in self._client.stdout:
            what, said = json.loads(line)
            if what == "server":
                self.servers.append(said)
            else:
                self.told.append((time.monotonic(), what, said))

    def __exit__(self, *_):
        # The last statement may wait for an answer that does not come.
        try:
            self._client.stdin.close()
            self._client.wait(30)
        finally:
            self._client.kill()
            self._thread.join()

    def acknowledged(self):
        """The numbers of the rows that were acknowledged."""
        return {number for _, number, error in self.told if error is None}

    def failures(self):
        """What those were told whose row was not acknowledged."""
        return [error for _, _, error in self.told if error is not None]

    def longest_gap(self):
        """The longest time between two acknowledged rows, in seconds."""
        times = [at for at, _, error in self.told if error is None]
        return max(after - before for before, after in itertools.pairwise(times))


def make_table(host, table):
    """A table for a :py:class:`Writer`; what a killed drill left of it goes."""
    as_root(host, f"DROP TABLE IF EXISTS {table}")
    as_root(host, f"CREATE TABLE {table} (number INT PRIMARY KEY, filler MEDIUMTEXT)")


def numbers_on(host, table):
    """The numbers that a database host has in a writer's table."""
    found = as_root(host, f"SELECT number FROM {table}")  # noqa: S608 - its own table
    return {int(line) for line in found.splitlines()}


def recover(fleet):
    """Run the recovery; return its steps as ``{sentence: state's result}``."""
    done = fleet.shell("salt", RECOVER, seconds=900)
    assert done.returncode == 0, done.stdout[-3000:]
    (steps,) = json.loads(done.stdout)["data"].values()
    return {step["__id__"]: step for step in steps.values()}


def as_root(host, statement):
    """Run a statement as root on a database host; return the lines, columns by tabs."""
    return host.check_output("mariadb --batch --skip-column-names --execute %s", statement)


def status(host, name):
    """One of the daemon's status values on a database host."""
    return as_root(host, f"SHOW GLOBAL STATUS LIKE '{name}'").partition("\t")[2]


def whole(hosts):
    """Whether every one of these hosts is synced in a cluster of just these."""
    wanted = {
        "wsrep_local_state_comment": "Synced",
        "wsrep_cluster_status": "Primary",
        "wsrep_cluster_size": str(len(hosts)),
    }
    ask = "SHOW GLOBAL STATUS WHERE Variable_name IN ('{}')".format("', '".join(wanted))
    return all(
        dict(line.split("\t") for line in as_root(host, ask).splitlines()) == wanted
        for host in hosts
    )


def wait_until_whole(hosts, seconds=120):
    """Wait until the cluster is whole; raises AssertionError when it does not become so."""
    wait_for(lambda: whole(hosts), seconds, "every database host is synced", interval=1)
