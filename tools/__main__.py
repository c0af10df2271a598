"""Entry of ``python -m tools``: the command ./fleet."""

from tools.cli import main

main()
