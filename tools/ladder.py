"""The test ladder: which steps there are, what they need, and running them."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

from rich.console import Console
from rich.table import Table

from tools import machine
from tools.errors import FleetError
from tools.inventory import TREE

OFFLINE = ("lint", "unit", "data", "render", "security")
ON_HOSTS = ("apply", "fleet", "drills")
# Boots hosts of its own, at a level of its own.
STEPS = (*OFFLINE, *ON_HOSTS, "vagrant")
_EXTRA = {
    "unit": ["--cov", "--cov-report=term-missing:skip-covered"],
    # `./fleet drill --all` runs the long ones, too.
    "drills": ["-m", "not long"],
}
# Hosts are one shared thing: those steps run alone, test after test. Data and render
# compile the whole fleet once, with as many processes as there are processors.
_PARALLEL = {"lint", "unit"}

console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def split(words):
    """Part the words after `test` into steps and pytest's own arguments."""
    if "--" in words:
        at = words.index("--")
        steps, extra = words[:at], words[at + 1 :]
    else:
        steps, extra = words, []
    unknown = [step for step in steps if step not in STEPS]
    if unknown:
        raise FleetError(
            f"no such step: {', '.join(unknown)}",
            f"steps: {' '.join(STEPS)}; pytest's own arguments come after --",
        )
    return [step for step in STEPS if not steps or step in steps], extra


def environment():
    """
    The Python of the tests' own environment, made when it is missing.

    Returns its path. Raises FleetError when it cannot be made.
    """
    _packages()
    files = [
        TREE / "requirements" / name
        for name in ("tools.txt", "salt.txt", "test.txt", "salt-constraints.txt")
    ]
    digest = hashlib.sha256(sys.version.encode())
    for path in files:
        digest.update(path.read_bytes())
    root = machine.CACHE if os.geteuid() == 0 else Path.home() / ".cache" / "saltworks"
    folder = root / f"test-venv-{digest.hexdigest()[:12]}"
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return python
    print("fleet: making the environment of the tests", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    root.mkdir(parents=True, exist_ok=True)
    base = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    steps = [
        [str(base), "-m", "venv", str(folder)],
        [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--constraint",
            str(files[3]),
            *[word for path in files[:3] for word in ("--requirement", str(path))],
        ],
    ]
    for command in steps:
        done = subprocess.run(command, check=False)
        if done.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            raise FleetError(
                "the environment of the tests could not be made",
                "see what pip said above; on Python 3.13 it needs gcc and python3-dev",
            )
    (folder / "complete").touch()
    return python


def python(*arguments):
    """Run the tests' own Python on this tree; return its exit code."""
    variables = dict(os.environ, PYTHONDONTWRITEBYTECODE="1", PYTHONPATH=str(TREE))
    return subprocess.run(
        [str(environment()), "-P", *arguments], env=variables, check=False
    ).returncode


def _packages():
    """Install the Debian packages of requirements/apt.txt that are missing."""
    wanted = [
        line.split("#")[0].strip()
        for line in (TREE / "requirements" / "apt.txt").read_text("utf-8").splitlines()
    ]
    if sys.version_info >= (3, 13):
        # timelib, which Salt needs, has no wheel for this Python.
        wanted += ["gcc", "libc6-dev", "python3-dev"]
    missing = [
        package
        for package in wanted
        if package
        and "install ok installed"
        not in subprocess.run(
            ["dpkg-query", "-W", "-f", "${Status}", package],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
    ]
    if not missing:
        return
    if os.geteuid() != 0:
        raise FleetError(
            f"missing packages: {', '.join(missing)}", f"sudo apt-get install {' '.join(missing)}"
        )
    print(f"fleet: installing {', '.join(missing)}", file=sys.stderr, flush=True)
    quiet = {
        "env": dict(os.environ, DEBIAN_FRONTEND="noninteractive"),
        "stdout": subprocess.DEVNULL,
    }
    subprocess.run(["apt-get", "-qq", "update"], check=False, **quiet)
    done = subprocess.run(
        ["apt-get", "-qq", "-y", "install", "--no-install-recommends", *missing],
        check=False,
        **quiet,
    )
    if done.returncode:
        raise FleetError(
            f"apt could not install {', '.join(missing)}",
            "see that apt works on this machine, then run again",
        )


def run(level, words):
    """
    Run steps of the ladder, in their order; a failed step does not stop the next.

    level
        The level whose hosts the later steps use.

    words
        Names of steps, then `--` and pytest's own arguments.

    Returns the exit code: 0 when every test passed.
    """
    return run_tests(level, *split(words))


def run_tests(level, steps, extra, paths=()):
    """
    As :py:func:`run`, with the words told apart.

    paths
        What of a step's folder to run; left out, all of it.
    """
    interpreter = environment()
    # A step may well run `down --purge`, which removes the environments of nobody.
    with machine.hold(interpreter.parent.parent):
        return _summary(_run_steps(level, steps, extra, interpreter, paths))


def _run_steps(level, steps, extra, interpreter, paths):
    """Run the steps, one after the other; return a row of the summary for each."""
    results = []
    raised = False
    if set(steps) & set(ON_HOSTS):
        # Of the last run: tests/support/evidence.py.
        shutil.rmtree(machine.CACHE / "failed", ignore_errors=True)
    for step in steps:
        if step in ON_HOSTS and not raised:
            if os.geteuid() == 0:
                machine.install_packages(
                    lambda sentence: print(f"fleet: {sentence}", file=sys.stderr, flush=True),
                    machine.TEST_PACKAGES,
                )
            console.rule("up")
            started = time.monotonic()
            code = subprocess.run(
                [str(TREE / "fleet"), "--level", level, "up"], check=False
            ).returncode
            results.append(
                ("up", 1 if code == 0 else 0, 0 if code == 0 else 1, 0, time.monotonic() - started)
            )
            raised = True
            if code:
                console.print(
                    "[red]the sandbox does not come up: the steps on hosts cannot run[/red]"
                )
                break
        console.rule(step)
        results.append((step, *_pytest(interpreter, level, step, extra, paths)))
    return results


def _wait(process):
    """
    Wait for tests to end; return their exit code. Interrupted, they first put right what
    they broke: who waits for them ends after them.
    """
    interrupted = False
    while True:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            print("fleet: the tests put right what they broke", file=sys.stderr, flush=True)
            interrupted = True
            continue
        if interrupted:
            raise KeyboardInterrupt
        return code


def _pytest(python, level, step, extra, paths):
    """Run one step; return passed, failed, skipped, seconds."""
    started = time.monotonic()
    report = machine.CACHE if os.geteuid() == 0 else Path.home() / ".cache" / "saltworks"
    report = report / f"report-{step}.xml"
    report.unlink(missing_ok=True)
    parallel = ["-n", "2"] if step in _PARALLEL else []
    command = [
        str(python),
        "-P",
        "-m",
        "pytest",
        *(paths or [f"tests/{step}"]),
        "-p",
        "no:cacheprovider",
        "-q",
        f"--junitxml={report}",
        *_EXTRA.get(step, []),
        *parallel,
        *extra,
    ]
    variables = dict(
        os.environ,
        FLEET_LEVEL=level,
        PYTHONDONTWRITEBYTECODE="1",
        PYTHONPATH=str(TREE),
        PATH=f"{python.parent}:{os.environ['PATH']}",
        COVERAGE_FILE=str(report.with_suffix(".coverage")),
    )
    with subprocess.Popen(command, cwd=TREE, env=variables, stdin=subprocess.DEVNULL) as process:
        code = _wait(process)
    seconds = time.monotonic() - started
    try:
        suite = next(ElementTree.parse(report).getroot().iter("testsuite")).attrib  # noqa: S314
    except (OSError, ElementTree.ParseError, StopIteration):
        return 0, 1, 0, seconds
    failed = int(suite["failures"]) + int(suite["errors"])
    skipped = int(suite["skipped"])
    passed = int(suite["tests"]) - failed - skipped
    # Nothing collected is pytest's 5: no failure where -k chose tests of another step.
    if code not in (0, 5) and not failed:
        failed = 1
    if code == 5 and not extra:
        failed = 1
    return passed, failed, skipped, seconds


def _summary(results):
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("step", style="bold")
    for column in ("passed", "failed", "skipped", "seconds"):
        table.add_column(column, justify="right")
    for step, passed, failed, skipped, seconds in results:
        table.add_row(
            step,
            str(passed),
            f"[red]{failed}[/red]" if failed else "0",
            str(skipped),
            f"{seconds:.0f}",
        )
    console.rule("ladder")
    console.print(table)
    passed, failed, skipped = (sum(row[column] for row in results) for column in (1, 2, 3))
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return 1 if failed or not passed else 0
