"""
This host is a member of its Galera cluster. All questions and decisions are those
of the execution module of the same name.
"""

from salt.exceptions import CommandExecutionError


def member(name, address, peers, health_port, wait):
    """
    This node is synced in the cluster of its peers; the first of them founds it.

    name
        The node's name, for the log.

    address, peers, wait
        As in ``site_galera.until_synced``.

    health_port
        Where the nodes' health agents listen.

    .. code-block:: yaml

        mariadb-member:
          site_galera.member:
            - name: db1
            - address: 192.0.2.1
            - peers: [{name: db1, address: 192.0.2.1}, {name: db2, address: 192.0.2.2}]
            - health_port: 9200
            - wait: 600
    """
    ret = {"name": name, "result": True, "changes": {}, "comment": f"{name} is synced"}
    if __salt__["site_galera.ready"]():
        return ret
    if __opts__["test"]:
        return dict(
            ret,
            result=None,
            changes={name: "joins the cluster"},
            comment=f"{name} would join its cluster, or found it",
        )
    try:
        steps = __salt__["site_galera.until_synced"](address, peers, health_port, wait)
    except CommandExecutionError as error:
        return dict(ret, result=False, comment=str(error))
    return dict(ret, changes={name: steps or ["synced"]}, comment=f"{name} is synced now")
