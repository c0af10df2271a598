"""The package behind the command ./fleet."""
