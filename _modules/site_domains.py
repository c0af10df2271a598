"""
Further domains of a level, as data (``pillar/domains.yaml``): each serves a static
site, or leads somewhere, and has a certificate of its own. The master makes those, a
file for each domain with key and certificate; frontends hold them.
"""

import datetime
import grp
import os
import re
import stat
from pathlib import Path

from salt.exceptions import CommandExecutionError

LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
# Not longer than nginx keeps in its table of names.
NAME = re.compile(rf"(?=.{{4,100}}$)({LABEL}\.)+[a-z]([a-z0-9-]{{0,61}}[a-z0-9])")
TO = re.compile(r"(https://[a-z0-9.-]+|[a-z0-9-]+)/[A-Za-z0-9_/.:~%-]*")
STATUS = (301, 302, 307, 308)
KEYS = {"site", "to", "path", "status"}
HELD = 0o640


def problems(table, own, others, static, sites, redirects):
    """
    What is wrong with the domains of a level, as sentences with their cure. Pure.

    table
        ``{name: {"site"}}`` or ``{name: {"to", "path", "status"}}``.

    own
        The level's public domain.

    others
        Domains that have no business here: those of other levels, that of host ids.

    static, sites
        Names of the static sites, and of those that apps make.

    redirects
        ``pillar/redirects.yaml``: what leads on is no end of a redirect.

    CLI Example:

    .. code-block:: bash

        salt-call site_domains.problems '{old.test: {to: docs/}}' example.org [] [www] [docs] {}
    """
    found = []
    for name, entry in sorted(table.items()):
        said = [*_name(name, own, others)]
        if not isinstance(entry, dict) or ("site" in entry) == ("to" in entry):
            said.append("say either `site` or `to`")
        elif set(entry) - KEYS:
            said.append(
                f"unknown: {', '.join(sorted(set(entry) - KEYS))}; known: site, to, path, status"
            )
        elif "site" in entry:
            said += _site(entry, static, sites)
        else:
            said += _to(name, entry, table, own, [*static, *sites], redirects)
        found += [f"domain '{name}': {sentence}" for sentence in said]
    return found


def _name(name, own, others):
    if not isinstance(name, str) or not NAME.fullmatch(name):
        yield (
            "is no domain name. Small letters, digits, hyphens and at least one dot, at most "
            "100 characters; others in their xn-- form"
        )
    elif _below(name, own):
        yield (
            f"belongs to the level's own {own}. Its sites stand in pillar/sites.yaml and "
            "static-sites.yaml"
        )
    else:
        for other in others:
            if _below(name, other):
                yield f"belongs to {other}, which is not of this level. Remove it here"


def _site(entry, static, sites):
    site = entry["site"]
    if set(entry) != {"site"}:
        yield "`path` and `status` go with `to` alone"
    if site in sites:
        yield (f"'{site}' is made by an app, which has one address only. Lead there: `to: {site}/`")
    elif site not in static:
        yield f"there is no static site '{site}'. Known: {', '.join(sorted(static))}"


def _to(name, entry, table, own, known, redirects):
    to = str(entry["to"])
    if entry.get("status", 301) not in STATUS:
        yield f"status {entry['status']}. Known: {', '.join(map(str, STATUS))}"
    if not isinstance(entry.get("path", True), bool):
        yield "`path` is true or false"
    if not TO.fullmatch(to):
        yield f"leads to '{to}'. Say <site>/<path> or https://<host>/<path>"
        return
    host, _, path = to.removeprefix("https://").partition("/")
    if to.startswith("https://"):
        if _below(host, own):
            yield f"leads to {host} by its whole name. Say <site>/{path}"
        elif host == name:
            yield "leads to itself"
        elif "to" in (table.get(host) or {}):
            yield f"leads to {host}, which leads on. Say where that leads: {table[host]['to']}"
    elif host not in known:
        yield f"leads to the unknown site '{host}'. Known: {', '.join(sorted(known))}"
    else:
        for row in redirects.get(host, []):
            if f"/{path}" == row["path"] or (
                row.get("prefix") and f"/{path}".startswith(f"{row['path']}/")
            ):
                yield f"leads to {to}, which leads on. Say where that leads: {row['to']}"


def _below(name, domain):
    return name == domain or name.endswith(f".{domain}")


def rows(table, own, static, sites, redirects):
    """
    The domains of a level as the web server needs them, sorted by name. Pure.

    table, own, static, sites, redirects
        As in :py:func:`problems`.

    Returns ``[{"name", "site", "to", "path", "status"}, …]``: either ``site``, or
    ``to``, a whole address, without a slash at its end where the path is kept.
    Raises CommandExecutionError with every problem where there is one.

    CLI Example:

    .. code-block:: bash

        salt-call site_domains.rows '{old.test: {to: docs/}}' example.org [www] [docs] {}
    """
    found = problems(table, own, [], static, sites, redirects)
    if found:
        raise CommandExecutionError(
            "pillar/domains.yaml: " + ". ".join(found) + ". Nothing of it was made"
        )
    made = []
    for name, entry in sorted(table.items()):
        keep = entry.get("path", True)
        to = entry.get("to")
        if to:
            to = __salt__["site_redirects.address"](to, own)
            to = to.rstrip("/") if keep else to
        made.append(
            {
                "name": name,
                "site": entry.get("site"),
                "to": to,
                "path": keep,
                "status": entry.get("status", 301),
            }
        )
    return made


# -- certificates, on the master ----------------------------------------------------


def certificates_due(folder, names, authority, days_remaining):
    """
    What has to be made, or removed, in a host's folder of certificates.

    folder
        One file ``<domain>.pem`` for each domain, key and certificate.

    names
        The domains.

    authority
        The folder with ``ca.crt`` and ``ca.key``.

    days_remaining
        A certificate with fewer days left is made anew. One that another authority
        made stays as it is, if it is for that domain: whoever put it there renews it.

    Returns ``{"make": {name: reason}, "remove": [file name]}``. Raises
    CommandExecutionError where a name is none, or the authority cannot be read.

    CLI Example:

    .. code-block:: bash

        salt-call site_domains.certificates_due /tmp/certificates '[]' /var/lib/saltworks/ca 60
    """
    from cryptography import x509

    wrong = [name for name in names if not NAME.fullmatch(name)]
    if wrong:
        raise CommandExecutionError(f"no domain names: {', '.join(map(repr, wrong))}")
    ca = x509.load_pem_x509_certificate(_read(Path(authority) / "ca.crt"))
    make = {}
    for name in sorted(names):
        reason = _due(Path(folder) / f"{name}.pem", name, ca, days_remaining)
        if reason:
            make[name] = reason
    return {"make": make, "remove": _surplus(folder, names)}


def _read(path):
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CommandExecutionError(f"the level's authority: {error}") from error


def _surplus(folder, names):
    """Files of a folder that are of none of these domains."""
    wanted = {f"{name}.pem" for name in names}
    if not Path(folder).is_dir():
        return []
    return sorted(path.name for path in Path(folder).iterdir() if path.name not in wanted)


def _due(path, name, ca, days_remaining):
    """Why the certificate of a domain has to be made; None where it is well."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        text = path.read_bytes()
        held = x509.load_pem_x509_certificate(text)
        names = held.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        fits = load_pem_private_key(text, None).public_key() == held.public_key()
    except FileNotFoundError:
        return "there is none"
    except (OSError, ValueError, TypeError, x509.ExtensionNotFound):
        return "it cannot be read"
    wildcard = f"*.{name.partition('.')[2]}"
    left = (held.not_valid_after_utc - datetime.datetime.now(datetime.UTC)).days
    reason = None
    if not {name, wildcard} & set(names.get_values_for_type(x509.DNSName)):
        reason = "it is for another name"
    elif not fits:
        reason = "its key is another's"
    elif held.issuer == ca.subject:
        reason = f"{left} days are left" if left < days_remaining else None
        try:
            held.verify_directly_issued_by(ca)
        except InvalidSignature:
            reason = "the authority is a new one"
    return reason


def certificates_make(folder, due, authority, organisation, days_valid):
    """
    Carry out what :py:func:`certificates_due` found, domain by domain.

    folder, due, authority
        As there; ``due`` is its answer.

    organisation
        Stands in the certificates, beside the name.

    days_valid
        How long they are good.

    Returns ``{name: sentence}`` of those that failed; they hurt no other.

    CLI Example:

    .. code-block:: bash

        salt-call site_domains.certificates_make /tmp/held '{make: {}, remove: []}' /tmp/ca Me 365
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    ca = x509.load_pem_x509_certificate(_read(Path(authority) / "ca.crt"))
    ca_key = load_pem_private_key(_read(Path(authority) / "ca.key"), None)
    failed = {}
    for name in due["make"]:
        try:
            text = _made(name, ca, ca_key, organisation, days_valid)
            _put(Path(folder) / f"{name}.pem", text, 0o600)
        except OSError as error:
            failed[name] = str(error)
    for name in due["remove"]:
        _remove(Path(folder) / name, failed)
    return failed


def _made(name, ca, ca_key, organisation, days_valid):
    """A new key and its certificate, as text."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    # A clock that is a little behind takes it, too.
    begin = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=10)
    usage = dict.fromkeys(
        ["content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
         "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"], False,
    )  # fmt: skip
    builder = (
        x509.CertificateBuilder()
        .subject_name(
            x509.Name(
                [
                    x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
                    # As long as this field may be; what counts is the name below.
                    x509.NameAttribute(NameOID.COMMON_NAME, name[:64]),
                ]
            )
        )
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=days_valid))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, **usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            ),
            critical=False,
        )
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return (private + builder.sign(ca_key, hashes.SHA256()).public_bytes(Encoding.PEM)).decode()


def _put(path, text, mode, gid=-1):
    """Write a file at once, never half: a handshake may read it now."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        os.fchown(file.fileno(), -1, gid)
        os.fchmod(file.fileno(), mode)
    new.replace(path)


def _remove(path, failed):
    try:
        path.unlink()
    except OSError as error:
        failed[path.name] = str(error)


# -- certificates, on a frontend ----------------------------------------------------


def certificates_lacking(folder, names, given, group):
    """
    How a folder of certificates differs from what the master gave.

    folder
        One file ``<domain>.pem`` for each domain.

    names
        The domains.

    given
        ``{"<domain>.pem": text}``.

    group
        Who may read them, besides root.

    Returns ``{"write": [name], "remove": [file name], "missing": [name]}``; missing
    are those that the master did not give.

    CLI Example:

    .. code-block:: bash

        salt-call site_domains.certificates_lacking /etc/ssl/site/domains '[]' '{}' www-data
    """
    gid = grp.getgrnam(group).gr_gid
    found = {"write": [], "missing": [], "remove": _surplus(folder, names)}
    for name in sorted(names):
        text = given.get(f"{name}.pem")
        if not text:
            found["missing"].append(name)
        elif not _is(Path(folder) / f"{name}.pem", text, gid):
            found["write"].append(name)
    return found


def _is(path, text, gid):
    try:
        there = path.lstat()
        return (
            stat.S_ISREG(there.st_mode)
            and (stat.S_IMODE(there.st_mode), there.st_gid) == (HELD, gid)
            and path.read_text(encoding="ascii") == text
        )
    except (OSError, UnicodeDecodeError):
        return False


def certificates_hold(folder, lacking, given, group):
    """
    Carry out what :py:func:`certificates_lacking` found, domain by domain.

    folder, lacking, given, group
        As there; ``lacking`` is its answer.

    Returns ``{name: sentence}`` of those that failed; they hurt no other.

    CLI Example:

    .. code-block:: bash

        salt-call site_domains.certificates_hold /tmp/held '{write: [], remove: []}' '{}' www-data
    """
    gid = grp.getgrnam(group).gr_gid
    failed = {}
    for name in lacking["write"]:
        try:
            _put(Path(folder) / f"{name}.pem", given[f"{name}.pem"], HELD, gid)
        except OSError as error:
            failed[name] = str(error)
    for name in lacking["remove"]:
        _remove(Path(folder) / name, failed)
    return failed
