"""Fixtures of the data step."""

from tests.support.offline import compiled, registry, small_tree, tree  # noqa: F401 - fixtures
