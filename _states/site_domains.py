"""
Certificates of further domains: made on the master, held by frontends. All questions
and decisions are those of the execution module of the same name.
"""

from salt.exceptions import CommandExecutionError

ASK = "Remedy: on the master `salt-run state.orchestrate orch.up`"


def certificates_made(name, domains, authority, organisation, days_valid, days_remaining):
    """
    Each domain has a certificate that is good for long enough, and no other has one.

    name
        The folder; it must be there.

    domains, authority, organisation, days_valid, days_remaining
        As in ``site_domains.certificates_due`` and ``certificates_make``.

    .. code-block:: yaml

        ca-frontend1-domains:
          site_domains.certificates_made:
            - name: /var/lib/saltworks/pki/hosts/<id>/domains/secrets
            - domains: [old.test]
            - authority: /var/lib/saltworks/ca
            - organisation: Example
            - days_valid: 365
            - days_remaining: 60
    """
    ret = _well(name, domains)
    try:
        due = __salt__["site_domains.certificates_due"](name, domains, authority, days_remaining)
    except CommandExecutionError as error:
        if __opts__["test"]:
            return dict(ret, result=None, comment=f"Asks once there is an authority: {error}")
        return dict(ret, result=False, comment=str(error))
    changes = {**due["make"], **dict.fromkeys(due["remove"], "removed")}
    if not changes:
        return ret
    if __opts__["test"]:
        return dict(ret, result=None, changes=changes, comment="Certificates would be made")
    try:
        failed = __salt__["site_domains.certificates_make"](
            name, due, authority, organisation, days_valid
        )
    except CommandExecutionError as error:
        return dict(ret, result=False, comment=str(error))
    return _done(ret, changes, failed)


def certificates_held(name, domains, group):
    """
    This host holds a certificate for each domain, and for no other.

    Key and certificate are pillar ``domains:secrets``, which is read here: in an
    argument they would stand in the compiled states.

    name
        The folder; it must be there.

    domains
        Their names. One without a certificate fails the state when the others are
        in their place.

    group
        Who may read them, besides root.

    .. code-block:: yaml

        domains-certificates:
          site_domains.certificates_held:
            - name: /etc/ssl/site/domains
            - domains: [old.test]
            - group: www-data
    """
    ret = _well(name, domains)
    given = __pillar__.get("domains", {}).get("secrets", {})
    try:
        lacking = __salt__["site_domains.certificates_lacking"](name, domains, given, group)
    except KeyError as error:
        # The group comes with a package.
        return dict(ret, result=None if __opts__["test"] else False, comment=str(error))
    changes = {
        **dict.fromkeys(lacking["write"], "written"),
        **dict.fromkeys(lacking["remove"], "removed"),
    }
    failed = dict.fromkeys(lacking["missing"], "the master gave none")
    if __opts__["test"] and changes:
        return dict(ret, result=None, changes=changes, comment="Certificates would be written")
    if changes:
        failed.update(__salt__["site_domains.certificates_hold"](name, lacking, given, group))
    return _done(ret, changes, failed)


def _well(name, domains):
    comment = f"{len(domains)} domains have their certificate"
    return {"name": name, "result": True, "changes": {}, "comment": comment}


def _done(ret, changes, failed):
    done = {each: what for each, what in changes.items() if each not in failed}
    if not failed:
        return dict(ret, changes=done)
    said = ", ".join(f"{each}: {why}" for each, why in sorted(failed.items()))
    return dict(ret, changes=done, result=False, comment=f"without a certificate: {said}. {ASK}")
