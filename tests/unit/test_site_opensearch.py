"""OpenSearch: put together from pinned parts, asked over TLS, and what would change."""

import hashlib
import io
import json
import ssl
import urllib.error
import zipfile

import pytest
import yaml
from salt.exceptions import CommandExecutionError

from tests.unit.conftest import ROOT

PASSWORD = "only-a-test-and-long-enough"
HASH = "$2b$10$" + "a" * 53


@pytest.fixture
def module(load, tmp_path, monkeypatch):
    found = load("_modules/site_opensearch.py")
    monkeypatch.setattr(found, "ARTIFACTS", tmp_path / "artifacts")
    monkeypatch.setattr(found, "DATA", tmp_path / "data")
    monkeypatch.setattr(found, "FOUNDING", tmp_path / "founding")
    monkeypatch.setattr(found, "POLL_SECONDS", 0)
    (tmp_path / "artifacts").mkdir()
    return found


# -- the files -----------------------------------------------------------------


def test_the_heap_is_half_of_the_memory_unless_pillar_says_more(module):
    assert module.heap_mb(0, 8192) == 4096
    assert module.heap_mb(448, 8192) == 448
    assert module.heap_mb(0, 10**6) == 31 * 1024


def test_every_part_is_pinned(module):
    pinned = yaml.safe_load((ROOT / "salt/opensearch/artifacts.yaml").read_text("utf-8"))
    assert {part["file"] for part in module.parts("3.4.0")} == set(pinned)
    assert "\nversion=3.4.0.0\n" in "".join(module.descriptors("3.4.0").values())


def pin(path):
    return {"sha512": hashlib.sha512(path.read_bytes()).hexdigest()}


@pytest.fixture
def pieces(module):
    folder = module.ARTIFACTS
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("a-1/", "")
        archive.writestr("a-1/lib/a.jar", "A")
        archive.writestr("a-1/bin/a", "#!")
    (folder / "b.jar").write_text("B", "utf-8")
    return (
        [{"file": "a.zip", "into": "", "strip": 1}, {"file": "b.jar", "into": "modules/b"}],
        {name: pin(folder / name) for name in ("a.zip", "b.jar")},
        {"modules/b/text": "said"},
    )


def test_it_is_put_together_once(module, pieces, tmp_path):
    home = tmp_path / "home"
    assert not module.assembled(home, *pieces)
    module.assemble(home, *pieces)
    assert module.assembled(home, *pieces)
    assert (home / "lib/a.jar").read_text("utf-8") == "A"
    assert (home / "modules/b/b.jar").read_text("utf-8") == "B"
    assert (home / "modules/b/text").read_text("utf-8") == "said"
    assert (home / "bin/a").stat().st_mode & 0o777 == 0o755


def test_another_text_is_another_installation(module, pieces, tmp_path):
    home = tmp_path / "home"
    module.assemble(home, *pieces)
    (home / "old").touch()
    other = (*pieces[:2], {"modules/b/text": "else"})
    assert not module.assembled(home, *other)
    module.assemble(home, *other)
    assert module.assembled(home, *other)
    assert not (home / "old").exists()


def test_a_part_that_is_not_there_or_another_leaves_all_as_it_was(module, pieces, tmp_path):
    home = tmp_path / "home"
    module.assemble(home, *pieces)
    (module.ARTIFACTS / "b.jar").write_text("evil", "utf-8")
    with pytest.raises(CommandExecutionError, match="is not what"):
        module.assemble(home, *pieces)
    (module.ARTIFACTS / "b.jar").unlink()
    with pytest.raises(CommandExecutionError, match="is not on this host"):
        module.assemble(home, *pieces)
    assert module.assembled(home, *pieces)
    with pytest.raises(CommandExecutionError, match="does not name b"):
        module.assembled(home, pieces[0], {"a.zip": {"sha512": ""}}, {})


def test_nothing_is_unpacked_outside(module, tmp_path):
    with zipfile.ZipFile(module.ARTIFACTS / "c.zip", "w") as archive:
        archive.writestr("x/../../c", "C")
    pins = {"c.zip": pin(module.ARTIFACTS / "c.zip")}
    with pytest.raises(CommandExecutionError, match="holds"):
        module.assemble(tmp_path / "home", [{"file": "c.zip", "into": ""}], pins, {})


def test_a_password_has_one_hash_for_each_user(module):
    made = module.password_hash(PASSWORD, "wiki")
    assert made.startswith("$2b$10$") and len(made) == 60
    assert made == module.password_hash(PASSWORD, "wiki")
    assert made != module.password_hash(PASSWORD, "blog")


@pytest.mark.parametrize("password", [None, "short"])
def test_a_password_too_short_is_refused(module, password):
    with pytest.raises(CommandExecutionError, match="at least 24"):
        module.password_hash(password, "wiki")


def test_a_library_without_bcrypt_is_said(module, monkeypatch):
    class Library:
        @staticmethod
        def crypt(_password, _salt):
            return b"*0"

    monkeypatch.setattr(module.ctypes, "CDLL", lambda _name: Library)
    monkeypatch.setattr(Library.crypt, "restype", None, raising=False)
    with pytest.raises(CommandExecutionError, match="no bcrypt"):
        module.password_hash(PASSWORD, "wiki")


# -- the node ------------------------------------------------------------------


class Context:
    def __init__(self):
        self.chain = None

    def load_cert_chain(self, certificate, key):
        self.chain = (certificate.name, key.name)


class Node:
    """What is asked of the node, and what it answers."""

    def __init__(self, module, monkeypatch):
        self.asked, self.answer, self.context = None, b"{}", Context()
        monkeypatch.setattr(ssl, "create_default_context", lambda cafile: self.context)
        monkeypatch.setattr(module.urllib.request, "urlopen", self.open)

    def open(self, request, timeout, context):
        assert context is self.context and timeout
        self.asked = request
        if isinstance(self.answer, Exception):
            raise self.answer
        return io.BytesIO(self.answer)


@pytest.fixture
def node(module, monkeypatch):
    return Node(module, monkeypatch)


def test_root_asks_with_the_hosts_certificate(module, node):
    node.answer = b'{"a": 1}'
    assert module.request("PUT", "/x", {"b": 2}) == {"a": 1}
    assert node.context.chain == ("host.crt", "host.key")
    assert node.asked.full_url == "https://127.0.0.1:9200/x"
    assert node.asked.data == b'{"b": 2}' and node.asked.get_method() == "PUT"


def test_lines_are_sent_as_they_are_and_a_user_with_a_password(module, node):
    node.answer = b"plain text\n"
    assert module.request("POST", "/_bulk", "{}\n", user="wiki", password="p") == "plain text"
    assert node.context.chain is None
    assert node.asked.get_header("Authorization") == "Basic d2lraTpw"
    assert node.asked.get_header("Content-type") == "application/x-ndjson"


def refusal(code, body):
    return urllib.error.HTTPError("u", code, "m", {}, io.BytesIO(body))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"error": {"reason": "because"}}', "because"),
        (b'{"message": "so"}', "so"),
        (b"Unauthorized", "Unauthorized"),
    ],
)
def test_what_the_node_refuses_is_said_in_its_words(module, node, body, reason):
    node.answer = refusal(403, body)
    with pytest.raises(CommandExecutionError, match=f"GET /x: 403 {reason}"):
        module.request("GET", "/x")


def test_what_is_not_there_is_none(module, node):
    node.answer = refusal(404, b"{}")
    assert module.found("/x") is None
    node.answer = b"[]"
    assert module.found("/x") == []


def test_a_node_that_does_not_answer_is_said(module, node):
    node.answer = ConnectionRefusedError("refused")
    with pytest.raises(CommandExecutionError, match="does not answer"):
        module.request("GET", "/x")


class Answers:
    """A table of answers by method and path, and what was sent."""

    def __init__(self, module, monkeypatch):
        self.table, self.sent, self.module = {}, [], module
        monkeypatch.setattr(module, "request", self.request)

    def request(self, method, path, body=None, seconds=30):
        assert seconds
        self.sent.append((method, path, body))
        answer = self.table.get((method, path), self.table.get(path))
        if callable(answer):
            answer = answer(body)
        if answer is None:
            raise self.module.NotThereError(path)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def answers(module, monkeypatch):
    return Answers(module, monkeypatch)


SECURITY_HEALTH = "/_plugins/_security/health"
CLUSTER_HEALTH = "/_cluster/health?timeout=3s"


def well(answers, status="green", nodes=1, up="UP"):
    answers.table |= {
        SECURITY_HEALTH: {"status": up},
        CLUSTER_HEALTH: {"status": status, "number_of_nodes": nodes},
        "/": {"cluster_uuid": "u"},
    }


def test_health_says_how_the_cluster_is(module, answers):
    assert module.health()["ready"] is False
    well(answers)
    assert module.health() == {
        "ready": True,
        "status": "green",
        "nodes": 1,
        "uuid": "u",
        "reason": "",
    }
    well(answers, up="DOWN")
    assert module.health()["reason"] == "the users are not loaded yet"


def test_waiting_ends_when_it_is_well_or_time_is_up(module, answers, monkeypatch):
    well(answers, "yellow")
    assert module.wait(0)["status"] == "yellow"
    with pytest.raises(CommandExecutionError, match="not well after 0 s"):
        module.wait(0, status="green")
    times = iter([0, 1])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(times))
    monkeypatch.setattr(module.time, "sleep", lambda _seconds: well(answers, "green", 3))
    assert module.wait(10, nodes=3)["nodes"] == 3


def test_who_may_found_a_cluster_is_said_once(module, tmp_path):
    assert module.has_data() is False
    state = tmp_path / "data/nodes/0/_state"
    state.mkdir(parents=True)
    (state / "node-1.st").touch()
    assert module.has_data() is True
    module.allow_founding("elastic1")
    said = module.FOUNDING.read_text("ascii")
    assert said == "FOUNDING=-Ecluster.initial_cluster_manager_nodes=elastic1\n"
    module.settle()
    module.settle()
    assert not module.FOUNDING.exists()


def test_a_node_is_outdated_by_files_newer_than_its_start(module, tmp_path):
    path = tmp_path / "file"
    path.touch()
    names = [str(path), str(tmp_path / "none")]
    start = int(path.stat().st_mtime)
    for said, late in [(f"@{start - 9}", names[:1]), (f"@{start + 9}", []), ("", [])]:
        module.__salt__ = {"cmd.run_stdout": lambda *_, text=said, **__: text}
        assert module.outdated(names) == late


def test_a_node_is_started_again_while_the_cluster_is_whole(module, answers):
    done = {"retcode": 0, "stderr": "odd"}
    module.__salt__ = {"cmd.run_all": lambda *_, **__: done}
    well(answers, nodes=3)
    answers.table["/_cluster/settings"] = {}
    module.restart(3, 0)
    sent = [body["persistent"] for _, path, body in answers.sent if path == "/_cluster/settings"]
    key = "cluster.routing.allocation.enable"
    assert sent == [{key: "primaries"}, {key: None}]
    done["retcode"] = 1
    with pytest.raises(CommandExecutionError, match="does not restart: odd"):
        module.restart(3, 0)
    well(answers, "yellow", 3)
    with pytest.raises(CommandExecutionError, match="not well"):
        module.restart(3, 0)


# -- the cluster, seen from the master ---------------------------------------------

HOSTS = ["elastic1.x", "elastic2.x"]


@pytest.fixture
def cluster(load):
    module = load("_modules/site_opensearch_cluster.py")
    module.asked = []
    module.said = {host: {"ret": False, "retcode": 0} for host in HOSTS}

    def cmd(hosts, function, arguments, tgt_type, timeout):
        assert tgt_type == "list" and timeout
        module.asked.append((hosts, function, arguments))
        return module.said

    module.__salt__ = {"saltutil.cmd": cmd}
    return module


def test_the_first_founds_where_none_has_data(cluster):
    assert cluster.founder(HOSTS) == HOSTS[0]
    cluster.found(HOSTS[0])
    assert cluster.asked[-1] == ([HOSTS[0]], "site_opensearch.allow_founding", ["elastic1"])
    cluster.said[HOSTS[1]]["ret"] = True
    assert cluster.founder(HOSTS) is None


def test_a_host_that_is_silent_or_fails_ends_it(cluster):
    cluster.said[HOSTS[1]] = {"ret": "why", "retcode": 1}
    with pytest.raises(CommandExecutionError, match=r"elastic2.x: site_opensearch.has_data: why"):
        cluster.founder(HOSTS)
    del cluster.said[HOSTS[1]]
    with pytest.raises(CommandExecutionError, match=r"no answer from elastic2.x"):
        cluster.founder(HOSTS)


def test_nodes_are_started_again_in_turn(cluster):
    for host in HOSTS:
        cluster.said[host]["ret"] = ["/f"]
    assert len(cluster.renew(HOSTS, ["/f"])) == 2
    assert [call[:2] for call in cluster.asked[1:]] == [
        ([host], "site_opensearch.restart") for host in HOSTS
    ]


def test_founding_and_restarts_are_predicted_done_and_refused(states):
    module, salt = states
    done = []
    salt["site_opensearch_cluster.founder"] = lambda _hosts: "elastic1.x"
    salt["site_opensearch_cluster.found"] = done.append
    salt["site_opensearch_cluster.outdated"] = lambda *_: {"elastic1.x": ["/f"]}
    salt["site_opensearch_cluster.renew"] = lambda *_: ["again"]
    module.__opts__["test"] = True
    assert module.cluster_founded("it", HOSTS)["result"] is None and not done
    assert module.cluster_current("it", HOSTS, [])["result"] is None
    module.__opts__["test"] = False
    assert module.cluster_founded("it", HOSTS)["changes"] == {"it": "elastic1.x"} and done
    assert module.cluster_current("it", HOSTS, [])["changes"] == {"it": ["again"]}
    salt["site_opensearch_cluster.founder"] = lambda _hosts: None
    salt["site_opensearch_cluster.outdated"] = lambda *_: {}
    assert module.cluster_founded("it", HOSTS)["changes"] == {}
    assert module.cluster_current("it", HOSTS, [])["changes"] == {}
    salt.refuse("site_opensearch_cluster.founder")
    salt.refuse("site_opensearch_cluster.outdated")
    assert module.cluster_founded("it", HOSTS)["result"] is False
    assert module.cluster_current("it", HOSTS, [])["result"] is False


# -- what is in it -------------------------------------------------------------

API = "/_plugins/_security/api"


def test_a_plan_is_sent(module, answers):
    answers.table["/x"] = {}
    module.run([["does", "PUT", "/x", {"a": 1}]])
    assert answers.sent == [("PUT", "/x", {"a": 1})]


def test_a_role_is_written_once(module, answers):
    wanted = ("search", ["c"], [{"patterns": ["wiki-*"], "actions": ["read"]}])
    ((_, method, path, body),) = module.role_plan(*wanted)
    assert (method, path) == ("PUT", f"{API}/roles/search")
    kept = {**body, "index_permissions": [dict(body["index_permissions"][0], fls=[])]}
    answers.table[path] = {"search": kept}
    assert module.role_plan(*wanted) == []
    assert module.role_plan("search", [], wanted[2])
    answers.table[path] = {"search": {**kept, "cluster_permissions": ["c", "more"]}}
    assert module.role_plan(*wanted)


def test_a_user_is_written_when_password_or_roles_change(module, answers):
    ((_, method, path, body),) = module.user_plan("wiki", HASH, ["wiki"])
    assert (method, path) == ("PUT", f"{API}/internalusers/wiki")
    assert body["hash"] == HASH
    answers.table[path] = {"wiki": {**body, "hash": "", "backend_roles": []}}
    assert module.user_plan("wiki", HASH, ["wiki"]) == []
    assert module.user_plan("wiki", HASH + "x", ["wiki"])
    assert module.user_plan("wiki", HASH, [])


def test_a_user_is_removed_once(module, answers):
    assert module.user_removal_plan("former") == []
    answers.table[f"{API}/internalusers/former"] = {"former": {}}
    assert module.user_removal_plan("former")[0][1] == "DELETE"


def test_a_template_is_written_when_it_changes(module, answers):
    ((_, _, path, body),) = module.template_plan("wiki", ["wiki-v*"], {"settings": {}})
    assert path == "/_index_template/wiki"
    answers.table[path] = {"index_templates": [{"index_template": body}]}
    assert module.template_plan("wiki", ["wiki-v*"], {"settings": {}}) == []
    assert module.template_plan("wiki", ["wiki-v*"], {"settings": {"a": 1}})


def test_the_first_index_is_made_where_no_alias_leads(module, answers):
    assert module.index_plan("wiki")[0][2:] == ["/wiki-v1", {"aliases": {"wiki": {}}}]
    answers.table["/_alias/wiki"] = {"wiki-v7": {}}
    assert module.index_plan("wiki") == []


def test_a_repository_is_written_when_it_differs(module, answers):
    settings = {"location": "/s", "compress": True}
    assert module.repository_plan("local", "fs", settings)
    there = {"location": "/s", "compress": "true", "more": "x"}
    answers.table["/_snapshot/local"] = {"local": {"type": "fs", "settings": there}}
    assert module.repository_plan("local", "fs", settings) == []
    assert module.repository_plan("local", "s3", settings)
    assert module.repository_plan("local", "fs", {"location": "/t"})
    assert module.repository_plan("local", "fs", {"base": "/t"})


# -- the states ----------------------------------------------------------------


class Salt(dict):
    def refuse(self, name):
        def raising(*_arguments):
            raise CommandExecutionError("no")

        self[name] = raising


@pytest.fixture
def states(load):
    salt = Salt()
    module = load("_states/site_opensearch.py", salt=salt, opts={"test": False})
    return module, salt


def test_an_installation_is_put_together(states):
    module, salt = states
    done = []
    salt["site_opensearch.assembled"] = lambda *_: False
    salt["site_opensearch.assemble"] = lambda *given: done.append(given)
    arguments = ("/home", [{"file": "a"}], {}, {})
    module.__opts__["test"] = True
    assert module.assembled(*arguments)["result"] is None and not done
    module.__opts__["test"] = False
    assert module.assembled(*arguments)["changes"] == {"/home": ["a"]}
    assert done == [arguments]
    salt.refuse("site_opensearch.assemble")
    assert module.assembled(*arguments)["result"] is False
    salt["site_opensearch.assembled"] = lambda *_: True
    assert module.assembled(*arguments)["changes"] == {}


def test_a_node_is_waited_for(states):
    module, salt = states
    salt["site_opensearch.wait"] = lambda *_: {"status": "green", "nodes": 3}
    salt["site_opensearch.settle"] = lambda: None
    assert module.ready("it")["comment"] == "green, 3 nodes"
    salt.refuse("site_opensearch.wait")
    assert module.ready("it")["result"] is False
    module.__opts__["test"] = True
    assert module.ready("it")["result"] is True


@pytest.mark.parametrize(
    ("state", "planner", "arguments"),
    [
        ("role_present", "role_plan", ("a", ["c"], [])),
        ("user_present", "user_plan", ("a", HASH, [])),
        ("user_absent", "user_removal_plan", ("a",)),
        ("template_present", "template_plan", ("a", ["a-*"], {})),
        ("index_present", "index_plan", ("a",)),
        ("repository_present", "repository_plan", ("a", "fs", {})),
    ],
)
def test_what_is_wanted_is_asked_predicted_and_sent(states, state, planner, arguments):
    module, salt = states
    sent = []
    salt[f"site_opensearch.{planner}"] = lambda *given: [["does", "PUT", "/", list(given)]]
    salt["site_opensearch.run"] = sent.append
    module.__opts__["test"] = True
    assert getattr(module, state)(*arguments)["result"] is None and not sent
    module.__opts__["test"] = False
    assert getattr(module, state)(*arguments)["changes"] == {"a": ["does"]}
    assert sent == [[["does", "PUT", "/", list(arguments)]]]
    salt.refuse("site_opensearch.run")
    assert getattr(module, state)(*arguments)["result"] is False
    salt[f"site_opensearch.{planner}"] = lambda *_: []
    assert getattr(module, state)(*arguments)["changes"] == {}


# -- a new index behind an alias -------------------------------------------------


class Indexes:
    """Indexes of documents with versions, as far as a reindex asks for them."""

    def __init__(self, module, monkeypatch):
        self.data, self.aliases, self.meta = {}, {}, {}
        self.events = {}
        self.module = module
        monkeypatch.setattr(module, "request", self.request)
        monkeypatch.setattr(module, "BATCH", 2)

    def write(self, index, name, source):
        table = self.data[index]
        table["seq"] += 1
        table["docs"][name] = {"_seq_no": table["seq"], "_source": source}

    def make(self, index, **documents):
        self.data[index] = {"seq": -1, "docs": {}}
        for name, source in documents.items():
            self.write(index, name, source)

    def shown(self, index):
        return {name: doc["_source"] for name, doc in self.data[index]["docs"].items()}

    def hit(self, name, doc):
        return {"_id": name, "_primary_term": 1, **doc}

    def bulk(self, index, text):
        lines = [json.loads(line) for line in text.splitlines()]
        items = []
        while lines:
            ((action, meta),) = lines.pop(0).items()
            docs, name = self.data[index]["docs"], meta["_id"]
            source = lines.pop(0) if action != "delete" else None
            there = docs.get(name)
            status = 200
            if source == "refused":
                status = 400
            elif action == "create" and there:
                status = 409
            elif action != "create" and not there:
                status = 404
            elif action != "create" and there["_seq_no"] != meta["if_seq_no"]:
                status = 409
            elif action == "delete":
                del docs[name]
            else:
                self.write(index, name, source)
            items.append({action: {"_id": name, "status": status, "error": {"reason": "odd"}}})
        return {"items": items}

    def request(self, method, path, body=None, seconds=30):  # noqa: PLR0911 - a table of calls
        assert seconds
        event = self.events.pop((method, path), None)
        if event:
            event()
        if path.startswith("/_alias/"):
            found = self.aliases.get(path.removeprefix("/_alias/"))
            if found is None:
                raise self.module.NotThereError(path)
            return {index: {} for index in found}
        if path == "/_aliases":
            for step in body["actions"]:
                ((action, what),) = step.items()
                names = self.aliases[what["alias"]]
                names.append(what["index"]) if action == "add" else names.remove(what["index"])
            return {}
        index, _, call = path.removeprefix("/").partition("/")
        if "*" in index:
            return {name: {} for name in [*self.data, "wiki-vold"]}
        if method == "DELETE":
            del self.data[index]
            return {}
        if not call:
            self.make(index)
            return {}
        if call == "_bulk":
            return self.bulk(index, body)
        docs = self.data[index]["docs"]
        if call == "_search":
            after = body["query"]["range"]["_seq_no"]["gt"]
            hits = sorted(
                (self.hit(*item) for item in docs.items() if item[1]["_seq_no"] > after),
                key=lambda hit: hit["_seq_no"],
            )
            return {"hits": {"hits": hits[: body["size"]]}}
        if call == "_mget":
            return {
                "docs": [
                    {"_id": name, "found": name in docs, **self.hit(name, docs.get(name, {}))}
                    for name in body["ids"]
                ]
            }
        if call == "_mapping":
            if method == "PUT":
                self.meta[index] = body["_meta"]
            return {index: {"mappings": {"_meta": self.meta.get(index, {})}}}
        if call.startswith("_stats"):
            seq = {"seq_no": {"max_seq_no": self.data[index]["seq"]}}
            return {"indices": {index: {"shards": {"0": [seq]}}}}
        assert call == "_refresh"
        return {}


@pytest.fixture
def indexes(module, monkeypatch):
    found = Indexes(module, monkeypatch)
    found.make("wiki-v1", a=1, b=2, c=3)
    found.aliases["wiki"] = ["wiki-v1"]
    return found


def test_a_reindex_copies_switches_and_removes(module, indexes):
    assert module.reindex("wiki") == {
        "old": "wiki-v1",
        "new": "wiki-v2",
        "copied": 3,
        "mended": 0,
    }
    assert indexes.aliases["wiki"] == ["wiki-v2"]
    assert list(indexes.data) == ["wiki-v2"]
    assert indexes.shown("wiki-v2") == {"a": 1, "b": 2, "c": 3}


def test_what_is_written_meanwhile_is_there_after_it(module, indexes):
    def before_the_switch():
        indexes.write("wiki-v1", "a", 10)
        indexes.write("wiki-v1", "d", 4)
        indexes.write("wiki-v1", "e", 5)
        indexes.write("wiki-v1", "x", 6)
        del indexes.data["wiki-v1"]["docs"]["b"]

    def after_the_switch():
        # Newer than what the old index has.
        indexes.write("wiki-v2", "e", 50)
        indexes.write("wiki-v2", "f", 7)

    indexes.events = {
        ("POST", "/_aliases"): before_the_switch,
        ("POST", "/wiki-v1/_mget"): lambda: None,
    }
    count = iter(range(9))

    def refreshed():
        if next(count):
            after_the_switch()
        else:
            indexes.events["POST", "/wiki-v2/_refresh"] = refreshed

    indexes.events["POST", "/wiki-v2/_refresh"] = refreshed
    said = module.reindex("wiki")
    assert indexes.shown("wiki-v2") == {"a": 10, "c": 3, "d": 4, "e": 50, "f": 7, "x": 6}
    assert said["mended"] == 4


def test_a_change_of_the_same_moment_wins(module, indexes):
    def late():
        indexes.write("wiki-v1", "a", 10)

    indexes.events["POST", "/_aliases"] = late
    # Between the look and the change.
    there = module._there

    def looked(index, hits):
        found = there(index, hits)
        if index == "wiki-v2" and "a" in found:
            indexes.write("wiki-v2", "a", 100)
        return found

    module._there = looked
    assert module.reindex("wiki")["mended"] == 0
    assert indexes.shown("wiki-v2")["a"] == 100


def test_an_empty_index_is_reindexed(module, indexes):
    indexes.make("wiki-v1")
    assert module.reindex("wiki")["copied"] == 0


def test_an_index_of_no_shard_that_tells_has_no_last_change(module, monkeypatch):
    monkeypatch.setattr(module, "request", lambda *_: {"indices": {}})
    assert module._last("wiki-v1") == -1


def test_a_run_that_was_cut_short_is_finished(module, indexes):
    # One ended before its switch, another after it.
    indexes.make("wiki-v3", junk=0)
    indexes.make("wiki-v2", a=1)
    indexes.meta["wiki-v2"] = {"mark": 0}
    indexes.aliases["wiki"] = ["wiki-v2"]
    assert module.reindex("wiki")["new"] == "wiki-v3"
    assert indexes.shown("wiki-v3") == {"a": 1, "b": 2, "c": 3}
    assert list(indexes.data) == ["wiki-v3"]


def test_a_document_that_is_refused_ends_it_and_the_old_index_stays(module, indexes):
    indexes.write("wiki-v1", "odd", "refused")
    with pytest.raises(CommandExecutionError, match="wiki-v2: odd: odd"):
        module.reindex("wiki")
    assert indexes.aliases["wiki"] == ["wiki-v1"]


@pytest.mark.parametrize("found", [None, ["wiki-v1", "wiki-v2"]])
def test_an_alias_that_is_not_one_index_is_refused(module, indexes, found):
    indexes.aliases["wiki"] = found
    with pytest.raises(CommandExecutionError, match="not to one index"):
        module.reindex("wiki")
