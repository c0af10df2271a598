"""
What a page of the wiki costs through the edge, beside the same MediaWiki plainly served.

Four bursts follow each other, round after round, on a raised sandbox:

  cached         a reader's page through the edge, which its cache answers
  plain          the same request to a plain server
  uncached       with the cookie of a session, through the edge, whose cache passes it on
  plain, cookie  the same request to the plain server

The plain server is nginx, php-fpm and one memcached, made on the first app host for
the minutes of the run and removed after it, also when it is interrupted: the same
MediaWiki and settings but for the keystores, the same PHP with as many workers, the
same database without a broker between. Each side is asked by wrk on the very host
that answers (so that no limit or firewall has to be opened), over connections that
are kept; those to the edge are TLS. A request is the same on both sides, finds its
text in the parser cache, and takes its answer compressed.

The ratio of a round is that of neighbours in time; what is judged is their median.
Ends with 1 where a target is missed: a cached page is served at least 20 times as
often as the plain one, an uncached one at most 15 % less often. So it ends, too,
where other work took more than a quarter of the processors: what is left is shared
out by hosts, and the edge has more of them.
"""

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TREE))

from tools import machine  # noqa: E402
from tools.errors import FleetError  # noqa: E402
from tools.podman import Podman  # noqa: E402

# How many times as often as the plain side.
TARGETS = {"cached": 20, "uncached": 0.85}

# What is asked in a burst: which side, whether with a session's cookie, and what the
# cache at the edge then says.
BURSTS = {
    "cached": ("edge", False, "HIT"),
    "plain": ("plain", False, None),
    "uncached": ("edge", True, "PASS"),
    "plain, cookie": ("plain", True, None),
}
# The share of the processors beyond which other work decides what is measured.
QUIET = 0.25
KEYS = ("rate", "p99", "cpu")
PAIRS = (("cached", "plain"), ("uncached", "plain, cookie"))

# Who takes part in an answer, on whatever host (as /proc names them).
PROGRAMS = {
    *("nginx", "varnishd", "cache-main", "haproxy", "php-fpm8.4", "nutcracker"),
    *("memcached", "redis-server", "mariadbd"),
}

IMAGE = "localhost/saltworks/bench-edge"
ASKING = {"edge": "bench-edge-asks-edge", "plain": "bench-edge-asks-plain"}
INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Whatever becomes of this program, what it started ends after so many seconds.
LIMIT = 290
# What a round takes at most; none begins later.
ROUND = 90

FOLDER = "/run/bench-edge"
PORT, MEMCACHED_PORT = 8098, 11311
UNITS = {
    "bench-edge-nginx": ["nginx", "-c", f"{FOLDER}/nginx.conf", "-g", "daemon off;"],
    "bench-edge-php": ["php-fpm8.4", "--nodaemonize", "--fpm-config", f"{FOLDER}/php-fpm.conf"],
}
NO_SESSION = "0" * 32
POOL = "/etc/php/8.4/fpm/pool.d/wiki.conf"
VHOST = "/etc/nginx/sites-enabled/mediawiki.conf"

CONTAINERFILE = """
ARG BASE
FROM ${BASE}
RUN apt-get update && apt-get install -y --no-install-recommends wrk memcached && apt-get clean
"""

# The site's own settings, with what a stock installation has in the place of the
# brokers and of the caches at the edge.
SETTINGS = """<?php
require '/etc/mediawiki/LocalSettings.php';
$wgObjectCaches['plain'] = [
	'class' => MemcachedPeclBagOStuff::class,
	'servers' => [ '127.0.0.1:%(memcached)d' ],
	'persistent' => false,
];
$wgMainCacheType = $wgParserCacheType = $wgMessageCacheType = $wgSessionCacheType = 'plain';
$wgUseCdn = false;
$wgCdnServers = [];
$wgDBservers[0]['host'] = '%(database)s:3306';
"""

NGINX = """
user www-data;
worker_processes auto;
pid %(folder)s/nginx.pid;
error_log %(folder)s/nginx.log;
events { worker_connections 1024; }
http {
    include /etc/nginx/mime.types;
    sendfile on;
    tcp_nopush on;
    gzip on;
    access_log %(folder)s/access.log;
    server {
        listen 127.0.0.1:%(port)d;
        server_name %(site)s;
        location / { return 404; }
        location /wiki/ { rewrite ^ /w/index.php last; }
        location = /w/index.php {
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME /srv/release/mediawiki/current/index.php;
            fastcgi_param MW_CONFIG_FILE %(folder)s/LocalSettings.php;
            # As the edge says of its readers: the pages would differ.
            fastcgi_param HTTPS on;
            fastcgi_pass unix:%(folder)s/php.sock;
        }
    }
}
"""


def plain_pool(text):
    """The plain server's pool: the wiki's own, under another name and with other files."""
    for pattern, line in (
        (r"^\[.*\]$", "[plain]"),
        (r"^listen = .*$", f"listen = {FOLDER}/php.sock"),
        (r"^slowlog = .*$", f"slowlog = {FOLDER}/slow.log"),
    ):
        text, found = re.subn(pattern, line, text, flags=re.M)
        if found != 1:
            raise ValueError(f"{POOL} has {found} lines like {pattern}, not one")
    return text


def milliseconds(text):
    """A time as wrk writes it (``850.00us``, ``1.20ms``, ``2.00s``, ``1.10m``), in ms."""
    found = re.fullmatch(r"([0-9.]+)(us|ms|s|m)", text)
    if not found:
        raise ValueError(f"no time of wrk's: {text!r}")
    return float(found[1]) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[found[2]]


def measured(text):
    """
    What wrk says of a burst: ``{"requests", "rate" (a second), "p99" (ms)}``.

    Raises ValueError where an answer failed: such a burst measured something else.
    """
    failed = re.search(r"(Non-2xx or 3xx responses|Socket errors).*", text)
    if failed:
        raise ValueError(failed[0])
    rate = re.search(r"^Requests/sec: +([0-9.]+)$", text, re.M)
    slow = re.search(r"^ +99% +(\S+) *$", text, re.M)
    count = re.search(r"^ +(\d+) requests in", text, re.M)
    if not rate or not slow or not count or not float(rate[1]):
        raise ValueError(f"wrk measured nothing:\n{text}")
    return {
        "requests": int(count[1]),
        "rate": float(rate[1]),
        "p99": milliseconds(slow[1]),
    }


def processes(folder=Path("/proc")):
    """
    The processes of PROGRAMS on this machine, and what processor time they took so far.

    ``{(pid, when it started): (its parent's pid, seconds)}``. Children that ended
    are in the time of their parent.
    """
    found = {}
    for path in folder.glob("[0-9]*/stat"):
        try:
            text = path.read_text("ascii", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        name, _, rest = text.partition("(")[2].rpartition(")")
        fields = rest.split()
        if name in PROGRAMS:
            ticks = sum(int(word) for word in fields[11:15])
            key = int(path.parent.name), int(fields[19])
            found[key] = int(fields[1]), ticks / os.sysconf("SC_CLK_TCK")
    return found


def used(before, after):
    """Seconds of processor time between two states of processes()."""
    there = {pid for pid, _ in after}
    # Who ended is in its parent's time; ended the parent, too, all of it is lost.
    known = [
        seconds for key, (parent, seconds) in before.items() if key in after or parent in there
    ]
    return sum(seconds for _, seconds in after.values()) - sum(known)


def busy(before, after):
    """The share of the processors in use between two states of /proc/stat."""
    first, second = (
        [int(word) for word in text.splitlines()[0].split()[1:9]] for text in (before, after)
    )
    spent = [new - old for old, new in zip(first, second, strict=True)]
    # Idle, and idle while a disk works.
    return 1 - (spent[3] + spent[4]) / sum(spent)


def ratios(edge, plain, key):
    """The edge's figure in parts of the plain one, round by round."""
    return [one[key] / other[key] for one, other in zip(edge, plain, strict=True)]


def figure(values):
    """The median of some figures, and from where to where they go."""
    middle = statistics.median(values)
    digits = 0 if middle >= 100 else 1 if middle >= 10 else 2
    return f"{middle:.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def report(found):
    """
    All bursts, ``{name: [measured, …]}``, as Markdown, and what misses its target.

    Returns ``(text, [sentence, …])``.
    """
    lines = ["| burst | requests/s | p99, ms | CPU per request, ms |", "|---|---|---|---|"]
    for name, bursts in found.items():
        cells = [figure([one[key] for one in bursts]) for key in KEYS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += ["", "| edge in parts of plain | requests/s | p99 | CPU | target, requests/s |"]
    lines.append("|---|---|---|---|---|")
    missed = []
    for edge, plain in PAIRS:
        parts = {key: ratios(found[edge], found[plain], key) for key in KEYS}
        cells = " | ".join(figure(parts[key]) for key in KEYS)
        lines.append(f"| {edge} | {cells} | at least {TARGETS[edge]} |")
        rate = statistics.median(parts["rate"])
        if rate < TARGETS[edge]:
            missed.append(f"{edge}: {rate:.3f} of the plain side, not {TARGETS[edge]}")
    return "\n".join(lines), missed


class Bench:
    """
    The two sides, and who asks them.

    hosts
        The level's hosts, ``{role: [host ids]}``.

    page
        The path of the page.
    """

    def __init__(self, hosts, page):
        self.podman = Podman(machine.runtime())
        self.app, self.frontend, self.database = (
            hosts[role][0] for role in ("app", "frontend", "db")
        )
        vhost = self.podman.inside(self.app, "cat", VHOST).stdout
        self.site = re.search(r"server_name (docs\.[^; ]+)", vhost)[1]
        self.urls = {
            "edge": f"https://127.0.0.1{page}",
            "plain": f"http://127.0.0.1:{PORT}{page}",
        }

    def __enter__(self):
        """Make the plain server, and who asks."""
        # Each side's session, once it has begun one.
        self.sessions = {}
        self.clear()
        try:
            self._make()
        except BaseException:
            self.clear()
            raise
        return self

    def __exit__(self, *_):
        """Leave nothing behind."""
        self.clear()

    def clear(self):
        """Remove all that a run makes; also what a killed one has left."""
        before = {name: signal.signal(name, signal.SIG_IGN) for name in INTERRUPTIONS}
        self.podman.run("rm", "--force", "--ignore", "--time", "0", *ASKING.values())
        self.podman.run("rmi", "--force", IMAGE, check=False)
        self.podman.inside(self.app, "systemctl", "stop", *UNITS, check=False)
        self.podman.inside(self.app, "systemctl", "reset-failed", *UNITS, check=False)
        self.podman.inside(self.app, "rm", "-rf", FOLDER)
        for name, handler in before.items():
            signal.signal(name, handler)

    def _make(self):
        self.until = time.monotonic() + LIMIT - ROUND
        # What other work takes, seen before each burst.
        self.others = []
        base = self.podman.run("inspect", "--format", "{{.ImageName}}", self.app).stdout.strip()
        self.podman.run(
            *("build", "--network", "host", *machine.limits(), "--build-arg", f"BASE={base}"),
            *("--tag", IMAGE, "-"),
            stdin=CONTAINERFILE,
            timeout=120,
        )
        memcached = f"memcached -u nobody -l 127.0.0.1 -p {MEMCACHED_PORT} -m 64"
        for side, host, command in (
            ("edge", self.frontend, "sleep infinity"),
            ("plain", self.app, memcached),
        ):
            self.podman.run(
                *("run", "--detach", "--rm", "--name", ASKING[side], *machine.limits()),
                *("--network", f"container:{host}", "--pull", "never", IMAGE),
                *("timeout", str(LIMIT), *command.split()),
            )
        values = {
            "folder": FOLDER,
            "port": PORT,
            "memcached": MEMCACHED_PORT,
            "database": self.database,
            "site": self.site,
        }
        pool = plain_pool(self.podman.inside(self.app, "cat", POOL).stdout)
        self.podman.inside(self.app, "mkdir", "-m", "755", FOLDER)
        for name, text in (
            ("LocalSettings.php", SETTINGS % values),
            ("nginx.conf", NGINX % values),
            ("php-fpm.conf", f"[global]\nerror_log = {FOLDER}/php.log\n{pool}"),
        ):
            self.podman.inside(self.app, "tee", f"{FOLDER}/{name}", stdin=text)
        for unit, command in UNITS.items():
            self.podman.inside(
                *(self.app, "systemd-run", "--quiet", f"--unit={unit}"),
                *(f"--property=RuntimeMaxSec={LIMIT}", *command),
            )

    def _headers(self, side, cookie):
        headers = [f"Host: {self.site}", "Accept-Encoding: gzip"]
        if cookie:
            headers.append(f"Cookie: wiki_session={self.sessions.get(side, NO_SESSION)}")
        return [word for header in headers for word in ("-H", header)]

    def look(self, name, warm=True):
        """
        Ask for the page of a burst once; return when its text was parsed.

        warm
            Whether the cache at the edge must know the page already.

        Raises ValueError where it is no page, or that cache did something else
        with it than the burst is to measure.
        """
        side, cookie, kept = BURSTS[name]
        done = self.podman.inside(
            *(ASKING[side], "curl", "-sSik", "--compressed", "--max-time", "30", "--retry", "10"),
            *("--retry-connrefused", *self._headers(side, cookie), self.urls[side]),
            check=False,
        )
        head, _, body = done.stdout.partition("\n\n")
        parsed = re.search(r"Cached time: (\d+)", body)
        if done.returncode or not re.match(r"HTTP/\S+ 200", head) or not parsed:
            raise ValueError(f"{name}: {self.urls[side]} is no page\n{head}\n{done.stderr}")
        # The wiki has begun a session for a cookie that it did not know. It is nobody's:
        # what a signed-in person sees takes the wiki longer, and the edge no longer.
        begun = re.search(r"^set-cookie: wiki_session=(\w+)", head, re.M | re.I)
        if begun:
            self.sessions[side] = begun[1]
        said = re.search(r"^x-cache: (\w+)$", head, re.M | re.I)
        if (warm or not kept) and (said and said[1]) != kept:
            raise ValueError(f"{name}: the cache at the edge says {said and said[1]}, not {kept}")
        return parsed[1]

    def _wrk(self, name, connections, seconds):
        side, cookie, _ = BURSTS[name]
        return self.podman.inside(
            *(ASKING[side], "timeout", str(seconds + 10), "wrk", "--latency", "-t", "2"),
            *("-c", str(connections), "-d", f"{seconds}s", "--timeout", "10s"),
            *(*self._headers(side, cookie), self.urls[side]),
        ).stdout

    def burst(self, name, connections, seconds):
        """
        What one burst measured.

        It is done again where an answer failed or the page changed meanwhile: the
        level may be in use. Raises ValueError where that happens each time.
        """
        for tries_left in (2, 1, 0):
            try:
                before = self.look(name, warm=False)
                self.others.append(_others())
                start = processes()
                found = measured(self._wrk(name, connections, seconds))
                found["cpu"] = used(start, processes()) * 1000 / found.pop("requests")
                if self.look(name) != before:
                    raise ValueError(f"{name}: the page was parsed anew")
                return found
            except ValueError as error:
                if not tries_left:
                    raise
                print(f"again: {name}: {error}", file=sys.stderr)
        return None

    def rounds(self, options):
        """All bursts of all rounds, ``{name: [measured, …]}``; fewer where it takes long."""
        for name in BURSTS:
            self.burst(name, options.connections, 3)
        found = {name: [] for name in BURSTS}
        for number in range(options.rounds):
            if number and time.monotonic() > self.until:
                break
            for pair in PAIRS:
                # Who comes first is next time second.
                for name in pair if number % 2 == 0 else reversed(pair):
                    found[name].append(self.burst(name, options.connections, options.seconds))
        return found


def _hosts(level):
    """The level's hosts by role, as ./fleet tells them."""
    done = subprocess.run(
        [str(TREE / "fleet"), "--level", level, "status", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    # It fails where any host is not well, too.
    if not done.stdout:
        sys.exit(f"./fleet status failed:\n{done.stderr}")
    hosts = {}
    for host in json.loads(done.stdout)["hosts"]:
        hosts.setdefault(host["roles"][0], []).append(host["id"])
    return hosts


def _others():
    """The share of the processors that others take in this second."""
    states = []
    for pause in (1, 0):
        states.append(Path("/proc/stat").read_text("ascii"))
        time.sleep(pause)
    return busy(*states)


def _options():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python3 bench/edge.py --rounds 3. Needs root and a raised level, and\n"
        "no test of the fleet beside it: it sees ports on the app host that nobody declared.",
    )
    parser.add_argument("level", nargs="?", default="sandbox", help="default: sandbox")
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument("--seconds", type=int, default=6, help="of one burst; default: 6")
    parser.add_argument(
        "--connections",
        type=int,
        default=4,
        help="default: 4; no more than the workers of a pool, or requests stand in line",
    )
    parser.add_argument("--page", default="/wiki/Main_Page", help="default: /wiki/Main_Page")
    options = parser.parse_args()
    if not 1 <= options.seconds <= 10:
        parser.error("a burst takes 1 to 10 s")
    return options


def main():
    """Measure all rounds and print them as Markdown."""
    options = _options()
    for name in INTERRUPTIONS:
        signal.signal(name, lambda *_: sys.exit("interrupted; nothing is left behind"))
    try:
        machine.require_root()
        with Bench(_hosts(options.level), options.page) as bench:
            found = bench.rounds(options)
    except (FleetError, ValueError) as error:
        sys.exit(str(error))
    text, missed = report(found)
    print(
        f"{os.cpu_count()} cores; {options.connections} connections; {len(found['plain'])} rounds "
        f"of {options.seconds} s a burst; median (least to most). Of the processors other work "
        f"took {figure([100 * share for share in bench.others])} %.\n"
    )
    print(text)
    if statistics.median(bench.others) > QUIET:
        sys.exit(
            "\nThis machine is not quiet: requests per second say how it was shared out. "
            "The CPU per request still tells the sides apart; run again when it is."
        )
    if missed:
        sys.exit("\nmissed: " + "; ".join(missed))


if __name__ == "__main__":
    main()
