"""Every function of ours is there in Salt's own loader, and explains itself."""

import ast
from pathlib import Path

import pytest
import salt.config
import salt.loader

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("_modules", "_states", "_returners", "_runners")


def functions(path):
    """``{name: docstring}`` of the public functions of a file."""
    return {
        node.name: ast.get_docstring(node) or ""
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }


FOUND = [
    (kind, path.stem, name, text)
    for kind in KINDS
    for path in sorted((ROOT / kind).glob("site_*.py"))
    for name, text in functions(path).items()
]


@pytest.fixture(scope="module")
def loaders(tmp_path_factory):
    """``{kind: loader}``, with the tree's Python found as the master finds it."""
    root = tmp_path_factory.mktemp("loader")
    opts = salt.config.apply_minion_config(
        {
            "id": "salt.sandbox.wpd.internal",
            "root_dir": str(root),
            "cachedir": str(root / "cache"),
            "extension_modules": str(root / "extmods"),
            "file_client": "local",
            "module_dirs": [str(ROOT)],
            "pillar_roots": {"base": [str(ROOT / "pillar")]},
            "grains": {"os_family": "Debian", "kernel": "Linux"},
        },
        minion_id=False,
    )
    opts["grains"] = {"os_family": "Debian", "kernel": "Linux"}
    modules = salt.loader.minion_mods(opts)
    return {
        "_modules": modules,
        "_states": salt.loader.states(opts, modules, {}, {}),
        "_returners": salt.loader.returners(opts, modules),
        "_runners": salt.loader.runner(opts),
    }


@pytest.mark.parametrize(
    ("kind", "module", "name", "text"), FOUND, ids=[".".join(found[:3]) for found in FOUND]
)
def test_the_loader_has_it(loaders, kind, module, name, text):
    assert f"{module}.{name}" in loaders[kind]
    assert text, f"{kind}/{module}.py: {name} has no docstring"
    if kind in ("_modules", "_runners"):
        assert "CLI Example:" in text, f"{kind}/{module}.py: {name} shows no CLI Example:"


def test_what_is_not_there_is_not_found(loaders):
    assert "site_hosts.no_such_function" not in loaders["_modules"]
    assert len(FOUND) > 10
