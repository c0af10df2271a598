"""
A Galera cluster: this host is a member of it, and, in an orchestration, the whole
of it runs and is well. All questions and decisions are those of the execution
modules site_galera (on a host) and site_galera_cluster (on the master).
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


def cluster_running(name, hosts):
    """
    On the master: a cluster that was is running, from the last write that any of
    its hosts holds. Nothing is done where there never was one.

    name
        Says what it is, for the log.

    hosts
        The ids of all its hosts.

    .. code-block:: yaml

        the databases run from the last write that any of them holds:
          site_galera.cluster_running:
            - hosts: [db1.staging.wpd.internal, db2.staging.wpd.internal]
    """
    ret = {"name": name, "result": True, "changes": {}}
    try:
        seen = __salt__["site_galera_cluster.look"](hosts)
        if seen["action"] == "nothing":
            return dict(ret, comment=seen["reason"])
        if __opts__["test"]:
            what = f"{seen['action']}: {', '.join(seen['hosts'])}"
            return dict(ret, result=None, changes={name: what}, comment=seen["reason"])
        steps = __salt__["site_galera_cluster.recover"](hosts)
    except CommandExecutionError as error:
        return dict(ret, result=False, comment=str(error))
    return dict(ret, changes={name: steps}, comment="the cluster runs again")


def cluster_healthy(name, hosts, wait=60):
    """
    On the master: every host is synced in one cluster of exactly these hosts.

    name
        Says what it is, for the log.

    hosts, wait
        As in ``site_galera_cluster.healthy``.

    .. code-block:: yaml

        every database is in one cluster:
          site_galera.cluster_healthy:
            - hosts: [db1.staging.wpd.internal, db2.staging.wpd.internal]
    """
    ret = {"name": name, "result": True, "changes": {}}
    if __opts__["test"]:
        return dict(ret, comment="only asked after what stands before it was done")
    try:
        return dict(ret, comment=__salt__["site_galera_cluster.healthy"](hosts, wait))
    except CommandExecutionError as error:
        return dict(ret, result=False, comment=str(error))


def cluster_current(name, hosts, files):
    """
    On the master: every node runs with its configuration; those that do not are
    started again, one after the other.

    name
        Says what it is, for the log.

    hosts, files
        As in ``site_galera_cluster.renew``.

    .. code-block:: yaml

        every database runs with its configuration:
          site_galera.cluster_current:
            - hosts: [db1.staging.wpd.internal, db2.staging.wpd.internal]
            - files: [/etc/mysql/mariadb.conf.d/70-saltworks.cnf]
    """
    ret = {"name": name, "result": True, "changes": {}}
    try:
        late = __salt__["site_galera_cluster.outdated"](hosts, files)
        if not late:
            return dict(ret, comment="every node runs with its configuration")
        if __opts__["test"]:
            return dict(ret, result=None, changes=late, comment="these would be started again")
        steps = __salt__["site_galera_cluster.renew"](hosts, files)
    except CommandExecutionError as error:
        return dict(ret, result=False, comment=str(error))
    return dict(ret, changes={name: steps}, comment="they were started again, one by one")
