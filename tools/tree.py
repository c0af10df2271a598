"""The tree as a release: what the master of a level serves."""

import hashlib
import io
import subprocess
import tarfile
import time

from tools.errors import FleetError
from tools.inventory import TREE

# What a master needs, and nothing else of the repository.
PARTS = (
    "salt",
    "pillar",
    "reactor",
    "etc",
    "requirements",
    "inventory",
    "_modules",
    "_states",
    "_grains",
    "_returners",
    "_runners",
    "_utils",
    "_engines",
)
HOME = "/srv/saltworks"


def _files():
    """Tracked and new files of the release, ignored ones left out, sorted."""
    done = subprocess.run(
        [
            "git",
            # Root may well work in a clone of somebody else's.
            "-c",
            f"safe.directory={TREE}",
            "-C",
            str(TREE),
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
            "--",
            *[part for part in PARTS if (TREE / part).exists()],
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise FleetError(
            f"cannot list the tree: {done.stderr.strip()}",
            "run ./fleet from a clone made with git, with git installed",
        )
    return sorted(name for name in done.stdout.split("\0") if name and (TREE / name).exists())


def pack():
    """
    Make the release: a tar with real files where the clone has links.

    Returns (bytes, fingerprint): the same tree gives the same fingerprint.
    """
    names = {}
    for name in _files():
        path = TREE / name
        if path.is_symlink() and path.is_dir():
            # A link to a folder of Python beside it becomes that folder.
            for inner in sorted(path.resolve().rglob("*")):
                if inner.is_file() and "__pycache__" not in inner.parts:
                    names[f"{name}/{inner.relative_to(path.resolve())}"] = inner
        else:
            names[name] = path
    now = int(time.time())
    digest = hashlib.sha256()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, path in sorted(names.items()):
            content = path.resolve().read_bytes()
            mode = 0o755 if path.resolve().stat().st_mode & 0o100 else 0o644
            digest.update(f"{name}\0{mode}\0".encode() + content)
            member = tarfile.TarInfo(name)
            # The master remembers a file's hash by its mtime: each release has a new one.
            member.size, member.mode, member.mtime = len(content), mode, now
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue(), digest.hexdigest()[:16]


# Unpacks beside the tree in use and swaps the two, so that the master never
# sees half a release.
INSTALL = f"""
set -eu
umask 022
rm -rf {HOME}.new
mkdir -p {HOME} {HOME}.new
tar -x -f - -C {HOME}.new
chmod 0700 {HOME}.new/pillar
echo "$1" > {HOME}.new/.release
mv --exchange --no-target-directory {HOME}.new {HOME}
rm -rf {HOME}.new
"""
