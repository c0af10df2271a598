"""The tree as a release: what the master of a level serves."""

import hashlib
import io
import shutil
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
# What the master serves: a link to the newest of its trees. A push brings others into the
# same folder (component release), each named by its commit.
HOME = "/srv/saltworks"
TREES = "/srv/release/saltworks"
CLONE = "clone-"
# So many trees stay on the master, beside the one that is served and the one before.
KEPT = 5


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


def _inside(path, root):
    """Where a path really is, which must be in the tree."""
    real = path.resolve()
    if not real.is_relative_to(root.resolve()):
        raise FleetError(f"{path.relative_to(root)} leads out of the tree", "remove that link")
    return real


def _real(root, names):
    """``{name in the release: file}``: links have become what they lead to."""
    found = {}
    for name in names:
        path = _inside(root / name, root)
        if path.is_dir():
            # A link to a folder of Python beside it becomes that folder.
            for inner in sorted(path.rglob("*")):
                if inner.is_file() and "__pycache__" not in inner.parts:
                    found[f"{name}/{inner.relative_to(path)}"] = _inside(inner, root)
        else:
            found[name] = path
    return found


def lay_out(root, target):
    """
    Lay the release out in a folder: of a tree that lies there without git.

    root
        The tree.

    target
        The folder; what is in it goes.

    Raises FleetError where a link leads out of the tree, OSError where one leads nowhere.
    """
    names = []
    for part in PARTS:
        below = [path for path in (root / part).rglob("*") if path.is_symlink() or path.is_file()]
        names += [str(path.relative_to(root)) for path in below if "__pycache__" not in path.parts]
    shutil.rmtree(target, ignore_errors=True)
    for name, path in sorted(_real(root, names).items()):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target / name)


def pack():
    """
    Make the release: a tar with real files where the clone has links.

    Returns (bytes, name): the same tree gives the same name.
    """
    now = int(time.time())
    digest = hashlib.sha256()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, path in sorted(_real(TREE, _files()).items()):
            content = path.read_bytes()
            mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
            digest.update(f"{name}\0{mode}\0".encode() + content)
            member = tarfile.TarInfo(name)
            # The master remembers a file's hash by its mtime: each release has a new one.
            member.size, member.mode, member.mtime = len(content), mode, now
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue(), CLONE + digest.hexdigest()[:16]


# Unpacks beside the tree in use and changes one link, so that the master never sees half
# a tree. $1 is its name, $2 who brings it. Nobody deploys one meanwhile.
INSTALL = f"""
set -eu
umask 022
install -d -m 0755 /srv/release
install -d -m 0700 {TREES}
cd {TREES}
exec 9> .lock
flock 9
mkdir -p releases
rm -rf .new-clone
mkdir .new-clone
tar -x -f - -C .new-clone
# What has its name is whole, even after a loss of power.
sync --file-system .new-clone
[ -d "releases/$1" ] || mv --no-target-directory .new-clone "releases/$1"
rm -rf .new-clone
printf '%s\n' "$2" > "releases/$1/.brought-by"
touch "releases/$1"
before=$(readlink current || true)
[ -z "$before" ] || [ "$before" = "releases/$1" ] || ln -sfn "$before" previous
ln -sfn "releases/$1" .current-new
mv --no-target-directory .current-new current
ln -sfn {TREES}/current {HOME}.new
if [ -d {HOME} ] && ! [ -L {HOME} ]; then
    # Unpacked there by hand.
    mv --exchange --no-target-directory {HOME}.new {HOME}
    rm -rf {HOME}.new
else
    mv --no-target-directory {HOME}.new {HOME}
fi
for old in $(ls -1t releases | tail -n +{KEPT + 1}); do
    case "$(readlink current) $(readlink previous || true)" in
        *"releases/$old"*) ;;
        *) rm -rf "releases/$old" ;;
    esac
done
"""
