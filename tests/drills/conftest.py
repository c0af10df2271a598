"""The fixture of drills, and what is kept of each: see tests/support/drill.py."""

import inspect
import json
import os
from pathlib import Path

import pytest

from tests.support.drill import Drill
from tools.drills import RECORDS, name_of

MADE, OUTCOMES = pytest.StashKey(), pytest.StashKey()


@pytest.fixture
def drill(request, fleet, sandbox, site):
    """A rehearsed fault, told as it happens; at its end all is put right again."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def say(line):
        with capture.global_and_fixture_disabled():
            print(line, flush=True)

    made = request.node.stash[MADE] = Drill(name_of(request.node.name), fleet, sandbox, site, say)
    try:
        made.begin(inspect.getdoc(request.function).partition("\n")[0])
        yield made
    finally:
        made.finish()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Keep the record of a drill where ``./fleet drill`` looks for it."""
    report = yield
    outcomes = item.stash.setdefault(OUTCOMES, [])
    outcomes.append(report.outcome)
    folder = os.environ.get(RECORDS)
    if folder and report.when == "teardown" and "drill" in item.fixturenames:
        name = name_of(item.name)
        found = item.stash.get(MADE, None)
        record = found.record(True) if found else {"name": name}
        record["passed"] = False
        if "failed" not in outcomes:
            record["passed"] = None if "skipped" in outcomes else True
        Path(folder, f"{name}.json").write_text(json.dumps(record), encoding="utf-8")
    return report
