"""
What the state of the same name needs to know and to do about a MediaWiki: which
version the code has, what its database holds, install it, bring it up to date.

The database itself remembers what was last done to it, in MediaWiki's own table
``updatelog``; so it is true on every host, and after a restore as well.
"""

import contextlib
import copy
import json
import re
import ssl
import tempfile
import threading
import time
from pathlib import Path

from salt.exceptions import CommandExecutionError
from salt.utils import dictupdate

try:
    import pymysql
except ImportError:
    pymysql = None

CODE = "/srv/release/mediawiki/current"
# What the wiki's authors made; the release that is served.
RELEASE = "/srv/release/wiki/current"
# What each wiki's database needs, written by the state `mediawiki`.
DATABASES = "/etc/mediawiki/databases.json"
RECORD = "saltworks"
BEGUN = "saltworks_installation_begun"
LOCK = "saltworks-mediawiki"
SCRIPT_PATH = "/w"

# Brokers cut a connection that is silent for long.
SILENT_AT_MOST = 10


def __virtual__():
    if pymysql is None:
        return False, "site_mediawiki: PyMySQL is not installed in Salt's Python"
    return True


def php(value):
    """
    Write a value as a PHP literal.

    value
        A string, number, boolean, None, list or dictionary of such.

    Returns the text; strings in single quotes, so that PHP replaces nothing in them.

    Raises CommandExecutionError for anything else.

    CLI Example:

    .. code-block:: bash

        salt-call site_mediawiki.php "it's"
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    if isinstance(value, (list, tuple)):
        return "[ " + ", ".join(php(item) for item in value) + " ]" if value else "[]"
    if isinstance(value, dict):
        pairs = (f"{php(key)} => {php(item)}" for key, item in value.items())
        return "[ " + ", ".join(pairs) + " ]" if value else "[]"
    raise CommandExecutionError(f"no PHP literal for a {type(value).__name__}")


def wikis(settings, domain):
    """
    The wikis of a host: what all have in common, and what each says for itself. Pure.

    settings
        The pillar key ``mediawiki`` with its defaults; ``wikis`` is the table.

    domain
        The site's public domain.

    Returns a list of settings sorted by name, without the secrets, with ``site``
    (its name), ``domain_name`` (``docs.example.org``) and ``server`` (``https://…``).

    Raises CommandExecutionError where there is none, or two would share a pool, a
    database, an account of the database or an index of the search.

    CLI Example:

    .. code-block:: bash

        salt-call site_mediawiki.wikis '{wikis: {docs: {…}}}' example.org
    """
    common = {key: value for key, value in settings.items() if key not in ("wikis", "secrets")}
    found, owners = [], {}
    for site, own in sorted(settings["wikis"].items()):
        name = f"{site}.{domain}"
        wiki = dictupdate.update(copy.deepcopy(common), copy.deepcopy(own), merge_lists=False)
        found.append(wiki | {"site": site, "domain_name": name, "server": f"https://{name}"})
        alone = [("pool", wiki["pool"]), ("database", wiki["database"]["name"])]
        alone += [("database account", wiki["database"][key]) for key in ("user", "admin")]
        if wiki["search"]["peers"]:
            alone.append(("search index", wiki["search"]["index"]))
        for what in alone:
            if what in owners:
                raise CommandExecutionError(
                    f"mediawiki: the wikis {owners[what]} and {site} have the same {what[0]} "
                    f"'{what[1]}'. Remedy: give each one of its own in pillar mediawiki:wikis"
                )
            owners[what] = site
    if not found:
        raise CommandExecutionError("mediawiki: no wiki in pillar mediawiki:wikis")
    return found


def version(code=CODE):
    """
    The version of the installed code, such as ``1.43.9``.

    code
        The folder of MediaWiki.

    Returns None where there is none (this host has no release yet).

    CLI Example:

    .. code-block:: bash

        salt-call site_mediawiki.version
    """
    try:
        text = Path(code, "includes", "Defines.php").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    found = re.search(r"define\(\s*'MW_VERSION',\s*'([^']+)'\s*\)", text)
    if not found:
        raise CommandExecutionError(f"{code}/includes/Defines.php does not say MW_VERSION")
    return found.group(1)


def _numbers(text):
    return [int(number) for number in re.findall(r"\d+", text)]


def released(folder=RELEASE):
    """
    The extensions that a release of the wiki's authors brings.

    folder
        The release.

    Returns ``["<name> <version>", …]``, sorted: another version is a reason to bring the
    database up to date.

    Raises CommandExecutionError where one does not say what it is.

    CLI Example:

    .. code-block:: bash

        salt-call site_mediawiki.released
    """
    found = []
    for path in Path(folder).glob("extensions/*/extension.json"):
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            found.append(f"{told['name']} {told['version']}")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CommandExecutionError(
                f"extensions/{path.parent.name}/extension.json has no name or version: {error!r}"
            ) from error
    return sorted(found)


def needed(holds, code_version, extensions):
    """
    Say what the database needs for this code. Pure.

    holds
        What :py:func:`holds` returns.

    code_version
        Version of the installed code.

    extensions
        Names of the extensions that are switched on.

    Returns ``"install"``, ``"update"`` or None. A database that a newer version
    has updated needs nothing: during a rolling upgrade the last hosts still run
    older code, and must not turn anything back.

    Raises CommandExecutionError when the tables are not MediaWiki's.

    CLI Example:

    .. code-block:: bash

        salt-call site_mediawiki.needed '{tables: [], record: null}' 1.43.9 '[Cite]'
    """
    if not holds["tables"] or BEGUN in holds["tables"]:
        return "install"
    if "updatelog" not in holds["tables"]:
        raise CommandExecutionError(
            f"the database holds {len(holds['tables'])} tables that are not MediaWiki's "
            "(there is no updatelog). Remedy: point the wiki's database:name in "
            "pillar mediawiki:wikis at an empty database"
        )
    record = holds["record"]
    if record is None:
        return "update"
    done, have = _numbers(record["version"]), _numbers(code_version)
    if have > done or (have == done and set(extensions) - set(record["extensions"])):
        return "update"
    return None


def _connect(database, wait):
    """A connection with a verified certificate; tried again for ``wait`` seconds."""
    try:
        context = ssl.create_default_context(cafile=database["ca"])
        # Chain and name are verified; only the form of the CA's certificate is not
        # held to more than PHP and MariaDB's own clients hold it to.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        password = Path(database["password_file"]).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise CommandExecutionError(f"the database cannot be asked: {error}") from error
    until = time.monotonic() + wait
    while True:
        try:
            return pymysql.connect(
                host=database["host"],
                port=database["port"],
                user=database["user"],
                password=password,
                database=database["name"],
                ssl=context,
                connect_timeout=5,
                autocommit=True,
            )
        except pymysql.err.OperationalError as error:
            if time.monotonic() >= until:
                raise CommandExecutionError(
                    f"the database {database['name']} at {database['host']}:{database['port']} "
                    f"does not let {database['user']} in: {error}"
                ) from error
            time.sleep(2)


def _holds(cursor):
    cursor.execute("SHOW TABLES")
    tables = [_text(row[0]) for row in cursor.fetchall()]
    record = None
    if "updatelog" in tables:
        cursor.execute("SELECT ul_value FROM updatelog WHERE ul_key = %s", (RECORD,))
        row = cursor.fetchone()
        record = json.loads(_text(row[0])) if row else None
    return {"tables": tables, "record": record}


def _text(value):
    return value.decode("utf-8") if isinstance(value, bytes) else value


def holds(database, wait=0):
    r"""
    Ask the database which tables it has, and what was last done to it.

    database
        ``{"host", "port", "name", "user", "password_file", "ca"}``. The server's
        certificate is verified with ``ca`` for ``host``.

    wait
        Seconds to go on trying while the database does not answer.

    Returns ``{"tables": [name, …], "record": None | {"version": str,
    "extensions": [name, …]}}``.

    Raises CommandExecutionError when the database cannot be asked.

    CLI Example:

    .. code-block:: bash

        salt-call site_mediawiki.holds '{host: 127.0.0.1, port: 3306, name: wiki, \
            user: wiki_admin, password_file: /etc/mediawiki/secrets/docs.database_admin, \
            ca: /etc/ssl/site/ca.crt}'
    """
    connection = _connect(database, wait)
    try:
        with connection.cursor() as cursor:
            return _holds(cursor)
    finally:
        connection.close()


def bring(
    wiki,
    name,
    server,
    language,
    extensions,
    skins,
    account,
    account_password_file,
    database,
    lock_wait,
    release=None,
    code=CODE,
):
    """
    Install MediaWiki's tables or bring them up to date, whichever they need.

    Hosts that do this at the same time wait for each other at a lock in the
    database; the later one asks again and finds nothing left to do. The lock
    ends with the connection, so a host that dies leaves none behind.

    wiki
        Which wiki of pillar ``mediawiki:wikis`` it is.

    name, server, language
        Its title, its ``https://…`` without a path, and its language.

    extensions, skins
        Names of what is switched on.

    account, account_password_file
        The first account, and the file with its password.

    database
        As for :py:func:`holds`.

    lock_wait
        Seconds to wait for another host.

    release
        The authors' release whose extensions are meant; None is the one that is served.

    code
        The folder of MediaWiki; it need not be the one that is served.

    Returns ``"install"``, ``"update"``, or None when another host was faster.

    Raises CommandExecutionError with MediaWiki's own words when it fails.

    CLI Example: none; the state ``site_mediawiki.database_current`` calls it.
    """
    code_version = version(code)
    if code_version is None:
        raise CommandExecutionError(f"{code} holds no MediaWiki. Remedy: ./fleet deploy mediawiki")
    extensions = [*extensions, *released(release or RELEASE)]
    told = {"SITE_WIKI_RELEASE": release} if release else {}
    connection = _connect(database, 0)
    try:
        with connection.cursor() as cursor:
            _lock(cursor, database["name"], lock_wait)
            found = _holds(cursor)
            task = needed(found, code_version, extensions)
            if task is None:
                return None
            if task == "install":
                _empty(cursor, found["tables"])
                with _kept_alive(connection):
                    _install(
                        code,
                        name,
                        server,
                        language,
                        skins,
                        account,
                        account_password_file,
                        database,
                    )
                cursor.execute(f"DROP TABLE {BEGUN}")
            # After an installation, too: this makes the extensions' tables, with the
            # wiki's own settings and all messages loaded.
            with _kept_alive(connection):
                _run(code, ["update", f"--wiki={wiki}", "--quick"], "update", **told)
            _replicable(cursor)
            # The union: a host whose pillar is not up to date yet must not bring
            # back an update that was done.
            done = (found["record"] or {}).get("extensions", [])
            record = {"version": code_version, "extensions": sorted({*done, *extensions})}
            cursor.execute(
                "REPLACE INTO updatelog (ul_key, ul_value) VALUES (%s, %s)",
                (RECORD, json.dumps(record)),
            )
            return task
    finally:
        connection.close()


def migrate(tree, databases=DATABASES):
    """
    Bring the databases of all wikis to what another MediaWiki needs, before a host serves
    it: a hook of `site_release`. The one that is served can go on with them.

    tree
        The folder of the release.

    databases
        As for :py:func:`migrate_own`.

    Returns ``{wiki: what was done, or None}``. Raises CommandExecutionError as
    :py:func:`migrate_own`, and where the folder holds no MediaWiki.

    CLI Example:

    .. code-block:: bash

        salt 'app1*' site_mediawiki.migrate /srv/release/mediawiki/releases/<release>
    """
    return {wiki["wiki"]: bring(**wiki, code=tree) for wiki in _databases(databases)}


def migrate_own(tree, databases=DATABASES):
    """
    Bring the databases of all wikis to what the extensions of an authors' release need,
    before a host serves it: a hook of `site_release`.

    tree
        The folder of the release.

    databases
        A JSON file: a list of what :py:func:`bring` is told of each wiki.

    Returns ``{wiki: what was done, or None}``. Raises CommandExecutionError where there is
    no such file, and as :py:func:`bring`.

    CLI Example:

    .. code-block:: bash

        salt 'app1*' site_mediawiki.migrate_own /srv/release/wiki/releases/<release>
    """
    return {wiki["wiki"]: bring(**wiki, release=tree) for wiki in _databases(databases)}


def _databases(path):
    """What :py:func:`bring` is told of each wiki of this host."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CommandExecutionError(
            f"{path} is missing. Remedy: salt-call state.apply mediawiki"
        ) from None


def _lock(cursor, name, lock_wait):
    """Take the lock; short waits, so that the connection is never silent for long."""
    until = time.monotonic() + lock_wait
    while True:
        cursor.execute("SELECT GET_LOCK(%s, %s)", (f"{LOCK}-{name}", SILENT_AT_MOST))
        if cursor.fetchone()[0] == 1:
            return
        if time.monotonic() >= until:
            raise CommandExecutionError(
                f"another host has been installing or updating this wiki for {lock_wait} s"
            )


@contextlib.contextmanager
def _kept_alive(connection):
    """Speak on the connection now and then: with it the lock would go."""
    done = threading.Event()

    def speak():
        while not done.wait(SILENT_AT_MOST):
            connection.ping(reconnect=False)

    thread = threading.Thread(target=speak, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _empty(cursor, tables):
    """Make ready for an installation: nothing but the mark that it has begun."""
    # Only that mark leads here with tables: the database was empty when we began.
    cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
    for table in sorted(tables, key=lambda table: table == BEGUN):
        cursor.execute(f"DROP TABLE `{table}`")
    cursor.execute(f"CREATE TABLE {BEGUN} (one INT PRIMARY KEY) ENGINE=InnoDB")


def _replicable(cursor):
    """MediaWiki makes its search table with an engine that no Galera replicates."""
    cursor.execute(
        "SELECT table_name FROM information_schema.tables "
        "WHERE table_schema = DATABASE() AND engine <> 'InnoDB'"
    )
    for row in cursor.fetchall():
        cursor.execute(f"ALTER TABLE `{_text(row[0])}` ENGINE=InnoDB")


def _install(code, name, server, language, skins, account, account_password_file, database):
    # The installer insists on writing settings of its own: nobody reads them.
    with tempfile.TemporaryDirectory(prefix="mediawiki-install-") as folder:
        _run(
            code,
            [
                "install",
                "--dbtype=mysql",
                f"--dbserver={database['host']}:{database['port']}",
                "--dbssl",
                f"--dbname={database['name']}",
                f"--dbuser={database['user']}",
                f"--dbpassfile={database['password_file']}",
                f"--passfile={account_password_file}",
                f"--server={server}",
                f"--scriptpath={SCRIPT_PATH}",
                f"--lang={language}",
                f"--skins={','.join(skins)}",
                f"--confpath={folder}",
                name,
                account,
            ],
            "install",
            MW_CONFIG_FILE=f"{folder}/LocalSettings.php",
        )


def _run(code, arguments, task, **environment):
    result = __salt__["cmd.run_all"](
        ["php", f"{code}/maintenance/run.php", *arguments],
        python_shell=False,
        env=environment,
        cwd="/",
        timeout=1800,
        ignore_retcode=True,
    )
    if result["retcode"] != 0:
        said = "\n".join(part for part in (result["stdout"], result["stderr"]) if part)
        raise CommandExecutionError(f"MediaWiki's {task} failed:\n{said[-4000:]}")
