"""
Files that no package archive has: pinned Maven artifacts, fetched once to this
machine, checked, and put on the hosts whose role needs them.

A component names them in its ``artifacts.yaml``; a role needs those of the
components that it includes. Which registry they come from is Maven's business,
by the settings of this machine.
"""

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from xml.sax.saxutils import escape

import yaml

from tools import machine
from tools.errors import FleetError
from tools.inventory import TREE

ON_HOST = "/var/cache/saltworks/artifacts"
FETCH_SECONDS = 900

_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>saltworks</groupId><artifactId>artifacts</artifactId><version>1</version>
  <packaging>pom</packaging>
  <build><plugins><plugin>
    <groupId>org.apache.maven.plugins</groupId>
    <artifactId>maven-dependency-plugin</artifactId>
    <configuration>
      <outputDirectory>{folder}</outputDirectory>
      <artifactItems>{items}</artifactItems>
    </configuration>
  </plugin></plugins></build>
</project>
"""
# The end is a rename: a file that is there is whole.
_PUT = f"""
set -eu
install -d -m 0755 {ON_HOST}
cat > "{ON_HOST}/.$1"
mv "{ON_HOST}/.$1" "{ON_HOST}/$1"
"""


def needed(roles):
    """
    What the hosts of these roles need.

    Returns ``{file name: {"artifact", "sha512"}}``.
    """
    found = {}
    for role in roles:
        path = TREE / "salt" / "role" / f"{role}.sls"
        if not path.exists():
            continue
        for component in (yaml.safe_load(path.read_text("utf-8")) or {}).get("include", []):
            pins = TREE / "salt" / component / "artifacts.yaml"
            if pins.exists():
                found |= yaml.safe_load(pins.read_text("utf-8"))
    return found


def is_pinned(path, pin):
    """Whether a file is there and is the pinned one."""
    if not path.is_file():
        return False
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha512").hexdigest() == pin["sha512"]


def pom(pins, folder):
    """A Maven project that does nothing but copy these artifacts into a folder."""
    items = []
    for file, pin in pins.items():
        group, name, *kind = pin["artifact"].split(":")
        version = Path(file).stem.removeprefix(f"{name}-")
        items.append(
            f"<artifactItem><groupId>{escape(group)}</groupId>"
            f"<artifactId>{escape(name)}</artifactId><version>{escape(version)}</version>"
            f"<type>{escape(kind[0] if kind else 'jar')}</type></artifactItem>"
        )
    return _POM.format(folder=escape(str(folder)), items="".join(items))


def fetch(pins, say):
    """
    Have these artifacts on this machine.

    pins
        What :py:func:`needed` returns.

    say
        Called with a sentence before anything is fetched.

    Returns the folder that holds them.
    Raises FleetError where one cannot be had, or is not the pinned one.
    """
    folder = machine.CACHE / "artifacts"
    missing = {name: pin for name, pin in pins.items() if not is_pinned(folder / name, pin)}
    if not missing:
        return folder
    if not shutil.which("mvn"):
        machine.install_packages(say, {"maven": "/usr/bin/mvn"})
    say(f"fetching {', '.join(missing)} with Maven")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
        fresh = Path(scratch)
        (fresh / "pom.xml").write_text(pom(missing, fresh), "utf-8")
        done = subprocess.run(
            ["mvn", "-q", "-B", "-f", str(fresh / "pom.xml"), "dependency:copy"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=FETCH_SECONDS,
            check=False,
        )
        if done.returncode:
            said = [line for line in done.stdout.splitlines() if "ERROR" in line]
            raise FleetError(
                "Maven cannot fetch what the search engine is made of: " + " ".join(said[:1]),
                "see that Maven reaches a registry with Maven Central's artifacts from this "
                "machine (~/.m2/settings.xml), then run again",
            )
        for name, pin in missing.items():
            if not is_pinned(fresh / name, pin):
                raise FleetError(
                    f"{name} is not the file that is pinned",
                    "whoever changed it, do not use it: compare with another source, and only "
                    "then change the component's artifacts.yaml",
                )
            (fresh / name).replace(folder / name)
    return folder


def deliver(transport, hosts, say):
    """
    Put on each host what its roles need, fetched before where it has to be.

    transport
        Runs a command inside a host.

    hosts
        Of the inventory.

    say
        Called with a sentence before anything is fetched.
    """
    for host in hosts:
        pins = needed(host.roles)
        if not pins:
            continue
        there = transport.inside(host.id, "ls", ON_HOST, check=False).stdout.split()
        missing = {name: pin for name, pin in pins.items() if name not in there}
        if not missing:
            continue
        folder = fetch(missing, say)
        for name in missing:
            content = (folder / name).read_bytes()
            transport.inside(host.id, "sh", "-c", _PUT, "put", name, stdin=content)
