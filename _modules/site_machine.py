"""
What belongs to this host, and what to the machine that it runs on.
"""

# What Salt's grain `virtual` says where the kernel is the machine's own. Podman
# says `container` with cgroups v1 and v2, as do Docker and LXC.
SHARED_KERNEL = ("container", "systemd-nspawn")


def owns_clock():
    """
    Whether this host may set its own clock: not where the kernel is shared.

    CLI Example:

    .. code-block:: bash

        salt-call site_machine.owns_clock
    """
    return __grains__["virtual"] not in SHARED_KERNEL
