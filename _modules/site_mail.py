"""
Mail: what postfix and the packet filter of a host need to know, in their own words.
"""

import re

from salt.exceptions import CommandExecutionError

SMTP = 25
# Ports on which a program hands mail to a mail server.
MAIL_PORTS = (25, 465, 587)
OUTSIDE, SINK = "outside", "sink"
# The one name at the site domain that has a mailbox.
MAILBOX = "operators"


def _level_domain(host):
    """``staging.wpd.internal``: what the ids of the level's hosts end with."""
    return f"{host['level']}.{host['domain']}"


def _senders(domain, host):
    """Who may stand as a sender, for an inline table: bounces, the site, its hosts."""
    return f"{{ <> = OK }}, {{ {domain} = OK }}, {{ {_level_domain(host)} = OK }}"


def satellite(domain, host, mail_hosts):
    """
    What the postfix of a host that only hands on needs to know. Pure.

    domain
        The site domain of the level.

    host
        The own id, as ``site_hosts.parse`` gives it.

    mail_hosts
        ``[{"id", "address"}, …]`` as ``site_hosts.peers`` gives them; may be empty:
        then mail waits on its host.

    Returns ``{"next_hops", "policies", "senders"}``, texts for main.cf. The name in
    each mail host's certificate is bound to its address.

    CLI Example:

    .. code-block:: bash

        salt-call site_mail.satellite example.org '{level: staging, domain: wpd.internal}' '[]'
    """
    hops = [(f"[{mail['address']}]:{SMTP}", mail["id"]) for mail in mail_hosts]
    return {
        "next_hops": ", ".join(hop for hop, _ in hops),
        "policies": ", ".join(f"{{ {hop} = secure match={host_id} }}" for hop, host_id in hops),
        "senders": _senders(domain, host),
    }


def relay(domain, host, everyone, settings):
    """
    What the postfix of a mail host needs to know. Pure.

    domain, host
        As in :py:func:`satellite`.

    everyone
        All hosts of the level, as ``site_hosts.everyone`` gives them: they may send.

    settings
        The component's settings: ``aliases`` and ``deliver``.

    Returns ``{"public_name", "clients", "client_rules", "senders", "names",
    "aliases"}``.

    Raises CommandExecutionError for a ``deliver`` that is neither outside nor sink.

    CLI Example:

    .. code-block:: bash

        salt-call site_mail.relay example.org '{name: mail1, level: staging,
            domain: wpd.internal}' '[]' '{deliver: sink, aliases: {}}'
    """
    if settings["deliver"] not in (OUTSIDE, SINK):
        raise CommandExecutionError(
            f"postfix:deliver is '{settings['deliver']}': it must be {OUTSIDE} or {SINK}"
        )
    clients = [each["address"] for each in everyone]
    return {
        "public_name": f"{host['name']}.{domain}",
        "clients": clients,
        "client_rules": ", ".join(
            f"{{ {address} = reject_plaintext_session, site_sender }}" for address in clients
        ),
        "senders": _senders(domain, host),
        "names": [{"pattern": re.escape(_level_domain(host)), "domain": domain}],
        "aliases": aliases(domain, settings["aliases"]),
    }


def aliases(domain, wanted):
    """
    The alias table: whole addresses, sorted. Pure.

    domain
        The site domain of the level.

    wanted
        ``{name: [target, …]}``; a target without @ is a name at the site domain.

    Returns ``[(address, [address, …]), …]``.

    Raises CommandExecutionError where a target at the site domain is no name of the
    table: mail to it would go nowhere.

    CLI Example:

    .. code-block:: bash

        salt-call site_mail.aliases example.org '{root: [operators]}'
    """
    known = {*wanted, MAILBOX}
    table = []
    for name in sorted(wanted):
        targets = []
        for target in wanted[name]:
            local, _, at = target.partition("@")
            if at in ("", domain) and local not in known:
                raise CommandExecutionError(
                    f"postfix:aliases: {name} leads to '{target}', which stands nowhere"
                )
            targets.append(target if at else f"{target}@{domain}")
        table.append((f"{name}@{domain}", targets))
    return table


def outbound():
    """
    To whom this host may open a connection that hands over mail.

    Returns ``{"ports": […], "families": {"ip": […]}}`` with the level's mail hosts, or
    None where there is no limit: on a mail host of a level that delivers outside.

    CLI Example:

    .. code-block:: bash

        salt-call site_mail.outbound
    """
    deliver = __pillar__.get("postfix", {}).get("deliver", SINK)
    if deliver == OUTSIDE and "mail" in __salt__["site_hosts.parse"]()["roles"]:
        return None
    hosts = __salt__["site_hosts.peers"]("mail", minimum=0)
    return {
        "ports": list(MAIL_PORTS),
        "families": __salt__["site_registry.families_of"]([host["address"] for host in hosts]),
    }
