"""
Accounts and databases of the MariaDB on this host, asked as root over its socket.

Salt's own states for MySQL know neither REQUIRE SSL nor a privilege that has to
go; :py:func:`missing` says both.
"""

import contextlib
import hashlib
import re

from salt.exceptions import CommandExecutionError

try:
    import pymysql
except ImportError:
    pymysql = None

SOCKET = "/run/mysqld/mysqld.sock"
SECONDS = 10
PASSWORD_LENGTH = 24

_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_WORD = re.compile(r"[a-z0-9_]+")
_PRIVILEGE = re.compile(r"[A-Z]+( [A-Z]+)*")
_GRANT = re.compile(r"GRANT (?P<what>.+) ON (?P<where>(?:`[^`]+`|\*)\.(?:`[^`]+`|\*)) TO ")
# By an older name, as SHOW GRANTS says it by the newer.
_RENAMED = {"REPLICATION CLIENT": "BINLOG MONITOR", "SUPER READ ONLY": "READ ONLY ADMIN"}


def __virtual__():
    if pymysql is None:
        return False, "site_mariadb: PyMySQL is not installed in Salt's Python"
    return True


def rows(statement, arguments=None):
    """
    Run one statement as root.

    statement
        SQL with ``%s`` where an argument stands.

    arguments
        The values.

    Returns the rows as a list of dictionaries.

    Raises CommandExecutionError with the server's words, without the statement.

    CLI Example:

    .. code-block:: bash

        salt-call site_mariadb.rows 'SHOW DATABASES'
    """
    try:
        with (
            contextlib.closing(
                pymysql.connect(
                    unix_socket=SOCKET,
                    user="root",
                    connect_timeout=SECONDS,
                    read_timeout=SECONDS,
                    write_timeout=SECONDS,
                    autocommit=True,
                    cursorclass=pymysql.cursors.DictCursor,
                )
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement, arguments)
            return list(cursor.fetchall())
    except (pymysql.Error, OSError) as error:
        raise CommandExecutionError(f"MariaDB: {error}") from error


def password_hash(password, name):
    """
    What MariaDB keeps of a password (mysql_native_password).

    password
        In clear, at least 24 characters: what is kept has no salt, which is safe
        for passwords too long to be guessed, and for no others.

    name
        Whose it is, for the message.

    Raises CommandExecutionError for a password missing or too short.

    CLI Example:

    .. code-block:: bash

        salt-call site_mariadb.password_hash sandbox-only-not-a-secret-at-all wiki
    """
    if not isinstance(password, str) or len(password) < PASSWORD_LENGTH:
        raise CommandExecutionError(
            f"mariadb user {name}: mariadb:secrets must hold a password of at least "
            f"{PASSWORD_LENGTH} characters"
        )
    # The algorithm is the protocol's, not a choice.
    inner = hashlib.sha1(password.encode()).digest()  # noqa: S324
    return "*" + hashlib.sha1(inner).hexdigest().upper()  # noqa: S324


def parse_grants(lines):
    """
    What SHOW GRANTS says, as data. Pure.

    lines
        Its rows as text.

    Returns ``{"wiki.*": ["INSERT", "SELECT"], …}``; ``USAGE``, which is nothing,
    is left out. ``GRANT OPTION`` counts as a privilege.

    Raises CommandExecutionError for a grant of another form: it would be judged
    wrongly.

    CLI Example:

    .. code-block:: bash

        salt-call site_mariadb.parse_grants '["GRANT SELECT ON `wiki`.* TO `wiki`@`%`"]'
    """
    found = {}
    for line in lines:
        match = _GRANT.match(line)
        if not match or "(" in match["what"]:
            raise CommandExecutionError(
                f"a grant that Saltworks does not know: {line.split(' IDENTIFIED ')[0]}. "
                "Remedy: revoke it by hand, or drop the user and apply again"
            )
        where = match["where"].replace("`", "").replace("\\_", "_")
        what = {word.strip() for word in match["what"].split(",")} - {"USAGE"}
        if line.rstrip().endswith("WITH GRANT OPTION"):
            what.add("GRANT OPTION")
        if what:
            found.setdefault(where, set()).update(what)
    return {where: sorted(what) for where, what in sorted(found.items())}


def checked(name, host, privileges):
    """
    A wanted account in the one form that is compared. Pure.

    name, host
        The account; the host is ``localhost``, ``%`` or an address with wildcards.

    privileges
        ``{"wiki.*": [privilege, …]}``; ``"*.*"`` is every database.

    Returns the privileges, in capitals, sorted, renamed ones by their new names.

    Raises CommandExecutionError for anything that would not be safe in a statement.

    CLI Example:

    .. code-block:: bash

        salt-call site_mariadb.checked wiki % '{"wiki.*": [select]}'
    """
    if not _NAME.fullmatch(name):
        raise CommandExecutionError(f"mariadb user {name!r}: a name is a to z, 0 to 9, _ and -")
    if not re.fullmatch(r"[a-z0-9.%]+", host):
        raise CommandExecutionError(f"mariadb user {name}: no such host {host!r}")
    wanted = {}
    for where, what in (privileges or {}).items():
        database, _, table = where.partition(".")
        if table != "*" or not (database == "*" or _WORD.fullmatch(database)):
            raise CommandExecutionError(
                f"mariadb user {name}: privileges are for <database>.* or *.*, not {where!r}"
            )
        names = {_RENAMED.get(word.upper(), word.upper()) for word in what}
        if not names or not all(_PRIVILEGE.fullmatch(word) for word in names):
            raise CommandExecutionError(f"mariadb user {name}: no such privileges: {what!r}")
        wanted[where] = sorted({"ALL PRIVILEGES" if word == "ALL" else word for word in names})
    return wanted


def _quoted(where):
    database = where.partition(".")[0]
    # An underscore is a wildcard in a grant.
    return "*.*" if database == "*" else "`" + database.replace("_", "\\_") + "`.*"


def _account(name, host):
    return f"'{name}'@'{host}'"


def _exists(name, host):
    return bool(rows("SELECT 1 FROM mysql.user WHERE user = %s AND host = %s", (name, host)))


def statements(name, host, wanted, found):
    """
    The statements that make an account what is wanted. Pure.

    name, host
        The account.

    wanted
        ``{"authentication": text after IDENTIFIED, "tls": bool, "privileges":
        what :py:func:`checked` returns}``.

    found
        The same of the account that is there, or None.

    Returns ``[(what changes, statement), …]``, empty where nothing does. The first
    of each pair may be shown; the second holds the hash.

    CLI Example:

    .. code-block:: bash

        salt-call site_mariadb.statements wiki % '{authentication: VIA unix_socket, tls: false, privileges: {}}' null
    """  # noqa: E501
    account = _account(name, host)
    required = "SSL" if wanted["tls"] else "NONE"
    definition = f"{account} IDENTIFIED {wanted['authentication']} REQUIRE {required}"
    plan = []
    if found is None:
        plan.append(("account: created", f"CREATE USER IF NOT EXISTS {definition}"))
        # Another node may have made it in the same moment.
        plan.append(("account: as wanted", f"ALTER USER {definition}"))
        found = {"privileges": {}}
    elif found["authentication"] != wanted["authentication"]:
        plan.append(("password: changed", f"ALTER USER {definition}"))
    elif found["tls"] != wanted["tls"]:
        plan.append((f"required: {required}", f"ALTER USER {definition}"))
    for where in sorted(set(wanted["privileges"]) | set(found["privileges"])):
        want = set(wanted["privileges"].get(where, ()))
        have = set(found["privileges"].get(where, ()))
        surplus = have - want
        if "ALL PRIVILEGES" in want:
            surplus &= {"GRANT OPTION"}
        for what in sorted(surplus):
            plan.append(
                (f"revoked on {where}: {what}", f"REVOKE {what} ON {_quoted(where)} FROM {account}")
            )
        if "ALL PRIVILEGES" in surplus:
            have = set()
        if want - have:
            what = ", ".join(sorted(want - have))
            plan.append(
                (f"granted on {where}: {what}", f"GRANT {what} ON {_quoted(where)} TO {account}")
            )
    return plan


def user(name, host):
    """
    An account as it is, in the form of :py:func:`statements`.

    Returns None where there is none.

    CLI Example:

    .. code-block:: bash

        salt-call site_mariadb.user wiki %
    """
    if not _exists(name, host):
        return None
    created = rows(f"SHOW CREATE USER {_account(name, host)}")[0]
    text = next(iter(created.values()))
    identified = re.search(
        r" IDENTIFIED (.*?)(?= REQUIRE | PASSWORD EXPIRE | ACCOUNT | WITH |$)", text
    )
    granted = rows(f"SHOW GRANTS FOR {_account(name, host)}")
    return {
        "authentication": identified.group(1) if identified else "",
        "tls": " REQUIRE SSL" in text,
        "privileges": parse_grants([next(iter(row.values())) for row in granted]),
    }


def user_plan(name, host, password_hash=None, unix_socket=False, tls=False, privileges=None):
    """
    What would change to make an account as it should be.

    name, host
        The account.

    password_hash
        What :py:func:`password_hash` returns.

    unix_socket
        The account is the local system user of that name, without a password.

    tls
        Connections without TLS are refused.

    privileges
        ``{"wiki.*": [privilege, …]}``, and no others.

    Returns what :py:func:`statements` does.

    Raises CommandExecutionError without exactly one way to log in.

    CLI Example:

    .. code-block:: bash

        salt-call site_mariadb.user_plan galera-health localhost unix_socket=True
    """
    if bool(password_hash) == bool(unix_socket):
        raise CommandExecutionError(
            f"mariadb user {name}: either a password's hash or unix_socket, one of them"
        )
    if password_hash and not re.fullmatch(r"\*[0-9A-F]{40}", password_hash):
        raise CommandExecutionError(f"mariadb user {name}: that is no hash of a password")
    authentication = "VIA unix_socket" if unix_socket else f"BY PASSWORD '{password_hash}'"
    wanted = {
        "authentication": authentication,
        "tls": tls,
        "privileges": checked(name, host, privileges),
    }
    return statements(name, host, wanted, user(name, host))


def run(plan):
    """
    Run the statements of a plan in order.

    plan
        What :py:func:`statements` returns.

    CLI Example:

    .. code-block:: bash

        salt-call site_mariadb.run '[["database: created", "CREATE DATABASE wiki"]]'
    """
    for _, statement in plan:
        rows(statement.replace("%", "%%"), ())


def removal_plan(name, host):
    """
    What would change to have no such account.

    CLI Example:

    .. code-block:: bash

        salt-call site_mariadb.removal_plan former %
    """
    checked(name, host, {})
    if not _exists(name, host):
        return []
    return [("account: removed", f"DROP USER IF EXISTS {_account(name, host)}")]


def database_plan(name, character_set, collation):
    """
    What would change to have a database with that text.

    name
        a to z, 0 to 9 and _.

    character_set, collation
        As MariaDB names them, e.g. ``utf8mb4`` and ``utf8mb4_bin``. Tables that
        are there keep theirs.

    CLI Example:

    .. code-block:: bash

        salt-call site_mariadb.database_plan wiki utf8mb4 utf8mb4_bin
    """
    for word in (name, character_set, collation):
        if not _WORD.fullmatch(word):
            raise CommandExecutionError(f"mariadb database {name!r}: {word!r} is no such name")
    text = f"CHARACTER SET {character_set} COLLATE {collation}"
    found = rows(
        "SELECT default_character_set_name AS charset, default_collation_name AS collation "
        "FROM information_schema.schemata WHERE schema_name = %s",
        (name,),
    )
    if not found:
        return [("database: created", f"CREATE DATABASE IF NOT EXISTS `{name}` {text}")]
    if (found[0]["charset"], found[0]["collation"]) != (character_set, collation):
        return [(f"text: {character_set}, {collation}", f"ALTER DATABASE `{name}` {text}")]
    return []
