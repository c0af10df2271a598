"""
Mail: what postfix and the packet filter of a host need to know, in their own words.
"""

import re

from salt.exceptions import CommandExecutionError

SMTP = 25
# Ports on which a program hands mail to a mail server.
MAIL_PORTS = (25, 465, 587)
OUTSIDE, SINK = "outside", "sink"
# As in salt/rspamd/defaults.yaml.
SELECTOR = "site1"
# The one name at the site domain that has a mailbox.
MAILBOX = "operators"

# Modules of rspamd that need a redis or a service that this site does not have.
_NEVER = (
    "asn",
    "bayes_expiry",
    "clickhouse",
    "elastic",
    "fuzzy_check",
    "greylist",
    "history_redis",
    "known_senders",
    "metadata_exporter",
    "metric_exporter",
    "mx_check",
    "neural",
    "ratelimit",
    "replies",
    "reputation",
    "url_redirector",
)
# Those that ask the DNS or what others publish.
_LOOKUPS = ("dmarc", "mid", "phishing", "rbl", "spf", "surbl", "whitelist")


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


def modules_off(lookups):
    """
    The modules of rspamd that are not used. Pure.

    lookups
        Whether there is a DNS to ask.

    CLI Example:

    .. code-block:: bash

        salt-call site_mail.modules_off false
    """
    return sorted(_NEVER + (() if lookups else _LOOKUPS))


def dns_records():
    """
    What the DNS of the site domain must say about its mail. On a mail host.

    Returns ``[{"name", "type", "value"}, …]``: where mail is delivered to, who may send
    (SPF), the public half of the key for signatures (DKIM), and what to do with mail
    that is neither (DMARC). Addresses are those that the mine knows; a site behind
    other public addresses puts those in their place.

    CLI Example:

    .. code-block:: bash

        salt-call site_mail.dns_records
    """
    domain = __pillar__["site"]["domain"]
    rspamd = __pillar__["rspamd"]
    hosts = __salt__["site_hosts.peers"]("mail")
    return records(
        domain,
        hosts,
        rspamd.get("selector", SELECTOR),
        __salt__["x509.get_public_key"](rspamd["secrets"]["dkim"]),
    )


def records(domain, mail_hosts, selector, public_key):
    """
    The records themselves. Pure.

    domain
        The site domain.

    mail_hosts
        As in :py:func:`satellite`, with ``name``.

    selector, public_key
        The name of the key for signatures, and its public half as PEM text.

    CLI Example:

    .. code-block:: bash

        salt-call site_mail.dns_records
    """
    key = "".join(line for line in public_key.split("\n") if line and "-----" not in line)
    found = []
    for host in mail_hosts:
        kind = "AAAA" if ":" in host["address"] else "A"
        found.append((f"{host['name']}.{domain}", kind, host["address"]))
        found.append((domain, "MX", f"10 {host['name']}.{domain}."))
    found += [
        (domain, "TXT", "v=spf1 mx -all"),
        (f"{selector}._domainkey.{domain}", "TXT", f"v=DKIM1; k=rsa; p={key}"),
        (f"_dmarc.{domain}", "TXT", f"v=DMARC1; p=reject; rua=mailto:postmaster@{domain}"),
    ]
    return [{"name": name, "type": kind, "value": value} for name, kind, value in found]
