"""
Custom Python is loaded from its path, as Salt's loader does: it is no package,
and its dunders (``__salt__``, ``__opts__`` …) are put in by hand.
"""

import contextlib
import importlib.util
import threading
from pathlib import Path

import pytest
import yaml
from salt._logging import shutdown_temp_handler

# Salt keeps what is logged before it is configured, and writes it out at the
# end, when pytest has closed the stream.
shutdown_temp_handler()

ROOT = Path(__file__).resolve().parents[2]


def load_module(relative, **dunders):
    """
    A fresh copy of a Python file of this tree.

    relative
        Its path from the top, e.g. ``_modules/site_hosts.py``.

    dunders
        ``salt={…}`` becomes ``__salt__``, and so on; those left out are empty
        mappings, as the loader gives them.
    """
    path = ROOT / relative
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("salt", "opts", "pillar", "grains", "context"):
        setattr(module, f"__{name}__", dunders.get(name, {}))
    return module


@contextlib.contextmanager
def serving(server):
    """A server of Python's socketserver answers meanwhile, in a thread of its own."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def load():
    """The function :py:func:`load_module`."""
    return load_module


@pytest.fixture(scope="session")
def names():
    """The registry of this tree with its levels."""
    module = load_module("_modules/site_hosts.py")
    return module.load_names(ROOT / "pillar")


@pytest.fixture(scope="session")
def registry():
    """The registry as it stands in its file."""
    return yaml.safe_load((ROOT / "pillar/registry.yaml").read_text(encoding="utf-8"))
