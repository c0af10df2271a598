"""Fixtures and the option of the render step."""

from tests.support.offline import compiled, small_tree, tree  # noqa: F401 - fixtures


def pytest_addoption(parser):
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write tests/render/golden/ anew from what the hosts get now",
    )
