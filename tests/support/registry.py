"""The registry as the tests read it: what listens where, and who may ask."""

from tools.inventory import load_module

SITE_REGISTRY = load_module("site_registry")


def services(names, roles):
    """The services of a host with these roles, with their defaults filled in."""
    return SITE_REGISTRY.services_of(names, list(roles))


def ports(names, roles):
    """{port: words of `from`} of every TCP port that such a host opens to others."""
    return {
        listen["port"]: listen["from"]
        for service in services(names, roles)
        for listen in service["listens"]
        if listen["address"] != "local" and listen["protocol"] == "tcp"
    }


def allowed(words, source_roles):
    """Whether a host of these roles is among those that the words mean."""
    return any(
        word in ("any", "site", "network") or set(word.split("-")) <= set(source_roles)
        for word in words
    )
