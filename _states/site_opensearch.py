"""
An OpenSearch node is put together, well, and holds what pillar says. All questions
and decisions are those of the execution module of the same name.
"""

from salt.exceptions import CommandExecutionError


def assembled(name, parts, artifacts, texts):
    """
    An installation is there, of exactly these parts.

    name
        Its folder.

    parts, artifacts, texts
        As in ``site_opensearch.assemble``.

    .. code-block:: yaml

        opensearch-archive:
          site_opensearch.assembled:
            - name: /opt/opensearch
            - parts: [{file: opensearch.zip, into: "", strip: 1}]
            - artifacts: {opensearch.zip: {sha512: …}}
            - texts: {}
    """
    ret = {"name": name, "result": True, "changes": {}, "comment": f"{name} is complete"}
    try:
        if __salt__["site_opensearch.assembled"](name, parts, artifacts, texts):
            return ret
        changes = {name: [part["file"] for part in parts]}
        if __opts__["test"]:
            comment = f"{name} would be put together"
            return dict(ret, result=None, changes=changes, comment=comment)
        __salt__["site_opensearch.assemble"](name, parts, artifacts, texts)
    except CommandExecutionError as error:
        return dict(ret, result=False, comment=str(error))
    return dict(ret, changes=changes, comment=f"{name} was put together")


def ready(name, seconds=180):
    """
    The node answers, and lets its users in.

    name
        Says what it is, for the log.

    seconds
        How long that may take.

    .. code-block:: yaml

        opensearch-ready:
          site_opensearch.ready:
            - name: the node
            - seconds: 180
    """
    ret = {"name": name, "result": True, "changes": {}}
    if __opts__["test"]:
        return dict(ret, comment="only asked after what stands before it was done")
    try:
        now = __salt__["site_opensearch.wait"](seconds)
        __salt__["site_opensearch.settle"]()
    except CommandExecutionError as error:
        return dict(ret, result=False, comment=str(error))
    return dict(ret, comment=f"{now['status']}, {now['nodes']} nodes")


def _carried_out(name, what, planner, *arguments):
    """
    The result of a state.

    planner, arguments
        The function of the execution module that says what would be sent.
    """
    ret = {"name": name, "result": True, "changes": {}, "comment": f"{what} is as wanted"}
    try:
        plan = __salt__[planner](*arguments)
        if not plan:
            return ret
        changes = {name: [step[0] for step in plan]}
        if __opts__["test"]:
            return dict(ret, result=None, changes=changes, comment=f"{what} would be changed")
        __salt__["site_opensearch.run"](plan)
    except CommandExecutionError as error:
        return dict(ret, result=False, comment=str(error))
    return dict(ret, changes=changes, comment=f"{what} was changed")


def role_present(name, cluster=(), indices=()):
    """
    A role exists and may do this, and nothing else.

    name, cluster, indices
        As in ``site_opensearch.role_plan``.

    .. code-block:: yaml

        opensearch-role-search:
          site_opensearch.role_present:
            - name: search
            - cluster: []
            - indices: [{patterns: [wiki-*], actions: [read]}]
    """
    arguments = (name, list(cluster), list(indices))
    return _carried_out(name, f"the role {name}", "site_opensearch.role_plan", *arguments)


def user_present(name, password_hash, roles):
    """
    A user exists, with this password and these roles alone.

    name, password_hash, roles
        As in ``site_opensearch.user_plan``.

    .. code-block:: yaml

        opensearch-user-wiki:
          site_opensearch.user_present:
            - name: wiki
            - password_hash: $2b$10$…
            - roles: [wiki]
    """
    arguments = (name, password_hash, roles)
    return _carried_out(name, f"the user {name}", "site_opensearch.user_plan", *arguments)


def user_absent(name):
    """
    No such user exists.

    name
        Of the user.

    .. code-block:: yaml

        opensearch-user-former:
          site_opensearch.user_absent:
            - name: former
    """
    return _carried_out(name, f"the user {name}", "site_opensearch.user_removal_plan", name)


def template_present(name, patterns, template):
    """
    Indexes whose names fit are made so from now on.

    name, patterns, template
        As in ``site_opensearch.template_plan``.

    .. code-block:: yaml

        opensearch-template-wiki:
          site_opensearch.template_present:
            - name: wiki
            - patterns: [wiki-*]
            - template: {settings: {}, mappings: {}}
    """
    arguments = (name, patterns, template)
    return _carried_out(name, f"the template {name}", "site_opensearch.template_plan", *arguments)


def index_present(name):
    """
    An alias leads to an index.

    name
        The alias.

    .. code-block:: yaml

        opensearch-index-wiki:
          site_opensearch.index_present:
            - name: wiki
    """
    return _carried_out(name, f"the index {name}", "site_opensearch.index_plan", name)


def repository_present(name, kind, settings):
    """
    Snapshots can be kept there.

    name, kind, settings
        As in ``site_opensearch.repository_plan``.

    .. code-block:: yaml

        opensearch-snapshots:
          site_opensearch.repository_present:
            - name: local
            - kind: fs
            - settings: {location: /var/lib/opensearch-snapshots}
    """
    arguments = (name, kind, settings)
    return _carried_out(
        name, f"the repository {name}", "site_opensearch.repository_plan", *arguments
    )


def cluster_founded(name, hosts):
    """
    On the master: where no host has ever been in a cluster, the first may found one.

    name
        Says what it is, for the log.

    hosts
        The ids of all its hosts.

    .. code-block:: yaml

        the first search node may found a cluster where there never was one:
          site_opensearch.cluster_founded:
            - hosts: [elastic1.staging.wpd.internal, elastic2.staging.wpd.internal]
    """
    ret = {"name": name, "result": True, "changes": {}}
    try:
        founder = __salt__["site_opensearch_cluster.founder"](hosts)
        if not founder:
            return dict(ret, comment="there is a cluster, or was")
        if __opts__["test"]:
            return dict(ret, result=None, changes={name: founder}, comment="it would be founded")
        __salt__["site_opensearch_cluster.found"](founder)
    except CommandExecutionError as error:
        return dict(ret, result=False, comment=str(error))
    return dict(ret, changes={name: founder}, comment=f"{founder} may found it")


def cluster_current(name, hosts, files):
    """
    On the master: every node runs with its configuration; those that do not are
    started again, one after the other, each only while the cluster is whole.

    name
        Says what it is, for the log.

    hosts, files
        As in ``site_opensearch_cluster.renew``.

    .. code-block:: yaml

        every search node runs with its configuration:
          site_opensearch.cluster_current:
            - hosts: [elastic1.staging.wpd.internal, elastic2.staging.wpd.internal]
            - files: [/etc/opensearch/opensearch.yml]
    """
    ret = {"name": name, "result": True, "changes": {}}
    try:
        late = __salt__["site_opensearch_cluster.outdated"](hosts, files)
        if not late:
            return dict(ret, comment="every node runs with its configuration")
        if __opts__["test"]:
            return dict(ret, result=None, changes=late, comment="these would be started again")
        steps = __salt__["site_opensearch_cluster.renew"](hosts, files)
    except CommandExecutionError as error:
        return dict(ret, result=False, comment=str(error))
    return dict(ret, changes={name: steps}, comment="they were started again, one by one")
