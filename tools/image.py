"""The image of a host: a Debian base, and Salt on it."""

import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import yaml

from tools import machine
from tools.errors import FleetError
from tools.inventory import SITE_HOSTS, TREE

SUITE = "trixie"
BASE = f"localhost/saltworks/debian:{SUITE}"
HOST = "localhost/saltworks/host"


def _context(folder):
    """Gather in a folder what the image is made from."""
    here = TREE / "tools" / "image"
    for name in ("Containerfile", "bootstrap.sh"):
        shutil.copy(here / name, folder / name)
    shutil.copytree(
        TREE / "requirements",
        folder / "requirements",
        ignore=lambda _, names: [n for n in names if not n.startswith("salt")],
    )
    minion = folder / "minion"
    minion.mkdir()
    shutil.copy(TREE / "salt/salt-minion/files/salt-minion.service", minion)
    shutil.copy(TREE / "etc/minion.d/site.conf", minion)
    (minion / "site_names.yaml").write_text(site_names(TREE), encoding="utf-8")
    certificates = folder / "machine-ca"
    certificates.mkdir()
    (certificates / "README").write_text("What the machine trusts beyond Debian's list.\n")
    for number, block in enumerate(machine.own_certificates()):
        (certificates / f"machine-{number}.crt").write_text(block + "\n", encoding="ascii")
    (folder / "machine-apt.conf").write_text(machine.apt_proxy(), encoding="utf-8")
    (folder / "machine-pip.conf").write_text(machine.pip_settings(), encoding="utf-8")


def site_names(tree):
    """The file by which a minion's grains know the roles and levels, as text."""
    names = SITE_HOSTS.load_names(tree / "pillar")
    known = {
        "domain": names["domain"],
        "levels": names["levels"],
        "roles": {role: {"kind": entry["kind"]} for role, entry in names["roles"].items()},
    }
    return "# Managed by Saltworks: salt-minion. Local changes are overwritten.\n" + yaml.safe_dump(
        known, sort_keys=True
    )


def bundle():
    """What a bare machine needs to become a host, as a tar: bootstrap.sh and its files."""
    buffer = io.BytesIO()
    with tempfile.TemporaryDirectory(prefix="saltworks-image-") as name:
        folder = Path(name)
        _context(folder)
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for part in ("bootstrap.sh", "requirements", "minion"):
                archive.add(folder / part, arcname=part, filter=_of_root)
    return buffer.getvalue()


def _of_root(member):
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mode = 0o755 if member.isdir() or member.name == "bootstrap.sh" else 0o644
    return member


def name():
    """The name of the image that this clone makes, there or not."""
    with tempfile.TemporaryDirectory(prefix="saltworks-image-") as folder:
        _context(Path(folder))
        return _name(Path(folder))


def _name(folder):
    """An image's name, tagged with a hash of all that it is made from."""
    return f"{HOST}:{_fingerprint(folder)}"


def _fingerprint(folder):
    digest = hashlib.sha256(SUITE.encode())
    # Roles and levels change often, are kept right by a state, and make no new image.
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in ("site_names.yaml", "site.conf"):
            digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def _step(command, what, log):
    """Run one long command, its output in a log file; raise FleetError if it fails."""
    with Path(log).open("ab") as output:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False
        )
    if done.returncode:
        tail = Path(log).read_text("utf-8", errors="replace").strip().splitlines()[-6:]
        raise FleetError(
            f"{what} failed; the log's last lines:\n  " + "\n  ".join(tail),
            f"the whole log is {log}; a full disk and an unreachable package "
            "archive are the usual causes",
        )


def ensure(podman, say):
    """
    Build the image of a host unless it is there already.

    say
        Called with a sentence before each long step.

    Returns the image's name, tagged with a hash of all that it is made from.
    """
    with tempfile.TemporaryDirectory(prefix="saltworks-image-") as temporary:
        folder = Path(temporary)
        _context(folder)
        image = _name(folder)
        if podman.run("image", "exists", image, check=False).returncode == 0:
            return image
        machine.CACHE.mkdir(parents=True, exist_ok=True)
        log = machine.CACHE / "image.log"
        log.unlink(missing_ok=True)
        if podman.run("image", "exists", BASE, check=False).returncode:
            say(f"making a Debian {SUITE} base system from packages")
            root = folder / "base.tar"
            _step(
                ["mmdebstrap", "--variant=minbase", "--include=ca-certificates", SUITE, str(root)],
                "mmdebstrap",
                log,
            )
            podman.run("import", str(root), BASE)
            root.unlink()
        say("building the image of a host: packages, then Salt")
        # Where podman may not raise limits, its build containers may not, either.
        _step(
            [
                *podman.command,
                "build",
                "--network",
                "host",
                *machine.limits(),
                "--build-arg",
                f"BASE={BASE}",
                "--tag",
                image,
                str(folder),
            ],
            "the image build",
            log,
        )
        return image


def remove_all(podman):
    """Remove every image of ours, unused layers included; return how many names went."""
    names = [
        name
        for entry in podman.json("images", "--format", "json") or []
        for name in entry.get("Names") or []
        if name.startswith("localhost/saltworks/")
    ]
    if names:
        podman.run("rmi", "--force", *names)
    podman.run("image", "prune", "--force", "--filter", "label=saltworks=image")
    return len(names)
