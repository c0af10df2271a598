"""An author of an app: a clone of its repository, and what became of a push."""

import http.client
import json
import os
import shlex
import shutil
import socket
import ssl
import subprocess
import threading
from concurrent import futures

import yaml

from tests.support.hosts import LEVEL, fleet_command
from tests.support.waiting import wait_for
from tools.inventory import TREE

STATIC, OTHERS = (
    yaml.safe_load((TREE / f"pillar/{file}.yaml").read_text("utf-8"))
    for file in ("static-sites", "apps")
)
APPS = STATIC | OTHERS
# The site that tests push to.
APP = "compat"
TABLE = "/var/lib/deploy/deploys.sqlite"
ASK = (
    "import json, sqlite3, sys; base = sqlite3.connect(sys.argv[1]); "
    "base.row_factory = sqlite3.Row; "
    "print(json.dumps([dict(row) for row in base.execute("
    "'SELECT * FROM deploys WHERE app = ? ORDER BY number', sys.argv[2:])]))"
)
ENDED = ("live", "failed", "superseded")


class Pusher:
    """
    Somebody who may push to the repository of an app.

    fleet
        :py:class:`tests.support.hosts.Fleet`.

    folder
        An empty folder for the clone.

    app
        Its name, as in pillar/apps.yaml or static-sites.yaml.
    """

    def __init__(self, fleet, folder, app):
        self.fleet, self.app, self.folder = fleet, app, folder / app
        self.master = fleet.with_role("salt")[0]
        self.branch = APPS[app]["branches"][LEVEL]
        source = fleet.with_role("source")[0].name
        self.url = f"git@{source}:{APPS[app]['repository']}"
        # No connection of another account is taken over, and no settings of this machine.
        ssh = ["ssh", "-F", str(fleet.ssh_config), "-o", "ControlPath=none"]
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "GIT_SSH_COMMAND": shlex.join(ssh),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_TERMINAL_PROMPT": "0",
        }
        for role in ("AUTHOR", "COMMITTER"):
            self.environment[f"GIT_{role}_NAME"] = "A Pusher"
            self.environment[f"GIT_{role}_EMAIL"] = "pusher@example.org"
        self.clone()
        self.first = self.head()

    def clone(self):
        """Have the repository as it is now, on the branch that it offers: the level's."""
        self.git("clone", "--quiet", self.url, str(self.folder), at=self.folder.parent)

    def git(self, *words, at=None, check=True):
        """Run git in the clone; return its CompletedProcess."""
        done = subprocess.run(
            ["git", *words],
            cwd=at or self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done

    def head(self):
        """The commit of the clone."""
        return self.git("rev-parse", "HEAD").stdout.strip()

    def commit(self, paths=None, **files):
        """
        Commit files and return the commit.

        paths
            Text by path; None removes one.

        files
            The same by name, where ``__`` stands for a slash and ``_`` for a point.
        """
        named = {name.replace("__", "/").replace("_", "."): text for name, text in files.items()}
        for name, text in ((paths or {}) | named).items():
            path = self.folder / name
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "A test")
        return self.head()

    def push(self, to=None):
        """Push the clone's commit; return what git told the pusher."""
        return self.git("push", "--quiet", "origin", f"HEAD:{to or self.branch}").stderr

    def deploys(self, since=0):
        """What the master knows of the app's deploys with a higher number, in order."""
        said = self.master.check_output("python3 -c %s %s %s", ASK, TABLE, self.app)
        return [deploy for deploy in json.loads(said) if deploy["number"] > since]

    def last(self):
        """The number of the last deploy, or 0."""
        return max((deploy["number"] for deploy in self.deploys()), default=0)

    def outcome(self, since, seconds=90):
        """Wait until all deploys with a higher number have ended; return them, in order."""

        def ended():
            found = self.deploys(since)
            return found if found and all(one["state"] in ENDED for one in found) else None

        return wait_for(ended, seconds, f"the deploys of {self.app} end")[0]

    def deploy(self, paths=None, **files):
        """Push a commit with these files; return what became of it."""
        since = self.last()
        self.commit(paths, **files)
        self.push()
        (found,) = self.outcome(since)
        return found

    def restore(self):
        """The tree of the first commit is live again, by a push."""
        if self.git("diff", "--quiet", self.first, f"origin/{self.branch}", check=False).returncode:
            self.git("read-tree", "--reset", "-u", self.first)
            self.commit()
            since = self.last()
            self.push()
            assert self.outcome(since)[-1]["state"] == "live"


class TreePusher(Pusher):
    """
    Somebody who pushes to the repository of Saltworks itself: first of all the tree of
    the clone that runs the tests.

    fleet, folder
        As of :py:class:`Pusher`.
    """

    def __init__(self, fleet, folder):
        self.source = fleet.with_role("source")[0]
        super().__init__(fleet, folder, "saltworks")
        self.before = self.served()

    def clone(self):
        """Have this clone's files on top of what the repository has, if anything."""
        self.git("clone", "--quiet", "--no-checkout", self.url, str(self.folder), at="/")
        self.git("symbolic-ref", "HEAD", f"refs/heads/{self.branch}")
        there = self.git("rev-parse", "--quiet", "--verify", f"origin/{self.branch}", check=False)
        self.empty = there.returncode != 0
        if not self.empty:
            self.git("update-ref", "HEAD", f"origin/{self.branch}")
        words = ["git", "-c", f"safe.directory={TREE}", "-C", str(TREE), "ls-files", "-z"]
        words += ["--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        for name in filter(None, listed.split("\0")):
            if os.path.lexists(TREE / name):
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(TREE / name, self.folder / name, follow_symlinks=False)
        self.commit()

    def served(self):
        """The name of the tree that the master serves."""
        return self.master.check_output("readlink -f /srv/saltworks").rpartition("/")[2]

    def restore(self):
        """The tree of before is served again, and an empty repository is empty again."""
        if self.served() != self.before:
            fleet_command("rollback", self.app, self.before)
        if self.empty:
            repository = f"/var/lib/git/repositories/{APPS[self.app]['repository']}.git"
            self.source.run_expect(
                [0],
                f"runuser -u git -- git -C {repository} update-ref -d refs/heads/{self.branch}",
            )
        assert self.served() == self.before


def served(site, app, path="/"):
    """{address of a frontend: (status, releases, text)} of a page: names as one text."""
    found = {}
    for address in site.addresses:
        done = subprocess.run(
            [
                *("curl", "-s", "-i", "--noproxy", "*", "--cacert", str(site.ca)),
                *("--resolve", f"{app}.{site.domain}:443:{address}", site.url(app, path)),
            ],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        head, _, body = done.stdout.replace("\r\n", "\n").partition("\n\n")
        lines = dict(line.lower().split(": ", 1) for line in head.split("\n")[1:] if ": " in line)
        found[address] = (int(head.split()[1]), lines.get("x-release"), body)
    return found


class _At(http.client.HTTPSConnection):
    """A connection to one frontend, under the name of a site."""

    address = None

    def connect(self):
        """Open it; what answers has to show a certificate for the site."""
        opened = socket.create_connection((self.address, 443), 10)
        self.sock = self._context.wrap_socket(opened, server_hostname=self.host)


class Readers:
    """
    One reader for each frontend, who asks for pages until told to stop: slower than the
    edge limits one address.

    answers
        ``[(path, status, release, text), …]``; a status of 0 where none came.
    """

    def __init__(self, site, app, paths, pause=0.1):
        self.site, self.app, self.paths, self.pause = site, app, paths, pause
        self.answers, self._stopped = [], threading.Event()
        self._pool = futures.ThreadPoolExecutor(len(site.addresses))

    def __enter__(self):
        self._asking = [self._pool.submit(self._ask, at) for at in self.site.addresses]
        return self

    def __exit__(self, *error):
        self._stopped.set()
        for asking in self._asking:
            asking.result()
        self._pool.shutdown()

    def _ask(self, address):
        asks = _At(
            f"{self.app}.{self.site.domain}",
            context=ssl.create_default_context(cafile=str(self.site.ca)),
        )
        asks.address = address
        while not self._stopped.wait(self.pause):
            for path in self.paths:
                try:
                    asks.request("GET", path)
                    answer = asks.getresponse()
                    text = answer.read().decode("utf-8")
                    said = answer.status, answer.headers.get("X-Release"), text
                except (OSError, http.client.HTTPException) as error:
                    asks.close()
                    said = 0, None, repr(error)
                self.answers.append((path, *said))
        asks.close()

    def failed(self):
        """The answers that were none, or not 200."""
        return [answer for answer in self.answers if answer[1] != 200]
