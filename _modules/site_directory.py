"""
The directory of people: what is in it, and what should be.

Works as root of the host over slapd's local socket, as which no password is
needed. Whatever may be secret goes to the tools by standard input.
"""

import base64
import time
from pathlib import Path

from salt.exceptions import CommandExecutionError

SOCKET = "ldapi:///"
AS_ROOT = ["-Q", "-Y", "EXTERNAL", "-H", SOCKET]
NOBODY = "cn=nobody"
LOCKED = "000001010000Z"
NO_SUCH_OBJECT = 32
_DURATIONS = {
    "pwdMinLength": "min_length",
    "pwdInHistory": "history",
    "pwdMaxFailure": "max_failures",
    "pwdFailureCountInterval": "count_seconds",
    "pwdLockoutDuration": "lock_seconds",
}


def base_dn(domain):
    """
    The name of the directory's top entry.

    domain
        The site's public domain.

    CLI Example:

    .. code-block:: bash

        salt-call site_directory.base_dn example.org
    """
    return ",".join(f"dc={part}" for part in domain.split("."))


def escaped(value):
    """
    A value as it may stand in a name (RFC 4514).

    value
        Any text.

    CLI Example:

    .. code-block:: bash

        salt-call site_directory.escaped 'Lovelace, Ada'
    """
    out = "".join("\\" + letter if letter in '\\,+"<>;=' else letter for letter in value)
    out = out.replace("\0", "\\00")
    if out[:1] in (" ", "#"):
        out = "\\" + out
    if out.endswith(" ") and len(value) > 1:
        out = out[:-1] + "\\ "
    return out


def entries(domain, slapd):
    """
    What must be in the directory.

    domain
        The site's public domain.

    slapd
        The pillar key of that name with its defaults; secrets are not needed.

    Returns a list in the order in which entries can be made:
    ``{"dn", "attributes": {name: [values]}, "once": bool, "secret": name or None}``.
    ``once`` means made when missing and never touched again.

    Raises CommandExecutionError where a person is in a group that is not there.

    CLI Example:

    .. code-block:: bash

        salt-call site_directory.entries example.org '{policies: {}, groups: {}, …}'
    """
    base = base_dn(domain)

    def entry(dn, once=False, secret=None, **attributes):
        named = {
            key: value if isinstance(value, list) else [value] for key, value in attributes.items()
        }
        return {"dn": dn, "attributes": named, "once": once, "secret": secret}

    unit = ["top", "organizationalUnit"]
    found = [
        entry(
            base, objectClass=["top", "dcObject", "organization"], dc=domain.split(".")[0], o=domain
        )
    ]
    found += [
        entry(f"ou={name},{base}", objectClass=unit, ou=name)
        for name in ("policies", "services", "people", "groups")
    ]
    for name, policy in sorted(slapd["policies"].items()):
        found.append(
            entry(
                f"cn={name},ou=policies,{base}",
                objectClass=["top", "device", "pwdPolicy"],
                cn=name,
                pwdAttribute="userPassword",
                # 2: a password whose length cannot be seen is refused, too.
                pwdCheckQuality="2",
                pwdLockout="TRUE",
                pwdMustChange="TRUE",
                **{key: str(policy[option]) for key, option in _DURATIONS.items()},
            )
        )
    found += [
        entry(
            f"cn={name},ou=services,{base}",
            secret=name,
            objectClass=["top", "organizationalRole", "simpleSecurityObject"],
            cn=name,
        )
        for name in slapd["services"]
    ]
    members = {name: [] for name in slapd["groups"]}
    for uid, person in sorted(slapd["people"].items()):
        dn = person_dn(uid, domain)
        for group in person.get("groups", []):
            if group not in members:
                raise CommandExecutionError(
                    f"slapd:people:{uid} is in the group '{group}', which is not in slapd:groups"
                )
            members[group].append(dn)
        found.append(
            entry(
                dn,
                once=True,
                secret=f"person-{uid}",
                **person_attributes(
                    uid,
                    person["given_name"],
                    person["surname"],
                    person.get("mail", f"{uid}@{domain}"),
                ),
            )
        )
    found += [
        entry(
            f"cn={name},ou=groups,{base}",
            once=True,
            objectClass=["top", "groupOfNames"],
            cn=name,
            description=(slapd["groups"][name] or {}).get("description", name),
            member=[f"{NOBODY},{base}", *members[name]],
        )
        for name in sorted(members)
    ]
    return found


def person_dn(uid, domain):
    """
    The name of a person's entry.

    uid
        What the person signs in with.

    domain
        The site's public domain.

    CLI Example:

    .. code-block:: bash

        salt-call site_directory.person_dn ada example.org
    """
    return f"uid={escaped(uid)},ou=people,{base_dn(domain)}"


def person_attributes(uid, given_name, surname, mail):
    """
    The attributes of a person's entry.

    uid, given_name, surname, mail
        What they say.

    CLI Example:

    .. code-block:: bash

        salt-call site_directory.person_attributes ada Ada Lovelace ada@example.org
    """
    return {
        "objectClass": ["top", "person", "organizationalPerson", "inetOrgPerson"],
        "uid": [uid],
        "cn": [f"{given_name} {surname}"],
        "givenName": [given_name],
        "sn": [surname],
        "mail": [mail],
    }


def read(dn):
    """
    One entry with all its attributes.

    dn
        Its name.

    Returns ``{attribute: [values]}``, or None where there is no such entry.

    Raises CommandExecutionError where the directory does not answer.

    CLI Example:

    .. code-block:: bash

        salt-call site_directory.read ou=people,dc=example,dc=org
    """
    command = ["ldapsearch", *AS_ROOT, "-LLL", "-o", "ldif-wrap=no", "-s", "base", "-b", dn]
    done = _tool([*command, "(objectClass=*)", "*", "+"], allowed=(0, NO_SUCH_OBJECT))
    if done["retcode"] == NO_SUCH_OBJECT:
        return None
    found = {}
    for line in done["stdout"].splitlines():
        name, separator, value = line.partition(":")
        if not separator or line.startswith("#"):
            continue
        if value.startswith(":"):
            value = base64.b64decode(value[1:].strip()).decode(errors="replace")
        found.setdefault(name, []).append(value.strip())
    found.pop("dn", None)
    return found


def plan(domain, slapd, passwords, wait=0, founds=True):
    """
    What must be done so that the directory holds what it must.

    domain, slapd
        As in :py:func:`entries`.

    passwords
        Folder with a file for each secret.

    wait
        Seconds to wait until another host has sent its copy, before this one
        takes the directory for empty.

    founds
        Whether this host may begin an empty directory.

    Returns ``[(what is done, LDIF), …]``, empty when all is as it must be.

    CLI Example:

    .. code-block:: bash

        salt-call site_directory.plan example.org '{…}' /etc/ldap/secrets
    """
    base = base_dn(domain)
    until = time.monotonic() + wait
    while read(base) is None:
        if time.monotonic() >= until:
            if not founds:
                raise CommandExecutionError(
                    f"the directory {base} is empty here and no other host has sent its copy. "
                    "Remedy: see that slapd runs on the other hosts of the role, then again"
                )
            break
        time.sleep(1)
    steps = []
    for entry in entries(domain, slapd):
        steps += _steps(entry, read(entry["dn"]), Path(passwords))
    return steps + _policy_steps(domain, slapd)


def _steps(entry, found, passwords):
    """What must be done to one entry, of which this was found."""
    dn, attributes = entry["dn"], entry["attributes"]
    if found is None:
        given = dict(attributes)
        if entry["secret"]:
            given["userPassword"] = [(passwords / entry["secret"]).read_text(encoding="utf-8")]
        return [(f"{dn}: made", ldif(dn, "add", given))]
    if entry["once"]:
        return []
    steps = []
    different = {
        name: values
        for name, values in attributes.items()
        if sorted(found.get(name, [])) != sorted(values)
    }
    if different:
        said = f"{dn}: {', '.join(sorted(different))} set"
        steps.append((said, ldif(dn, "modify", different)))
    if entry["secret"] and not _opens(dn, passwords / entry["secret"]):
        given = {"userPassword": [(passwords / entry["secret"]).read_text(encoding="utf-8")]}
        steps.append((f"{dn}: password set", ldif(dn, "modify", given)))
    return steps


def _policy_steps(domain, slapd):
    """Who is in a privileged group and not under its policy."""
    steps, seen = [], set()
    for name, group in sorted(slapd["groups"].items()):
        if not (group or {}).get("privileged"):
            continue
        held = read(f"cn={name},ou=groups,{base_dn(domain)}") or {}
        members = held.get("member") or [
            person_dn(uid, domain)
            for uid, person in slapd["people"].items()
            if name in person.get("groups", [])
        ]
        for dn in sorted(set(members) - seen):
            seen.add(dn)
            if dn.startswith(NOBODY):
                continue
            person = read(dn)
            # A person of the pillar who is not there yet is made by an earlier step.
            if person is None and held:
                continue
            if (person or {}).get("pwdPolicySubentry") != [_privileged(domain)]:
                steps.append((f"{dn}: the privileged policy", _under_policy(dn, domain)))
    return steps


def _privileged(domain):
    return f"cn=privileged,ou=policies,{base_dn(domain)}"


def _under_policy(dn, domain):
    return ldif(dn, "modify", {"pwdPolicySubentry": [_privileged(domain)]})


def _opens(dn, secret):
    """Whether the password in a file is that of an entry."""
    command = ["ldapwhoami", "-x", "-H", SOCKET, "-D", dn, "-y", str(secret)]
    return _tool(command, allowed=(0, 49))["retcode"] == 0


def ldif(dn, change, attributes):
    """
    One change in the form that the tools take; each value in base64.

    dn
        Name of the entry.

    change
        ``add``, ``modify`` (values are replaced; an empty list removes the
        attribute) or ``delete``.

    attributes
        ``{name: [values]}``.

    CLI Example:

    .. code-block:: bash

        salt-call site_directory.ldif cn=a,dc=org delete '{}'
    """

    def line(name, value):
        return f"{name}:: {base64.b64encode(value.encode()).decode()}"

    lines = [line("dn", dn), f"changetype: {change}"]
    for name, values in attributes.items():
        if change == "modify":
            lines.append(f"replace: {name}")
        lines += [line(name, value) for value in values]
        if change == "modify":
            lines.append("-")
    return "\n".join(lines) + "\n\n"


def run(steps):
    """
    Do what :py:func:`plan` says.

    steps
        ``[(what is done, LDIF), …]``.

    CLI Example:

    .. code-block:: bash

        salt-call site_directory.run '[]'
    """
    for _, change in steps:
        _tool(["ldapmodify", *AS_ROOT], stdin=change)


def _tool(command, stdin=None, allowed=(0,)):
    done = __salt__["cmd.run_all"](
        command,
        stdin=stdin,
        python_shell=False,
        output_loglevel="quiet",
        ignore_retcode=True,
    )
    if done["retcode"] not in allowed:
        said = (done["stderr"] or done["stdout"]).strip()
        raise CommandExecutionError(f"{command[0]} failed ({done['retcode']}): {said}")
    return done


# --- for operators ------------------------------------------------------------


def _domain():
    return __pillar__["site"]["domain"]


def _existing(uid):
    dn = person_dn(uid, _domain())
    found = read(dn)
    if found is None:
        raise CommandExecutionError(f"there is nobody with the name '{uid}'")
    return dn, found


def _end_sessions(uid):
    """What a session may do was read when it began."""
    __salt__["site_lemonldap.end_sessions"](uid)


def person_add(uid, given_name, surname, mail):
    """
    Make a person, without a password: the person sets one by "Reset my password".

    uid, given_name, surname, mail
        What they say.

    CLI Example:

    .. code-block:: bash

        salt 'accounts1.*' site_directory.person_add ada Ada Lovelace ada@example.org
    """
    dn = person_dn(uid, _domain())
    run([(dn, ldif(dn, "add", person_attributes(uid, given_name, surname, mail)))])
    return f"{dn}: made"


def person_lock(uid):
    """
    Let a person not sign in any more, until :py:func:`person_unlock`; end the sessions.

    uid
        The name that the person signs in with.

    CLI Example:

    .. code-block:: bash

        salt 'accounts1.*' site_directory.person_lock ada
    """
    dn, _ = _existing(uid)
    run([(dn, ldif(dn, "modify", {"pwdAccountLockedTime": [LOCKED]}))])
    _end_sessions(uid)
    return f"{dn}: locked"


def person_unlock(uid):
    """
    Let a person sign in again: after a lock, or after too many wrong passwords.

    uid
        The name that the person signs in with.

    CLI Example:

    .. code-block:: bash

        salt 'accounts1.*' site_directory.person_unlock ada
    """
    dn, found = _existing(uid)
    held = {name: [] for name in ("pwdAccountLockedTime", "pwdFailureTime") if name in found}
    if held:
        run([(dn, ldif(dn, "modify", held))])
    return f"{dn}: may sign in"


def person_remove(uid):
    """
    Remove a person, from every group, too; end the sessions.

    uid
        The name that the person signs in with.

    CLI Example:

    .. code-block:: bash

        salt 'accounts1.*' site_directory.person_remove ada
    """
    dn, _ = _existing(uid)
    run([(dn, ldif(dn, "delete", {}))])
    _end_sessions(uid)
    return f"{dn}: removed"


def groups():
    """
    The groups and who is in them.

    Returns ``{group: [uid, …]}``.

    CLI Example:

    .. code-block:: bash

        salt 'accounts1.*' site_directory.groups
    """
    found = {}
    for name in sorted(__pillar__.get("slapd", {}).get("groups", {})):
        held = read(f"cn={name},ou=groups,{base_dn(_domain())}") or {}
        members = [dn.partition(",")[0].partition("=") for dn in held.get("member", [])]
        found[name] = sorted(value for attribute, _, value in members if attribute == "uid")
    return found


def group_set(uid, group, member=True):
    """
    Put a person into a group, or take the person out of it; end the person's sessions.

    Who comes into a privileged group falls under its policy from the next
    password on, and must choose one when signing in next.

    uid
        The name that the person signs in with.

    group
        Name of the group, as in pillar ``slapd:groups``.

    member
        False takes the person out.

    CLI Example:

    .. code-block:: bash

        salt 'accounts1.*' site_directory.group_set ada operators
    """
    known = __pillar__.get("slapd", {}).get("groups", {})
    if group not in known:
        raise CommandExecutionError(
            f"no such group '{group}'; there are: {', '.join(sorted(known))}"
        )
    dn, _ = _existing(uid)
    at = f"cn={group},ou=groups,{base_dn(_domain())}"
    members = (read(at) or {}).get("member", [])
    wanted = [other for other in members if other != dn] + ([dn] if member else [])
    steps = []
    if wanted != members:
        steps.append((at, ldif(at, "modify", {"member": wanted})))
        if member and (known[group] or {}).get("privileged"):
            given = {"pwdPolicySubentry": [_privileged(_domain())], "pwdReset": ["TRUE"]}
            steps.append((dn, ldif(dn, "modify", given)))
    run(steps)
    if steps:
        _end_sessions(uid)
    return f"{dn}: {'in' if member else 'not in'} {group}"
