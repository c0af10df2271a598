"""Talking to keystores from a host of the fleet, in their own protocols."""

import json
import shlex

# Runs on the host. What is said comes by standard input: a password in a command
# line would stand in the process list.
_TALK = """
import json, socket, sys, time
job = json.load(sys.stdin)
said = []
with socket.create_connection((job["address"], job["port"]), timeout=5) as line:
    for request in job["requests"]:
        started = time.monotonic()
        try:
            line.sendall(request.encode())
            answer = line.recv(65536).decode()
        except ConnectionError:
            answer = ""
        said.append([answer, time.monotonic() - started])
json.dump(said, sys.stdout)
"""

# Runs on the host: several clients that write in turn for a while, as the workers of
# an app do. Tells of each request when it began, how long it took and what came back.
_PROBE = """
import json, socket, sys, threading, time
job = json.load(sys.stdin)
begin = time.monotonic()
seen = []
def client(number):
    line, turn = None, 0
    while time.monotonic() - begin < job["seconds"]:
        turn += 1
        started = time.monotonic()
        try:
            if line is None:
                line = socket.create_connection((job["address"], job["port"]), timeout=5)
            line.sendall((job["request"] % (number * 1000 + turn % 200)).encode())
            answer = line.recv(65536).decode()
        except OSError as error:
            answer = str(error)
        well = answer.startswith(job["well"])
        if not (well or answer.startswith("SERVER_ERROR")):
            line = None
        seen.append([started - begin, time.monotonic() - started, well])
        time.sleep(0.005 if well else 0.02)
clients = [threading.Thread(target=client, args=(n,)) for n in range(4)]
for each in clients:
    each.start()
for each in clients:
    each.join()
json.dump(sorted(seen), sys.stdout)
"""


def command(*words):
    """A command in Redis's protocol; nutcracker understands no other form."""
    parts = [f"*{len(words)}\r\n"]
    parts += [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
    return "".join(parts)


def _run(fleet, name, program, job, seconds):
    """Run a program of this module on a host; return what it says."""
    done = fleet.shell(
        name, f"python3 -c {shlex.quote(program)}", stdin=json.dumps(job), seconds=seconds
    )
    if done.returncode:
        raise ConnectionError(f"{name} to {job['address']}:{job['port']}: {done.stderr[-500:]}")
    return json.loads(done.stdout)


def talk(fleet, name, address, port, *requests):
    """
    Say requests one after the other on one connection.

    fleet, name
        The fleet, and the host that the connection begins at.

    address, port
        Where it goes to.

    requests
        Text as it goes over the line.

    Returns the answers in order; ``""`` is a connection closed. Raises
    ConnectionError when there is no connection at all.
    """
    job = {"address": address, "port": port, "requests": requests}
    return [answer for answer, _ in _run(fleet, name, _TALK, job, 60)]


def probe(fleet, name, port, *, seconds, request, well):
    """
    Let four clients on a host write to memcached on a local port for a while.

    request
        Text with one ``%d`` for the number in the key.

    well
        What a good answer begins with.

    Returns ``[[began, took, well], …]`` in seconds from the start.
    """
    job = {
        "address": "127.0.0.1",
        "port": port,
        "seconds": seconds,
        "request": request,
        "well": well,
    }
    return _run(fleet, name, _PROBE, job, seconds + 30)
