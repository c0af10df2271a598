"""
The pools of nutcracker, the broker between apps and keystores.
"""

from salt.exceptions import CommandExecutionError

PROTOCOLS = ("memcached", "redis")


def pools(wanted, defaults, peers, secrets):
    """
    The pools in nutcracker's own words, ready to be written down. Pure.

    wanted
        ``{name: {"port", "protocol", "peers", "peer_port", …}}``, each with what it
        wants otherwise than ``defaults``.

    defaults
        ``timeout``, ``server_retry_timeout``, ``server_retry_timeout_alone`` (all in
        milliseconds), ``server_failure_limit``, ``auto_eject_hosts``, ``backlog``.

    peers
        ``{role: [{"name", "address"}, …]}`` as ``site_hosts.peers`` gives them.

    secrets
        ``{role: password}`` for each role behind a pool with protocol redis.

    Returns ``{name: {"listen", …, "servers": ["192.0.2.1:11211:1 cache1", …]}}``;
    ``redis_auth`` names the role whose password it is, for what is returned stands in
    the compiled states, which the master keeps.
    Keys are spread by the servers' names, so a server that comes back under another
    address keeps its keys.

    Raises CommandExecutionError when there is no pool, a pool has no server, no
    such protocol, a port that another has, or no password.

    CLI Example:

    .. code-block:: bash

        salt-call site_nutcracker.pools '{}' '{}' '{}' '{}'
    """
    if not wanted:
        raise CommandExecutionError("nutcracker has no pools. See nutcracker:pools in pillar")
    made, ports = {}, {}
    for name, own in wanted.items():
        pool = {**defaults, **own}
        servers = peers.get(pool["peers"])
        if not servers:
            raise CommandExecutionError(f"pool '{name}': no hosts with the role {pool['peers']}")
        if pool["protocol"] not in PROTOCOLS:
            raise CommandExecutionError(
                f"pool '{name}': no such protocol '{pool['protocol']}'; "
                f"known: {', '.join(PROTOCOLS)}"
            )
        other = ports.setdefault(pool["port"], name)
        if other != name:
            raise CommandExecutionError(
                f"pools '{other}' and '{name}' both listen on port {pool['port']}"
            )
        made[name] = _pool(name, pool, servers, secrets)
    return made


def _pool(name, pool, servers, secrets):
    """One pool in nutcracker's words."""
    alone = "_alone" if len(servers) == 1 else ""
    made = {
        "listen": f"127.0.0.1:{pool['port']}",
        "hash": "fnv1a_64",
        "distribution": "ketama",
        "timeout": pool["timeout"],
        "backlog": pool["backlog"],
        # A connection at start would make the broker's start wait for its servers.
        "preconnect": False,
        "auto_eject_hosts": pool["auto_eject_hosts"],
        "server_failure_limit": pool["server_failure_limit"],
        "server_retry_timeout": pool["server_retry_timeout" + alone],
        "redis": pool["protocol"] == "redis",
    }
    if made["redis"]:
        password = secrets.get(pool["peers"])
        if not isinstance(password, str) or not password:
            raise CommandExecutionError(
                f"pool '{name}': no password for {pool['peers']}. See nutcracker:secrets in pillar"
            )
        made["redis_auth"] = pool["peers"]
    made["servers"] = [
        f"{server['address']}:{pool['peer_port']}:1 {server['name']}" for server in servers
    ]
    return made
