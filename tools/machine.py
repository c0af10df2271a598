"""The machine that carries a sandbox: what it must have, and what it gets."""

import configparser
import contextlib
import fcntl
import os
import re
import resource
import shutil
import subprocess
import urllib.request
from pathlib import Path

from tools.errors import FleetError

PACKAGES = {
    # Debian package: a file that says it is there
    "podman": "/usr/bin/podman",
    "runc": "/usr/sbin/runc",
    "crun": "/usr/bin/crun",
    "netavark": "/usr/lib/podman/netavark",
    "aardvark-dns": "/usr/lib/podman/aardvark-dns",
    "nftables": "/usr/sbin/nft",
    "iptables": "/usr/sbin/iptables",
    "mmdebstrap": "/usr/bin/mmdebstrap",
    "openssh-client": "/usr/bin/ssh",
    "openssl": "/usr/bin/openssl",
}
# What the steps of the ladder that work on hosts take besides: a real browser, and a
# verifier of signatures under mail.
TEST_PACKAGES = {
    "chromium": "/usr/bin/chromium",
    "libnss3-tools": "/usr/bin/certutil",
    "python3-dkim": "/usr/bin/dkimverify",
}
STATE = Path("/var/lib/saltworks")
CACHE = Path("/var/cache/saltworks")
DISK_GIB = 12
MEMORY_GIB = 8
INOTIFY_INSTANCES = 1024


def require_root():
    """Raise FleetError unless run by root: podman's bridge network and systemd need it."""
    if os.geteuid() != 0:
        raise FleetError(
            "this needs root: it boots hosts with systemd and a network of their own",
            "run it with sudo",
        )


@contextlib.contextmanager
def hold(folder, *, alone=False):
    """
    Hold an environment while it is used, so that no other command removes it.

    alone
        To remove it: raises BlockingIOError where another command holds it.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


def missing_packages(packages=None):
    """Which of the needed Debian packages this machine lacks."""
    packages = packages or PACKAGES
    return [package for package, path in packages.items() if not Path(path).exists()]


def install_packages(say, packages=None):
    """
    Install what is missing, with apt.

    say
        Called with a sentence before each step.

    packages
        ``{Debian package: a file that says it is there}``; what a sandbox needs if left out.
    """
    wanted = missing_packages(packages)
    if not wanted:
        return
    if not shutil.which("apt-get"):
        raise FleetError(
            f"missing programs of the packages {', '.join(wanted)}",
            "a Debian 12 or 13 machine installs them by itself; here, do it by hand",
        )
    say(f"installing {', '.join(wanted)}")
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    for command in (
        ["apt-get", "-qq", "update"],
        ["apt-get", "-qq", "-y", "install", "--no-install-recommends", *wanted],
    ):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise FleetError(
                f"`{' '.join(command[:4])} …` failed: " + " ".join(done.stderr.split("\n")[-4:]),
                "see that apt works on this machine (`apt-get update`), then run again",
            )


def runtime():
    """The OCI runtime for this machine's cgroups: crun refuses v1 and hybrid."""
    unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    return "crun" if unified else "runc"


def limits():
    """
    Podman's --ulimit arguments: no host may be given more than the machine has.

    nproc is kept low, for podman itself may run with less than the shell.
    """
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    _, processes = resource.getrlimit(resource.RLIMIT_NPROC)
    files = 65536 if files < 0 else min(files, 65536)
    processes = 4096 if processes < 0 else min(processes, 4096)
    return ["--ulimit", f"nofile={files}:{files}", "--ulimit", f"nproc={processes}:{processes}"]


def check_room(path=Path("/var/lib"), gib=DISK_GIB, share=1.0):
    """
    Raise FleetError when the disk that holds images and hosts is nearly full.

    share
        How much of the sandbox is yet to be made, 0 to 1.
    """
    free = shutil.disk_usage(path).free / 2**30
    # A host that runs writes, too: a rest is asked for in any case.
    needed = max(1, gib * share)
    if free < needed:
        raise FleetError(
            f"{free:.1f} GiB free under {path}, a sandbox needs {needed:.0f}",
            "make room (`podman system prune`, `apt-get clean`), or `./fleet down --purge`",
        )


def check_memory(share=1.0):
    """
    Raise FleetError when there is less memory than the sandbox takes.

    share
        How much of the sandbox is yet to be started, 0 to 1.
    """
    found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text("ascii"))
    free = int(found[1]) / 2**20
    needed = MEMORY_GIB * share
    if free < needed:
        raise FleetError(
            f"{free:.1f} GiB of memory available, a sandbox needs {needed:.1f}",
            "stop something, or take hosts out of the inventory",
        )


def check_kernel():
    """Raise FleetError when the kernel lacks what hosts need."""
    file_systems = Path("/proc/filesystems").read_text("ascii").split()
    if "overlay" not in file_systems:
        subprocess.run(["modprobe", "overlay"], capture_output=True, check=False)
        if "overlay" not in Path("/proc/filesystems").read_text("ascii").split():
            raise FleetError(
                "this kernel has no overlay file system, in which hosts keep their disks",
                "use a kernel with CONFIG_OVERLAY_FS (every Debian kernel has it)",
            )
    done = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise FleetError(
            f"nftables does not work here: {done.stderr.strip()}",
            "use a kernel with CONFIG_NF_TABLES, and run on a machine (or VM), "
            "not in a container without NET_ADMIN",
        )
    if not Path("/sys/fs/cgroup").is_dir():
        raise FleetError(
            "no cgroups are mounted on /sys/fs/cgroup; systemd in a host needs them",
            "mount them, or run on an ordinary Debian machine",
        )


def allow_watches(say, setting=Path("/proc/sys/fs/inotify/max_user_instances")):
    """
    Let this machine have as many inotify instances as its hosts need.

    Each host's systemd and its daemons take half a dozen, all of them as this
    machine's root; Debian's 128 are used up by some twenty hosts, and then
    services fail with "Too many open files".

    say
        Called with one sentence when the setting is raised. It lasts until the
        machine starts again.
    """
    if int(setting.read_text("ascii")) >= INOTIFY_INSTANCES:
        return
    try:
        setting.write_text(f"{INOTIFY_INSTANCES}\n", "ascii")
    except OSError as error:
        raise FleetError(
            f"{setting} cannot be raised to {INOTIFY_INSTANCES}: {error.strerror}",
            f"`sysctl -w fs.inotify.max_user_instances={INOTIFY_INSTANCES}` on the machine itself",
        ) from error
    say(f"this machine's fs.inotify.max_user_instances is {INOTIFY_INSTANCES} now")


def own_certificates():
    """
    What this machine trusts beyond Debian's own list, as PEM blocks.

    A proxy that signs TLS anew has its certificate here; without it nothing in
    a host could install anything.
    """
    pattern = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.S)
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    if not bundle.exists():
        return []
    debian = set()
    for path in Path("/usr/share/ca-certificates").rglob("*.crt"):
        debian.update("".join(block.split()) for block in pattern.findall(path.read_text("utf-8")))
    return [
        block
        for block in pattern.findall(bundle.read_text("utf-8"))
        if "".join(block.split()) not in debian
    ]


def pip_settings():
    """
    From where this machine's pip has its packages, as a pip.conf; often nothing.

    The environment counts before /etc/pip.conf, as it does for pip.
    """
    file = configparser.RawConfigParser(strict=False)
    file.read("/etc/pip.conf", "utf-8")
    lines = []
    for key in ("index-url", "extra-index-url", "trusted-host", "proxy"):
        value = os.environ.get(f"PIP_{key.replace('-', '_').upper()}")
        value = value or file.get("global", key, fallback="")
        if key == "proxy":
            value = value or urllib.request.getproxies().get("https", "")
        if value:
            lines.append(f"{key} = {' '.join(value.split())}\n")
    return "".join(["[global]\n", *lines]) if lines else ""


def apt_proxy():
    """The machine's apt proxy as lines of apt configuration; often none."""
    if not shutil.which("apt-config"):
        return ""
    done = subprocess.run(
        [
            "apt-config",
            "dump",
            "--format",
            "%f=%v%n",
            "Acquire::http::Proxy",
            "Acquire::https::Proxy",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = []
    for line in done.stdout.splitlines():
        key, _, value = line.partition("=")
        if value:
            lines.append(f'{key} "{value}";')
    return "".join(f"{line}\n" for line in lines)
