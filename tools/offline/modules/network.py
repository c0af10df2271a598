"""
The network, offline: one address for each host, the first of its network for the
gateway. Any other question raises, as it would make the result depend on the
machine that compiles.
"""

import ipaddress


def _own():
    return __opts__["offline"]["addresses"][__opts__["id"]]


def ip_addrs(*_args, **_kwargs):
    """
    The own address, in a list.

    CLI Example:

    .. code-block:: bash

        salt-call network.ip_addrs
    """
    return [_own()]


def interfaces():
    """
    One interface with the own address, and the loopback.

    CLI Example:

    .. code-block:: bash

        salt-call network.interfaces
    """

    def inet(address, netmask):
        return {"address": address, "netmask": netmask, "broadcast": None, "label": ""}

    return {
        "lo": {"up": True, "inet": [inet("127.0.0.1", "255.0.0.0")]},
        "eth0": {"up": True, "inet": [inet(_own(), "255.255.255.0")]},
    }


def default_route(family=None):
    """
    One default route, by the first address of the own /24.

    CLI Example:

    .. code-block:: bash

        salt-call network.default_route inet
    """
    del family
    network = ipaddress.ip_network(f"{_own()}/24", strict=False)
    return [
        {
            "addr_family": "inet",
            "destination": "0.0.0.0",  # noqa: S104 - the name of the default route
            "netmask": "0.0.0.0",  # noqa: S104
            "gateway": str(network[1]),
            "flags": "UG",
            "interface": "eth0",
        }
    ]
