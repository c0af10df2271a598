"""The search engine, asked as the apps ask it: what works, and what is refused."""

import json
import secrets as random

import pytest

from tests.support.waiting import wait_for

# Reads one question from standard input, so that no password is in a process list.
ASK = """
import base64, json, ssl, sys, urllib.error, urllib.request
said = json.load(sys.stdin)
context = ssl.create_default_context(cafile="/etc/ssl/site/ca.crt")
headers = {"Content-Type": "application/json"}
if said["user"]:
    token = base64.b64encode((said["user"] + ":" + said["password"]).encode()).decode()
    headers["Authorization"] = "Basic " + token
data = None if said["body"] is None else json.dumps(said["body"]).encode()
asked = urllib.request.Request(said["url"], data, headers, method=said["method"])
try:
    with urllib.request.urlopen(asked, timeout=20, context=context) as answer:
        code, text = answer.status, answer.read().decode()
except urllib.error.HTTPError as error:
    code, text = error.code, error.read().decode()
except OSError as error:
    code, text = 0, str(error)
print(json.dumps([code, text]))
"""


class Engine:
    """The port that apps use, on one host."""

    def __init__(self, fleet, host, secrets):
        self.fleet, self.host, self.secrets = fleet, host, secrets

    def ask(self, user, method, path, body=None, password=None, base="https://127.0.0.1:9200"):
        """(status, data); status 0 where there is no answer at all."""
        question = {
            "user": user,
            "password": password or self.secrets.get(f"opensearch-{user}", ""),
            "method": method,
            "url": base + path,
            "body": body,
        }
        done = self.fleet.shell(self.host, f"python3 -c '{ASK}'", stdin=json.dumps(question))
        code, text = json.loads(done.stdout)
        try:
            return code, json.loads(text)
        except ValueError:
            return code, text

    def titles(self, user, index, query):
        code, said = self.ask(user, "POST", f"/{index}/_search", {"query": query})
        assert code == 200, said
        return [hit["_source"]["title"] for hit in said["hits"]["hits"]]


@pytest.fixture(scope="module")
def node(fleet):
    found = fleet.with_role("elastic")
    if not found:
        pytest.skip("this level has no search engine")
    return found[0].name


@pytest.fixture(scope="module")
def engine(fleet, node, secrets):
    """As an app sees it; on the node itself where the level has no app host."""
    apps = fleet.with_role("app")
    return Engine(fleet, apps[0].name if apps else node, secrets)


@pytest.fixture(scope="module")
def word():
    """A word that no document has."""
    return "w" + random.token_hex(6)


@pytest.fixture(scope="module")
def document(engine, word):
    """A document of the wiki, for as long as the tests run."""
    path = f"/wiki/_doc/test-{word}?refresh=true"
    body = {
        "id": f"test-{word}",
        "title": f"Selectors {word}",
        "text": f"{word} foxes were jumping",
        "url": "https://docs.example/x",
        "site": "wiki",
    }
    code, said = engine.ask("wiki", "PUT", path, body)
    assert code == 201, said
    yield body
    engine.ask("wiki", "DELETE", path)


def both(word, field, text):
    return {"bool": {"must": [{"match": {"text": word}}, {"match": {field: text}}]}}


@pytest.mark.parametrize(
    ("field", "text"),
    [("text", "jumped"), ("text", "fox"), ("title", "selector"), ("title.prefix", "sele")],
)
def test_a_document_is_found_by_stems_and_beginnings(engine, document, word, field, text):
    assert engine.titles("search", "wiki", both(word, field, text)) == [document["title"]]
    assert engine.titles("search", "wiki", both(word, field, "zebra")) == []


@pytest.mark.parametrize(
    ("user", "method", "path", "body"),
    [
        ("wiki", "PUT", "/blog/_doc/x", {"title": "x"}),
        ("wiki", "POST", "/blog/_search", {}),
        ("wiki", "DELETE", "/wiki-v1", None),
        ("wiki", "PUT", "/_plugins/_security/api/internalusers/wiki", {"password": "x" * 30}),
        ("wiki", "GET", "/_snapshot/_all", None),
        ("blog", "PUT", "/wiki/_doc/x", {"title": "x"}),
        ("search", "PUT", "/wiki/_doc/x", {"title": "x"}),
        ("search", "POST", "/_all/_search", {}),
        ("operator", "PUT", "/wiki/_doc/x", {"title": "x"}),
        ("operator", "DELETE", "/wiki", None),
        (
            "operator",
            "PUT",
            "/_cluster/settings",
            {"transient": {"action.auto_create_index": "true"}},
        ),
        ("search", "GET", "/.opendistro_security/_search", None),
    ],
)
def test_what_a_user_has_no_right_to_is_refused(engine, user, method, path, body):
    code, said = engine.ask(user, method, path, body)
    assert code == 403, said


@pytest.mark.parametrize(("user", "password"), [("", ""), ("wiki", "wrong"), ("admin", "admin")])
def test_nobody_is_let_in_without_the_right_password(engine, user, password):
    assert engine.ask(user, "GET", "/", password=password)[0] == 401


def test_it_speaks_tls_only(engine):
    assert engine.ask("wiki", "GET", "/", base="http://127.0.0.1:9200")[0] == 0


def test_an_operator_sees_how_it_is(engine):
    code, said = engine.ask("operator", "GET", "/_cluster/health")
    assert code == 200
    assert said["status"] in ("green", "yellow")


def root(fleet, node, method, path, body=None):
    """What root of a node asks, with the host's own certificate."""
    words = f"salt-call --out=json site_opensearch.request {method} '{path}'"
    if body is not None:
        words += f" body='{json.dumps(body)}'"
    done = fleet.shell(node, words)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)["local"]


def test_a_lost_document_comes_back_from_a_snapshot(fleet, node, engine, document, word):
    name = f"test-{word}"
    wiki = next(iter(root(fleet, node, "GET", "/_alias/wiki")))
    asked = {"indices": wiki, "include_global_state": False}
    path = f"/_snapshot/local/{name}"
    made = root(fleet, node, "PUT", f"{path}?wait_for_completion=true", asked)
    assert made["snapshot"]["state"] == "SUCCESS"
    copy = f"restored-{word}"
    try:
        asked = {"indices": wiki, "include_aliases": False}
        asked |= {"rename_pattern": "(.+)", "rename_replacement": copy}
        root(fleet, node, "POST", f"{path}/_restore?wait_for_completion=true", asked)
        found = root(fleet, node, "GET", f"/{copy}/_doc/{document['id']}")
        assert found["_source"] == document
        assert engine.ask("search", "POST", f"/{copy}/_search", {})[0] == 403
    finally:
        root(fleet, node, "DELETE", f"/{copy}")
        root(fleet, node, "DELETE", path)


def test_a_reindex_keeps_what_is_there_and_searches_go_on(fleet, node, engine, document, word):
    before = next(iter(root(fleet, node, "GET", "/_alias/wiki")))
    done = fleet.shell(node, "salt-call --out=json site_opensearch.reindex wiki")
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)["local"]
    assert said["old"] == before
    assert list(root(fleet, node, "GET", "/_alias/wiki")) == [said["new"]]
    found, _ = wait_for(
        lambda: engine.titles("search", "wiki", {"match": {"text": word}}), 20, "it is found"
    )
    assert found == [document["title"]]
