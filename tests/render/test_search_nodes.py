"""A small level with one search node more: both start, which one alone would not need."""

import shutil

import pytest

from tests.support.offline import TREE
from tools import compiler

OPTIONS = "/etc/opensearch/jvm.options"


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    """``{number of search nodes: the first one's options of Java}``."""
    found = {}
    for number in (1, 2):
        copy = tmp_path_factory.mktemp("nodes") / "tree"
        shutil.copytree(TREE, copy, symlinks=True, ignore=shutil.ignore_patterns(".git", "golden"))
        path = copy / "inventory/sandbox.yaml"
        lines = path.read_text("utf-8") + "".join(f"  elastic{n}:\n" for n in range(2, number + 1))
        path.write_text(lines, encoding="utf-8")
        host = "elastic1.sandbox.wpd.internal"
        compiled = compiler.compile_hosts(copy, [host])[host]
        assert compiled["problems"] == []
        found[number] = compiled["files"][OPTIONS]["text"]
    return found


def test_one_node_alone_takes_the_smallest_collector(options):
    assert "-XX:+UseSerialGC" in options[1]


def test_several_nodes_refuse_to_start_with_it(options):
    assert "-XX:+UseSerialGC" not in options[2] and "-XX:+UseG1GC" in options[2]
