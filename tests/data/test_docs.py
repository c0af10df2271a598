"""The tables in docs/ say what the registry says."""

from tools import docs


def test_the_tables_are_those_of_the_registry():
    text = docs.PAGE.read_text(encoding="utf-8")
    assert docs.render(text) == text, "docs/architecture.md is behind the registry: ./fleet docs"


def test_a_table_that_is_behind_is_noticed():
    text = docs.PAGE.read_text(encoding="utf-8").replace("11211/tcp", "11212/tcp")
    assert docs.render(text) != text
