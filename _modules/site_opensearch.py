"""
An OpenSearch node: put together from its parts, asked, and kept as pillar says.

The functions whose names end in ``_plan`` ask the node and say what would have to
be sent to it; :py:func:`run` sends that. They act as root of this host does: with
the host's own certificate, which the node takes for an administrator's.
"""

import base64
import contextlib
import ctypes
import hashlib
import hmac
import json
import re
import shutil
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path

from salt.exceptions import CommandExecutionError

ARTIFACTS = Path("/var/cache/saltworks/artifacts")
TLS = Path("/etc/ssl/site")
DATA = Path("/var/lib/opensearch")
FOUNDING = Path("/run/saltworks-opensearch-founding")
UNIT = "opensearch.service"
PORT = 9200
MARKER = ".saltworks"
SECURITY = "/_plugins/_security/api"
PASSWORD_LENGTH = 24
HEAP_LIMIT_MB = 31 * 1024
POLL_SECONDS = 1
# bcrypt's own alphabet, and which of its letters a salt may end with.
_ALPHABET = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_LAST = ".Oeu"

# --- the files ------------------------------------------------------------------


def heap_mb(wanted, memory_mb):
    """
    Java's heap. Pure.

    wanted
        In MiB; 0 takes half of the memory, at most 31 GiB (beyond that Java's
        pointers grow).

    memory_mb
        The memory of the host.

    CLI Example:

    .. code-block:: bash

        salt-call site_opensearch.heap_mb 0 8192
    """
    return wanted or min(memory_mb // 2, HEAP_LIMIT_MB)


def parts(version):
    """
    The parts of an installation, for :py:func:`assemble`. Pure.

    version
        Of the server, e.g. ``3.4.0``.

    CLI Example:

    .. code-block:: bash

        salt-call site_opensearch.parts 3.4.0
    """
    return [
        {"file": f"opensearch-{version}.zip", "into": "", "strip": 1},
        {"file": f"opensearch-security-{version}.0.zip", "into": "plugins/opensearch-security"},
        {"file": "commons-collections4-4.5.0.jar", "into": "plugins/opensearch-security"},
        {"file": f"analysis-common-{version}.jar", "into": "modules/analysis-common"},
    ]


def descriptors(version):
    """
    The descriptors of plugins that the parts lack, or that name what is not there.
    Pure.

    version
        Of the server.

    Returns ``{path inside the installation: text}``.

    CLI Example:

    .. code-block:: bash

        salt-call site_opensearch.descriptors 3.4.0
    """

    def text(name, classname, own, description):
        lines = {
            "description": description,
            "version": own,
            "name": name,
            "classname": classname,
            "java.version": "21",
            "opensearch.version": version,
            "custom.foldername": "",
            # Upstream names rule-framework, which the archive lacks and which is
            # used only for the management of work loads.
            "extended.plugins": "",
            "has.native.controller": "false",
        }
        return "".join(f"{key}={value}\n" for key, value in lines.items())

    return {
        "modules/analysis-common/plugin-descriptor.properties": text(
            "analysis-common",
            "org.opensearch.analysis.common.CommonAnalysisModulePlugin",
            version,
            "Analyzers of languages, tokenizers and filters",
        ),
        "plugins/opensearch-security/plugin-descriptor.properties": text(
            "opensearch-security",
            "org.opensearch.security.OpenSearchSecurityPlugin",
            f"{version}.0",
            "Certificates, users and roles",
        ),
    }


def _wanted(pieces, artifacts, texts):
    """What the marker of a complete installation says."""
    sums = {}
    for piece in pieces:
        if piece["file"] not in artifacts:
            raise CommandExecutionError(
                f"opensearch: artifacts.yaml does not name {piece['file']}. Remedy: pin it "
                "there, or correct opensearch:version"
            )
        sums[piece["file"]] = artifacts[piece["file"]]["sha512"]
    return json.dumps({"parts": pieces, "sums": sums, "texts": texts}, sort_keys=True) + "\n"


def assembled(home, pieces, artifacts, texts):
    """
    Whether an installation is complete, and of these parts.

    home, pieces, artifacts, texts
        As in :py:func:`assemble`.

    CLI Example:

    .. code-block:: bash

        salt-call site_opensearch.assembled /opt/opensearch '[]' '{}' '{}'
    """
    marker = Path(home) / MARKER
    wanted = _wanted(pieces, artifacts, texts)
    return marker.is_file() and marker.read_text(encoding="utf-8") == wanted


def assemble(home, pieces, artifacts, texts):
    """
    Put an installation together, beside the old one, and swap the two.

    home
        Its folder.

    pieces
        What :py:func:`parts` returns: archives are unpacked (without as many
        leading folders as ``strip`` says), other files copied.

    artifacts
        ``{file: {"sha512": …}}``.

    texts
        ``{path inside: text}``, written last.

    Raises CommandExecutionError where a part is not on this host, or is not the
    pinned one; the old installation then stays as it is.

    CLI Example:

    .. code-block:: bash

        salt-call site_opensearch.assemble /opt/opensearch '[]' '{}' '{}'
    """
    home = Path(home)
    wanted = _wanted(pieces, artifacts, texts)
    for piece in pieces:
        _check(ARTIFACTS / piece["file"], artifacts[piece["file"]]["sha512"])
    fresh = home.with_name(home.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    for piece in pieces:
        folder = fresh / piece["into"]
        folder.mkdir(parents=True, exist_ok=True)
        source = ARTIFACTS / piece["file"]
        if source.suffix == ".zip":
            _unpack(source, folder, piece.get("strip", 0))
        else:
            shutil.copyfile(source, folder / source.name)
    for path, text in texts.items():
        (fresh / path).write_text(text, encoding="utf-8")
    (fresh / MARKER).write_text(wanted, encoding="utf-8")
    for path in [fresh, *fresh.rglob("*")]:
        program = path.parent == fresh / "bin"
        path.chmod(0o755 if path.is_dir() or program else 0o644)
    shutil.rmtree(home, ignore_errors=True)
    fresh.rename(home)


def _check(path, sha512):
    """Raise unless a file is there and is the pinned one."""
    remedy = (
        "Remedy: `./fleet up` fetches it with Maven and puts it there; without it, "
        "docs/runbooks/search-upgrade.md"
    )
    if not path.is_file():
        raise CommandExecutionError(f"{path} is not on this host. {remedy}")
    with path.open("rb") as handle:
        found = hashlib.file_digest(handle, "sha512").hexdigest()
    if found != sha512:
        raise CommandExecutionError(f"{path} is not what artifacts.yaml pins: {found}. {remedy}")


def _unpack(source, folder, strip):
    """Unpack an archive without its leading folders; nothing lands outside."""
    with zipfile.ZipFile(source) as archive:
        for member in archive.infolist():
            names = Path(member.filename).parts[strip:]
            if member.is_dir() or not names:
                continue
            if ".." in names or Path(member.filename).is_absolute():
                raise CommandExecutionError(f"{source} holds {member.filename}")
            target = folder.joinpath(*names)
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as packed, target.open("wb") as written:
                shutil.copyfileobj(packed, written)


def password_hash(password, name):
    """
    What OpenSearch keeps of a password: bcrypt.

    password
        In clear, at least 24 characters.

    name
        Whose it is. The salt is made of both, so that the same password gives the
        same hash and a second run changes nothing; nobody can compute it who does
        not know the password.

    Raises CommandExecutionError for a password missing or too short, or where the
    system's library has no bcrypt.

    CLI Example:

    .. code-block:: bash

        salt-call site_opensearch.password_hash sandbox-only-not-a-secret-at-all wiki
    """
    if not isinstance(password, str) or len(password) < PASSWORD_LENGTH:
        raise CommandExecutionError(
            f"opensearch user {name}: opensearch:secrets must hold a password of at least "
            f"{PASSWORD_LENGTH} characters"
        )
    digest = hmac.new(password.encode(), f"opensearch:{name}".encode(), "sha256").digest()
    salt = "".join(_ALPHABET[byte % 64] for byte in digest[:21]) + _LAST[digest[21] % 4]
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    made = library.crypt(password.encode(), f"$2b$10${salt}".encode())
    if not made or not made.startswith(b"$2b$10$"):
        raise CommandExecutionError("libcrypt.so.1 of this host has no bcrypt: see crypt(5)")
    return made.decode("ascii")


# --- the node -------------------------------------------------------------------


class NotThereError(CommandExecutionError):
    """The node does not know what was asked for."""


def request(method, path, body=None, seconds=30, user=None, password=None):
    """
    Ask the node on this host.

    method, path
        As the API has them.

    body
        Data, sent as JSON; text is sent as lines of JSON.

    seconds
        How long an answer may take.

    user, password
        Left out, this host's certificate says who asks: an administrator.

    Returns the answer's data.

    Raises CommandExecutionError with the node's own reason where it refuses or
    does not answer.

    CLI Example:

    .. code-block:: bash

        salt-call site_opensearch.request GET /_cluster/health
    """
    context = ssl.create_default_context(cafile=str(TLS / "ca.crt"))
    headers = {}
    data = None
    if isinstance(body, str):
        data, headers["Content-Type"] = body.encode(), "application/x-ndjson"
    elif body is not None:
        data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
    if user:
        token = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
        headers["Authorization"] = f"Basic {token}"
    else:
        context.load_cert_chain(TLS / "host.crt", TLS / "host.key")
    asked = urllib.request.Request(
        f"https://127.0.0.1:{PORT}{path}", data=data, headers=headers, method=method
    )
    try:
        with urllib.request.urlopen(asked, timeout=seconds, context=context) as answer:  # noqa: S310
            return _data(answer.read())
    except urllib.error.HTTPError as error:
        kind = NotThereError if error.code == 404 else CommandExecutionError
        said = _reason(_data(error.read()))
        raise kind(f"{method} {path}: {error.code} {said}") from None
    except OSError as error:
        raise CommandExecutionError(
            f"opensearch does not answer: {error}. Remedy: `journalctl -u opensearch`"
        ) from None


def _data(raw):
    """JSON as data, other text as it is."""
    with contextlib.suppress(ValueError):
        return json.loads(raw)
    return raw.decode("utf-8", "replace").strip()


def _reason(said):
    """The sentence in an answer that refuses."""
    if not isinstance(said, dict):
        return said
    error = said.get("error", said.get("message", said))
    return error.get("reason", error) if isinstance(error, dict) else error


def found(path):
    """
    What the node has there, or None.

    path
        As the API has it.

    CLI Example:

    .. code-block:: bash

        salt-call site_opensearch.found /_alias/wiki
    """
    try:
        return request("GET", path)
    except NotThereError:
        return None


def health():
    """
    How the cluster is.

    Returns ``{"ready": whether users may log in, "status": "green" | "yellow" |
    "red", "nodes": how many, "uuid": of the cluster, "reason": where it does not
    answer}``.

    CLI Example:

    .. code-block:: bash

        salt-call site_opensearch.health
    """
    try:
        up = request("GET", "/_plugins/_security/health", seconds=5)["status"] == "UP"
        said = request("GET", "/_cluster/health?timeout=3s", seconds=5)
        uuid = request("GET", "/", seconds=5)["cluster_uuid"]
    except CommandExecutionError as error:
        return {"ready": False, "status": "red", "nodes": 0, "uuid": "", "reason": str(error)}
    return {
        "ready": up,
        "status": said["status"],
        "nodes": said["number_of_nodes"],
        "uuid": uuid,
        "reason": "" if up else "the users are not loaded yet",
    }


def wait(seconds=120, nodes=1, status="yellow"):
    """
    Wait until the cluster is well.

    seconds
        How long at most.

    nodes
        How many it must have at least.

    status
        ``yellow``: every document can be found. ``green``: and has its copies.

    Returns what :py:func:`health` does. Raises CommandExecutionError when time is up.

    CLI Example:

    .. code-block:: bash

        salt-call site_opensearch.wait seconds=60 nodes=3 status=green
    """
    ends = time.monotonic() + seconds
    good = ("green",) if status == "green" else ("green", "yellow")
    while True:
        now = health()
        if now["ready"] and now["nodes"] >= nodes and now["status"] in good:
            return now
        if time.monotonic() > ends:
            raise CommandExecutionError(
                f"the search engine is not well after {seconds} s: {now}. Remedy: "
                "`journalctl -u opensearch`, docs/runbooks/search-node-lost.md"
            )
        time.sleep(POLL_SECONDS)


def has_data():
    """
    Whether this node has ever been in a cluster.

    CLI Example:

    .. code-block:: bash

        salt-call site_opensearch.has_data
    """
    return any(DATA.glob("nodes/*/_state/*"))


def allow_founding(name):
    """
    Let this node found a cluster at its next start. Forgotten with the next boot, or
    by :py:func:`settle`.

    name
        The node's name.

    CLI Example:

    .. code-block:: bash

        salt-call site_opensearch.allow_founding elastic1
    """
    text = f"FOUNDING=-Ecluster.initial_cluster_manager_nodes={name}\n"
    FOUNDING.write_text(text, encoding="ascii")


def settle():
    """
    This node is in a cluster: it shall found none.

    CLI Example:

    .. code-block:: bash

        salt-call site_opensearch.settle
    """
    FOUNDING.unlink(missing_ok=True)


def outdated(files):
    """
    Which of the files that the node reads at its start are newer than that start.

    files
        Their paths. One that does not exist counts as not newer.

    Returns those paths; an empty list where the node does not run, too: its next
    start reads them anyway.

    CLI Example:

    .. code-block:: bash

        salt-call site_opensearch.outdated '[/etc/opensearch/opensearch.yml]'
    """
    said = __salt__["cmd.run_stdout"](
        [
            "systemctl",
            "show",
            "--value",
            "--timestamp=unix",
            "--property=ActiveEnterTimestamp",
            UNIT,
        ],
        python_shell=False,
    )
    if not said.startswith("@"):
        return []
    # systemd tells whole seconds.
    since = int(said[1:]) + 1
    return [name for name in files if Path(name).exists() and Path(name).stat().st_mtime > since]


def restart(nodes, seconds=300):
    """
    Start this node again while the others go on: only where the cluster is whole,
    and until it is whole again. Meanwhile no copies are moved about.

    nodes
        How many the cluster has.

    seconds
        How long each wait may take.

    CLI Example:

    .. code-block:: bash

        salt-call site_opensearch.restart 3
    """
    key = "cluster.routing.allocation.enable"
    wait(seconds, nodes, "green")
    request("PUT", "/_cluster/settings", {"persistent": {key: "primaries"}})
    done = __salt__["cmd.run_all"](["systemctl", "restart", UNIT], python_shell=False)
    if done["retcode"]:
        raise CommandExecutionError(f"{UNIT} does not restart: {done['stderr']}")
    wait(seconds, nodes)
    request("PUT", "/_cluster/settings", {"persistent": {key: None}})
    wait(seconds, nodes, "green")


# --- what is in it --------------------------------------------------------------


def run(plan):
    """
    Send what a plan holds.

    plan
        ``[[sentence, method, path, body], …]``.

    CLI Example:

    .. code-block:: bash

        salt-call site_opensearch.run '[["closes", "POST", "/wiki-v1/_close", null]]'
    """
    for _, method, path, body in plan:
        request(method, path, body)


def _subset(wanted, there):
    """Whether all that is wanted is there; what is there beside it does not count."""
    if isinstance(wanted, dict):
        return isinstance(there, dict) and all(
            key in there and _subset(value, there[key]) for key, value in wanted.items()
        )
    return _plain(wanted) == _plain(there)


def _plain(value):
    """As OpenSearch gives values back: numbers and truths are text in settings."""
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return json.dumps(value).strip('"') if isinstance(value, (bool, int)) else value


def _security_plan(kind, name, wanted, what):
    """Send what is wanted of a role or a user, where it is not there."""
    path = f"{SECURITY}/{kind}/{urllib.parse.quote(name)}"
    there = found(path)
    if there and _subset(wanted["shown"], there[name]):
        return []
    return [[f"{what} is written", "PUT", path, wanted["sent"]]]


def role_plan(name, cluster, indices):
    """
    What makes a role be as wanted.

    name
        Of the role.

    cluster
        What it may do with the cluster: a list of actions or groups of them.

    indices
        ``[{"patterns": [index, …], "actions": [action, …]}, …]``.

    CLI Example:

    .. code-block:: bash

        salt-call site_opensearch.role_plan search '[]' '[{patterns: [wiki-*], actions: [read]}]'
    """
    body = {
        "cluster_permissions": cluster,
        "index_permissions": [
            {"index_patterns": entry["patterns"], "allowed_actions": entry["actions"]}
            for entry in indices
        ],
    }
    path = f"{SECURITY}/roles/{urllib.parse.quote(name)}"
    there = (found(path) or {}).get(name, {})
    kept = {
        "cluster_permissions": there.get("cluster_permissions"),
        "index_permissions": [
            {key: entry[key] for key in ("index_patterns", "allowed_actions")}
            for entry in there.get("index_permissions", [])
        ],
    }
    return [] if kept == body else [[f"the role {name} is written", "PUT", path, body]]


def user_plan(name, password_hash, roles):
    """
    What makes a user be as wanted. The node never shows a hash: a digest of it is
    kept beside it, as an attribute.

    name
        Of the user.

    password_hash
        What :py:func:`password_hash` returns.

    roles
        What the user is.

    CLI Example:

    .. code-block:: bash

        salt-call site_opensearch.user_plan wiki '$2b$10$…' '[wiki]'
    """
    digest = hashlib.sha256(password_hash.encode()).hexdigest()
    shown = {"opendistro_security_roles": roles, "attributes": {"digest": digest}}
    wanted = {"shown": shown, "sent": dict(shown, hash=password_hash)}
    return _security_plan("internalusers", name, wanted, f"the user {name}")


def user_removal_plan(name):
    """
    What removes a user.

    name
        Of the user.

    CLI Example:

    .. code-block:: bash

        salt-call site_opensearch.user_removal_plan former
    """
    path = f"{SECURITY}/internalusers/{urllib.parse.quote(name)}"
    return [[f"the user {name} is removed", "DELETE", path, None]] if found(path) else []


def template_plan(name, patterns, template):
    """
    What makes a template of indexes be as wanted.

    name, patterns
        Its name, and the indexes it is for.

    template
        ``{"settings": …, "mappings": …}``.

    CLI Example:

    .. code-block:: bash

        salt-call site_opensearch.template_plan wiki '[wiki-*]' '{settings: {}}'
    """
    path = f"/_index_template/{name}"
    # The digest is what is compared: the node gives settings back in other words.
    digest = hashlib.sha256(json.dumps([patterns, template], sort_keys=True).encode()).hexdigest()
    there = found(path)
    if there:
        kept = there["index_templates"][0]["index_template"].get("_meta", {})
        if kept.get("digest") == digest:
            return []
    body = {
        "index_patterns": patterns,
        "priority": 100,
        "template": template,
        "_meta": {"digest": digest},
    }
    return [[f"the template {name} is written", "PUT", path, body]]


def index_plan(name):
    """
    What makes an alias lead to an index: to the first version where there is none.

    name
        The alias; its indexes are ``<name>-v<number>``.

    CLI Example:

    .. code-block:: bash

        salt-call site_opensearch.index_plan wiki
    """
    if found(f"/_alias/{name}"):
        return []
    return [[f"the index {name}-v1 is made", "PUT", f"/{name}-v1", {"aliases": {name: {}}}]]


def repository_plan(name, kind, settings):
    """
    What makes a repository of snapshots be as wanted.

    name, kind, settings
        As the API has them, e.g. ``local``, ``fs``, ``{"location": …}``.

    CLI Example:

    .. code-block:: bash

        salt-call site_opensearch.repository_plan local fs '{location: /var/lib/snapshots}'
    """
    path = f"/_snapshot/{name}"
    there = found(path)
    if there and there[name]["type"] == kind and _subset(settings, there[name]["settings"]):
        return []
    body = {"type": kind, "settings": settings}
    return [[f"the repository {name} is written", "PUT", path, body]]


# --- a new index behind an alias ------------------------------------------------

BATCH = 500


def _lines(*entries):
    """Data as lines of JSON, as _bulk takes it."""
    return "".join(json.dumps(entry) + "\n" for entry in entries)


def _indexes(name):
    """The number of every version of an index that exists, sorted."""
    pattern = re.compile(re.escape(name) + r"-v([0-9]+)")
    there = found(f"/{name}-v*/_settings/index.uuid") or {}
    return sorted(int(said[1]) for said in map(pattern.fullmatch, there) if said)


def _batches(index, fields):
    """The documents of an index, in batches, in the order they were written."""
    after = -1
    while True:
        asked = {
            "size": BATCH,
            "sort": [{"_seq_no": "asc"}],
            "seq_no_primary_term": True,
            "_source": fields,
            "query": {"range": {"_seq_no": {"gt": after}}},
        }
        hits = request("POST", f"/{index}/_search", asked)["hits"]["hits"]
        if not hits:
            return
        yield hits
        after = hits[-1]["_seq_no"]


def _bulk(index, entries):
    """
    Send changes. One that somebody was quicker with (409), or that removes what is
    gone (404), is left out.

    Returns how many were made.
    """
    if not entries:
        return 0
    said = request("POST", f"/{index}/_bulk", _lines(*entries), seconds=120)
    made = 0
    for item in said["items"]:
        ((_, result),) = item.items()
        if result["status"] < 300:
            made += 1
        elif result["status"] not in (404, 409):
            raise CommandExecutionError(f"{index}: {result['_id']}: {_reason(result)}")
    return made


def _copy(old, new):
    """Copy all documents; where one is there already, it stays."""
    made = 0
    for hits in _batches(old, True):
        entries = []
        for hit in hits:
            entries += [{"create": {"_id": hit["_id"]}}, hit["_source"]]
        made += _bulk(new, entries)
    return made


def _last(index):
    """The number of the last change of an index."""
    request("POST", f"/{index}/_refresh")
    said = request("GET", f"/{index}/_stats?level=shards")["indices"].get(index)
    return said["shards"]["0"][0]["seq_no"]["max_seq_no"] if said else -1


def _mend(old, new, mark):
    """
    After the switch: what was written to the old index, or removed from it, while it
    was copied is brought to the new one, unless an app has been there since.

    mark
        The last change of the new index before apps wrote to it.

    Returns how many documents were brought or removed.
    """
    request("POST", f"/{old}/_refresh")
    request("POST", f"/{new}/_refresh")
    mended = 0
    for hits in _batches(old, True):
        there = _there(new, hits)
        entries = []
        for hit in hits:
            copy = there[hit["_id"]]
            if not copy["found"]:
                entries += [{"create": {"_id": hit["_id"]}}, hit["_source"]]
            elif copy["_seq_no"] <= mark and copy["_source"] != hit["_source"]:
                entries += [{"index": _unchanged(copy)}, hit["_source"]]
        mended += _bulk(new, entries)
    for hits in _batches(new, False):
        there = _there(old, hits)
        gone = [
            {"delete": _unchanged(hit)}
            for hit in hits
            if hit["_seq_no"] <= mark and not there[hit["_id"]]["found"]
        ]
        mended += _bulk(new, gone)
    return mended


def _there(index, hits):
    """{id: what an index has of these documents}."""
    asked = {"ids": [hit["_id"] for hit in hits]}
    return {doc["_id"]: doc for doc in request("POST", f"/{index}/_mget", asked)["docs"]}


def _unchanged(document):
    """Names a document for a change that is made only if nobody was quicker."""
    return {
        "_id": document["_id"],
        "if_seq_no": document["_seq_no"],
        "if_primary_term": document["_primary_term"],
    }


def reindex(name):
    """
    Make a new version of an index from its template, copy all documents, let the
    alias lead to it, and remove the old one. Searches and writes go on meanwhile.

    A run that was cut short is finished by the next.

    name
        The alias.

    Returns ``{"old", "new", "copied", "mended"}``.

    Raises CommandExecutionError where the alias does not lead to exactly one index,
    or a document is refused; the old one then stays.

    CLI Example:

    .. code-block:: bash

        salt-call site_opensearch.reindex wiki
    """
    used = sorted(found(f"/_alias/{name}") or {})
    if len(used) != 1:
        raise CommandExecutionError(
            f"the alias {name} leads to {', '.join(used) or 'nothing'}, and not to one index. "
            "Remedy: `salt-call state.apply opensearch`, or docs/runbooks/search-reindex.md"
        )
    old = used[0]
    number = int(old.removeprefix(f"{name}-v"))
    for other in (other for other in _indexes(name) if other != number):
        leftover = f"{name}-v{other}"
        if other < number:
            # The run before ended after the switch.
            meta = request("GET", f"/{old}/_mapping")[old]["mappings"].get("_meta", {})
            _mend(leftover, old, meta.get("mark", -1))
        # Else it ended before: that version was never in use.
        request("DELETE", f"/{leftover}")
    new = f"{name}-v{number + 1}"
    request("PUT", f"/{new}")
    request("POST", f"/{old}/_refresh")
    copied = _copy(old, new)
    mark = _last(new)
    request("PUT", f"/{new}/_mapping", {"_meta": {"mark": mark}})
    switch = [
        {"remove": {"index": old, "alias": name}},
        {"add": {"index": new, "alias": name}},
    ]
    request("POST", "/_aliases", {"actions": switch})
    mended = _mend(old, new, mark)
    request("DELETE", f"/{old}")
    return {"old": old, "new": new, "copied": copied, "mended": mended}
