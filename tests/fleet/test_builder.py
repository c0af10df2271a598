"""Builds: the same bytes each time, fenced in, limited, and served to those who run them."""

import json
import shlex

import pytest

from tools.inventory import TREE

FOLDER = "/var/lib/builder-trial"
CONFIG = "/run/test-builder.json"
REPOSITORY = f"{FOLDER}/repositories/trial/trial.git"
# What a build must not read. All of it is there on the host.
SECRET = (
    "/etc/git-webhook/config.json",
    "/etc/salt/pki/minion/minion.pem",
    "/etc/shadow",
    "/etc/ssl/site/host.key",
    "/run/dbus/system_bus_socket",
    "/run/systemd/private",
    "/root",
    "/var/lib/builder/releases",
    "/var/lib/git",
    "/var/log",
)
PROBE = """
import ctypes, json, os, socket, subprocess, sys

secret, connect, sockets = json.loads(sys.argv[1])
found = {}


def probe(name, function, *arguments):
    try:
        function(*arguments)
        found[name] = "done"
    except OSError as error:
        found[name] = type(error).__name__


def read(path):
    os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(1)


for path in secret:
    probe(f"read {path}", read, path)
for address in connect:
    probe(f"connect {address}", socket.create_connection, address, 5)
for path in sockets:
    probe(f"connect {path}", socket.socket(socket.AF_UNIX).connect, path)
probe("resolve", socket.getaddrinfo, "localhost.localdomain.example.org", 80)
for path in ("/usr/x", "/etc/x", "/var/tmp/x", "/x", "/dev/x", os.environ.get("BUILD_DATA", "/y")):
    probe(f"write {path}", open, path, "a")
for part in ("fd", "root", "cwd"):
    probe(f"look into {part}", os.listdir, f"/proc/1/{part}")
libc = ctypes.CDLL(None, use_errno=True)
for name, flag in (("user", 0x10000000), ("mount", 0x00020000), ("net", 0x40000000)):
    if os.fork() == 0:
        status = libc.unshare(flag)
        try:
            open("/proc/self/uid_map", "w").write("0 0 1")
        except OSError:
            status = -1
        os._exit(0 if status == 0 else 1)
    found[f"unshare {name}"] = "done" if os.wait()[1] == 0 else "refused"
found["uid"] = os.getuid()
found["interfaces"] = sorted(name for _, name in socket.if_nameindex())
found["environment"] = sorted(os.environ)
os.makedirs("public")
with open("public/found.json", "w") as file:
    json.dump(found, file)
"""
FORKS = """
import os, time
while True:
    if os.fork() == 0:
        time.sleep(60)
"""


BASE = {"a.txt": "a", "probe.py": PROBE, "forks.py": FORKS}
# The command line of the fence in which packages are fetched, around another command.
FENCE = """
import importlib.util, json, pathlib, sys

path, config, folder, step = sys.argv[1:]
spec = importlib.util.spec_from_file_location("site_build", path)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
known = json.loads(pathlib.Path(config).read_text())
box, environment = module._outside(known, pathlib.Path(folder))
pathlib.Path(folder, module.LOCK).touch()
print(json.dumps(module._confined(known, "fetch-trial", box, environment, [step])))
"""
MODULE = "/var/cache/salt/minion/extmods/modules/site_build.py"
CUT = """
table inet saltworks_trial {
    chain output {
        type filter hook output priority -10; policy accept;
        meta skuid builder-fetch reject
    }
}
"""
LOCK = "requirements.txt"
PACKAGES = (TREE / f"salt/gitolite/seeds/webplatform/specs/{LOCK}").read_text("utf-8")


class Trial:
    """A builder of its own on the host source1, with the real one's programs and fence."""

    def __init__(self, fleet):
        self.fleet = fleet
        self.host = fleet.with_role("source")[0]
        self.real = json.loads(self.host.file("/etc/builder/builder.json").content_string)

    def shell(self, command, **more):
        return self.fleet.shell(self.host.name, command, **more)

    def make(self):
        for path in ("work", "cache", "releases"):
            self.host.check_output(f"mkdir -p {FOLDER}/{path}")
        self.host.check_output(f"git init --quiet --bare --initial-branch=main {REPOSITORY}")
        self.commit()

    def commit(self, **files):
        """A commit of these files beside those that all tests know."""
        entries = []
        for name, text in (BASE | files).items():
            done = self.shell(f"git -C {REPOSITORY} hash-object -w --stdin", stdin=text)
            entries.append(f"100644 blob {done.stdout.strip()}\t{name}\n")
        tree = self.shell(f"git -C {REPOSITORY} mktree", stdin="".join(entries)).stdout.strip()
        words = f"git -C {REPOSITORY} -c user.name=ada -c user.email=ada@example.org"
        commit = self.shell(f"{words} commit-tree -m trial {tree}").stdout.strip()
        self.host.check_output(f"git -C {REPOSITORY} update-ref refs/heads/main {commit}")
        return commit

    def configure(self, steps, output="public", seconds=30, memory_mb=128, packages=(), **changes):
        app = {"repository": "trial/trial", "branch": "main", "build": steps, "output": output}
        app |= {"seconds": seconds, "memory_mb": memory_mb, "packages": list(packages)}
        config = self.real | {
            "folder": FOLDER,
            "repositories": f"{FOLDER}/repositories",
            "apps": {"trial": app},
            "free_bytes": 0,
        }
        text = json.dumps(config | changes)
        assert self.shell(f"cat > {CONFIG}", stdin=text).returncode == 0

    def call(self, before=""):
        """Build; the finished call."""
        words = "salt-call --local --out=json --retcode-passthrough site_build.build trial"
        return self.shell(f"{before} {words} config={CONFIG}", seconds=180)

    def build(self, steps, **more):
        """Build; what was returned."""
        self.configure(steps, **more)
        done = self.call()
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)["local"]

    def refused(self, steps, **more):
        """Build; why it was refused."""
        self.configure(steps, **more)
        done = self.call()
        assert done.returncode != 0, done.stdout
        return done.stdout + done.stderr

    def left(self):
        """Files and processes beside whole releases."""
        found = self.host.check_output(
            f"find {FOLDER}/work -mindepth 1 ! -name '*.lock'; "
            f"find {FOLDER}/releases -name '.new-*'; pgrep -u builder,builder-fetch || true; "
            "systemctl list-units --all --no-legend 'build-trial*'"
        )
        return found.splitlines()

    def released(self, release, name):
        """The text of a file of a release."""
        archive = f"{FOLDER}/releases/trial/{release}/archive.tar.gz"
        return self.host.check_output(f"tar --extract --to-stdout --file={archive} {name}")


@pytest.fixture(scope="module")
def trial(fleet):
    made = Trial(fleet)
    clean = f"rm -rf {FOLDER} {CONFIG}"
    made.host.check_output(clean)
    made.make()
    yield made
    made.host.check_output(clean)


def test_the_same_commit_is_the_same_release_byte_for_byte(trial):
    steps = ["mkdir -p public/b", "cp a.txt public/b", 'date > "$HOME/x"', "ln -s b/a.txt public/l"]
    release = trial.build(steps)["release"]
    folder = f"{FOLDER}/releases/trial/{release}"
    sums = f"cd {folder} && sha256sum archive.tar.gz manifest.json"
    first = trial.host.check_output(sums)
    trial.host.check_output(f"rm -r {folder}")
    made = trial.build(steps)
    assert made["built"] and made["release"] == release
    assert trial.host.check_output(sums) == first
    assert trial.build(steps)["built"] is False
    trial.host.check_output(
        f"openssl cms -verify -binary -inform DER -purpose any -CAfile /etc/ssl/site/ca.crt "
        f"-verify_hostname {trial.host.id} -in {folder}/manifest.json.sig "
        f"-content {folder}/manifest.json -out /dev/null"
    )
    assert trial.left() == []


def test_a_build_reaches_nothing_of_the_host_or_the_level(trial, fleet):
    for path in SECRET:
        assert trial.host.file(path).exists, path
    master = fleet.with_role("salt")[0].name
    sockets = trial.host.check_output("find /run -type s 2>/dev/null || true").split()
    connect = [
        (fleet.address(master), 4505),
        ("127.0.0.1", 25),
        (fleet.address(trial.host.name), 8443),
    ]
    asked = shlex.quote(json.dumps([SECRET, connect, sockets]))
    # Each of them answers the host itself.
    for address, port in connect:
        trial.host.check_output(f"timeout 5 bash -c '</dev/tcp/{address}/{port}'")
    made = trial.build([f'python3 "$PWD/probe.py" {asked}'])
    found = json.loads(trial.released(made["release"], "found.json"))
    assert found.pop("uid") == trial.host.user("builder").uid
    assert found.pop("interfaces") == ["lo"]
    environment = set(found.pop("environment"))
    wanted = "APP BUILD_DATA CACHE COMMIT DOMAIN HOME LANG LEVEL PATH RELEASE"
    assert environment - {"LC_CTYPE", "PWD", "OLDPWD", "SHLVL", "_"} == {
        *wanted.split(),
        "SOURCE_DATE_EPOCH",
        "TZ",
    }
    assert [name for name, outcome in found.items() if outcome == "done"] == []
    assert len(found) > 20


def test_who_fetches_packages_reaches_no_host_of_the_level_and_no_secret(trial, fleet):
    connect = [(fleet.address(fleet.with_role(role)[0].name), port) for role, port in
               (("salt", 4505), ("source", 8443), ("frontend", 443))]  # fmt: skip
    connect.append(("127.0.0.1", 25))
    for address, port in connect:
        trial.host.check_output(f"timeout 5 bash -c '</dev/tcp/{address}/{port}'")
    sockets = trial.host.check_output("find /run -type s 2>/dev/null || true").split()
    secret = [*SECRET, "/etc/builder", "/etc/hosts"]
    trial.configure([])
    step = shlex.join(["python3", "-c", PROBE, json.dumps([secret, connect, sockets])])
    folder = f"{FOLDER}/work/outside"
    words = ["/opt/salt/bin/python", "-", MODULE, CONFIG, folder, step]
    done = trial.shell(shlex.join(words), stdin=FENCE)
    assert done.returncode == 0, done.stderr
    done = trial.shell(shlex.join(json.loads(done.stdout)), seconds=60)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(trial.host.check_output(f"cat {folder}/packages/public/found.json"))
    trial.host.check_output(f"rm -r {folder}")
    assert found.pop("uid") == trial.host.user("builder-fetch").uid
    assert "eth0" in found.pop("interfaces")
    assert set(found.pop("environment")) >= {"HOME", "LANG", "PATH", "PIP_CERT"}
    assert [name for name, outcome in found.items() if outcome == "done"] == []
    assert len(found) > 20


def test_what_was_fetched_once_is_not_asked_for_again(trial):
    # The site `specs` has it since the level was raised.
    kept = "/var/lib/builder/packages"
    trial.host.check_output(
        f"mkdir -p {FOLDER}/packages && cp -a {kept}/specs {FOLDER}/packages/trial"
    )
    trial.commit(**{LOCK: PACKAGES})
    steps = [
        f'pip install --quiet --requirement {LOCK} --target "$HOME/x"',
        'mkdir public; cp "$HOME/x/mdurl/__init__.py" public/x',
    ]
    how = {"packages": [LOCK], "memory_mb": 512}
    assert trial.shell("nft -f -", stdin=CUT).returncode == 0
    try:
        release = trial.build(steps, **how)["release"]
        trial.host.check_output(f"rm -r {FOLDER}/packages/trial")
        said = trial.refused([*steps, "true"], **how)
    finally:
        trial.host.check_output("nft delete table inet saltworks_trial")
    assert "import" in trial.released(release, "x")
    assert "its packages cannot be fetched" in said and "Remedy: docs/runbooks" in said
    assert trial.left() == []


@pytest.mark.parametrize(
    ("lock", "why"),
    [
        (PACKAGES.replace("efa", "efb"), "DO NOT MATCH THE HASHES"),
        ("mdurl==0.1.2\n", "mdurl==0.1.2 has no hash. Remedy: "),
    ],
)
def test_a_package_that_is_not_that_of_the_lock_is_refused(trial, lock, why):
    trial.commit(**{LOCK: lock})
    assert why in trial.refused(["true"], packages=[LOCK])
    assert trial.left() == []
    assert trial.host.check_output(f"ls -A {FOLDER}/packages/trial || true") == ""


def test_only_the_cache_stays_for_the_next_build(trial):
    step = 'mkdir public; ls "$CACHE" "$HOME" > public/seen; touch "$CACHE/kept" "$HOME/gone"'
    trial.build([step, "echo 1"])
    made = trial.build([step, "echo 2"])
    seen = trial.released(made["release"], "seen")
    assert "kept" in seen and "gone" not in seen


@pytest.mark.parametrize(
    ("steps", "why", "more"),
    [
        (["echo said; exit 3", "echo never"], ["a step failed", "exit code 3", "said"], {}),
        (["sleep 120"], ["longer than 3 s"], {"seconds": 3}),
        (["trap '' TERM; sleep 120"], ["longer than 3 s"], {"seconds": 3}),
        (["python3 -c 'bytearray(1 << 30)'"], ["emory"], {"memory_mb": 64}),
        (["python3 forks.py"], ["a step failed", "temporarily unavailable"], {"tasks": 32}),
        (["yes"], ["log is longer than 65536 bytes"], {"log_bytes": 65536}),
        (["true"], ["the disk is full"], {"free_bytes": 1 << 60}),
        (["mkdir public"], ["'public' is empty"], {}),
        (["mkdir public; ln -s /etc/passwd public/x"], ["link x leads out"], {}),
        (["mkdir public; mkfifo public/x"], ["x is neither"], {}),
        (
            ["mkdir public; head -c 100000 /dev/zero > public/x"],
            ["a step failed"],
            {"archive_bytes": 65536},
        ),
        (
            ["mkdir public", *[f"head -c 40000 /dev/zero > public/{n}" for n in (1, 2)]],
            ["larger than 65536 bytes"],
            {"archive_bytes": 65536},
        ),
    ],
)
def test_what_takes_too_much_or_fails_is_refused_and_leaves_nothing(trial, steps, why, more):
    said = trial.refused(steps, **more)
    for word in why:
        assert word in said
    assert "never" not in said
    assert trial.left() == []
    assert f"'{steps[0]}'" not in trial.host.check_output(f"ls {FOLDER}/releases/trial || true")


def test_what_a_killed_call_left_does_not_hinder_the_next(trial):
    trial.configure(["sleep 120"], seconds=150)
    assert trial.call(before="timeout --signal=KILL 15").returncode != 0
    assert trial.left()
    made = trial.build(["mkdir public; echo x > public/x"])
    assert made["built"] and trial.left() == []


# -- serving ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def release(trial):
    """A release of a static site, of the real builder: ``(app, name)``."""
    for app in sorted(trial.real["apps"]):
        done = trial.shell(
            f"salt-call --local --out=json --retcode-passthrough site_build.build {app}",
            seconds=180,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return app, json.loads(done.stdout)["local"]["release"]
    raise AssertionError("nothing is built")


def ask(host, url, *options):
    """The status of an answer."""
    words = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "8"]
    words += ["--path-as-is", "--cacert", "/etc/ssl/site/ca.crt", *options, url]
    return host.run(shlex.join(words))


def test_releases_are_served_by_their_names_and_nothing_else(trial, fleet, release):
    frontend = fleet.with_role("frontend")[0]
    base = f"https://{trial.host.id}:{trial.real['port']}"
    folder = f"{base}/{'/'.join(release)}"
    for name in ("archive.tar.gz", "manifest.json", "manifest.json.sig"):
        assert ask(frontend, f"{folder}/{name}").stdout == "200", name
        assert ask(frontend, f"{folder}/{name}", "--head").stdout == "200", name
        for method in ("POST", "PUT", "DELETE"):
            status = ask(frontend, f"{folder}/{name}", "-X", method).stdout
            assert status in ("403", "405"), method
    for path in ("/build.log", "/", "", "/../", "/../../../builder.json", "/%2e%2e/x"):
        assert ask(frontend, folder + path).stdout in ("400", "403", "404"), path
    for path in (f"/{release[0]}/", "/../../../etc/passwd"):
        assert ask(frontend, base + path).stdout in ("400", "403", "404"), path
    # Nobody but this level's authority is believed.
    done = ask(frontend, f"{folder}/manifest.json", "--capath", "/", "--cacert", "/dev/null")
    assert done.rc != 0


def test_a_host_that_runs_no_app_is_not_let_in(trial, fleet, release):
    stranger = fleet.with_role("db")[0]
    done = ask(stranger, f"https://{trial.host.id}:{trial.real['port']}/")
    assert done.rc != 0 and done.stdout == "000"
