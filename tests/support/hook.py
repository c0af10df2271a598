"""The host of a repository that sends webhooks, and what the master makes of them."""

import contextlib
import hashlib
import hmac
import json
import secrets as random

import yaml

from tests.support.hosts import LEVEL
from tests.support.waiting import wait_for
from tools.inventory import TREE

NAME, APP = "webplatform/www", "www"
APPS = yaml.safe_load((TREE / "pillar/static-sites.yaml").read_text("utf-8"))
QUEUE = "/var/lib/hook/pushes.sqlite"


class Sender:
    """The host of a repository."""

    def __init__(self, site):
        secrets = yaml.safe_load((TREE / f"pillar/secrets/{LEVEL}/secrets.yaml").read_text("utf-8"))
        self.site, self.secret = site, secrets[f"hook-{APP}"].split()[0]

    def body(self, **changes):
        made = {
            "ref": f"refs/heads/{APPS[APP]['branches'][LEVEL]}",
            "after": random.token_hex(20),
            "repository": {"full_name": NAME},
            "pusher": {"name": "test"},
        }
        return json.dumps(made | changes).encode()

    def headers(self, body, secret=None, event="push", **more):
        signature = hmac.new((secret or self.secret).encode(), body, hashlib.sha256).hexdigest()
        return {
            "Content-Type": "application/json",
            "X-GitHub-Event": event,
            "X-GitHub-Delivery": f"test-{random.token_hex(8)}",
            "X-Hub-Signature-256": f"sha256={signature}",
        } | more

    def send(self, body, headers, name=NAME):
        return self.site.session().post(
            self.site.url("hook", f"/{name}"), data=body, headers=headers, timeout=30
        )

    def push(self, body=None, **how):
        body = body or self.body()
        return self.send(body, self.headers(body, **how))


def _asked(master, question):
    """The one number that the table answers."""
    program = (
        "import sqlite3, sys; "
        "print(*sqlite3.connect(sys.argv[1]).execute(sys.stdin.read()).fetchone())"
    )
    return int(
        master.check_output("printf %s %s | python3 -c %s %s", "%s", question, program, QUEUE)
    )


def count(master):
    """How many pushes the table holds."""
    return _asked(master, "SELECT count(*) FROM pushes")


def told(master, commit):
    """How many pushes of a commit the master was told of."""
    return _asked(
        master,
        f"SELECT count(*) FROM pushes WHERE \"commit\" = '{commit}' AND told IS NOT NULL",  # noqa: S608
    )


@contextlib.contextmanager
def heard(master, tag="site/push/*"):
    """What stands on the master's bus meanwhile: call it for the events so far."""
    log = f"/run/test-hook-{random.token_hex(4)}"
    unit = f"test-hook-{random.token_hex(4)}"
    master.run_expect(
        [0],
        f"systemd-run --quiet --collect --unit={unit} --property=StandardOutput=file:{log} "
        f"salt-run --log-level=quiet state.event '{tag}'",
    )
    probe = f"site/push/probe-{random.token_hex(4)}"

    def listening():
        master.run(f"salt-run --log-level=quiet event.send {probe}")
        return probe in master.file(log).content_string

    try:
        wait_for(listening, 60, "somebody listens to the bus")
        yield lambda: [
            json.loads(line.partition("\t")[2])
            for line in master.file(log).content_string.splitlines()
            if line.startswith("site/push/accepted\t")
        ]
    finally:
        master.run(f"systemctl stop {unit}; rm -f {log}")
