"""What is told of a push: the hook that spools it, and the sender."""

import fcntl
import http.server
import io
import itertools
import json
import os
import ssl
import subprocess
import sys
import threading
import time

import pytest

from tests.unit.conftest import ROOT, load_module, serving

NAME, SECRET = "webplatform/www", "what this repository signs with"
OTHER = "webplatform/other"
REPOSITORIES = {
    NAME: {"app": "www", "branches": ["main"], "secrets": [SECRET]},
    OTHER: {"app": "other", "branches": ["main"], "secrets": ["another secret"]},
}
NOBODY = "0" * 40


@pytest.fixture
def sender():
    return load_module("salt/gitolite/files/git-webhook.py")


@pytest.fixture
def hook(monkeypatch, tmp_path, config):
    module = load_module("salt/gitolite/files/post-receive.py")
    monkeypatch.setattr(module, "CONFIG", str(config))
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "ada@example.org")
    return module


@pytest.fixture
def spool(tmp_path):
    folder = tmp_path / "spool"
    folder.mkdir()
    return folder


@pytest.fixture
def config(tmp_path, spool):
    path = tmp_path / "config.json"
    made = {
        "url": "https://hook.example.org",
        "ca": str(tmp_path / "ca.crt"),
        "spool": str(spool),
        "secrets": {NAME: SECRET, OTHER: "another secret"},
    }
    path.write_text(json.dumps(made), encoding="utf-8")
    return path


@pytest.fixture
def read(config):
    return json.loads(config.read_text(encoding="utf-8"))


def waiting(spool):
    return sorted(path.name for path in spool.iterdir())


# -- the body ----------------------------------------------------------------------


@pytest.fixture
def repository(tmp_path, monkeypatch, hook):
    """An empty repository, in which the hook runs; call it for a commit."""
    path = tmp_path / "repository.git"
    subprocess.run(
        ["git", "init", "--quiet", "--bare", "--initial-branch=main", str(path)], check=True
    )
    monkeypatch.chdir(path)

    def run(*command):
        done = subprocess.run(["git", *command], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(message, *parents, ref="refs/heads/main"):
        tree = run("write-tree")
        made = run(
            "commit-tree", tree, "-m", message, *(word for one in parents for word in ("-p", one))
        )
        run("update-ref", ref, made)
        return made

    commit.run = run
    return commit


def said(hook, old, new, ref="refs/heads/main", seconds=30):
    return hook.body(NAME, "ada", old, new, ref, time.monotonic() + seconds)


def test_a_push_has_github_s_shape(hook, repository):
    first = repository("one")
    second = repository("two\n\nwith a body", first)
    third = repository("drei – drüben", second)
    body = said(hook, first, third)
    assert body.pop("pushed_at") > 0
    head = body.pop("head_commit")
    assert (head["id"], head["message"]) == (third, "drei – drüben")
    assert head["timestamp"].startswith("20")
    assert body == {
        "ref": "refs/heads/main",
        "before": first,
        "after": third,
        "created": False,
        "deleted": False,
        "forced": False,
        "repository": {"name": "www", "full_name": NAME, "default_branch": "main"},
        "pusher": {"name": "ada"},
        "commits": [
            {"id": second, "message": "two\n\nwith a body"},
            {"id": third, "message": "drei – drüben"},
        ],
    }


def test_the_same_push_twice_is_not_the_same_body(hook, repository):
    first = repository("one")
    assert said(hook, NOBODY, first) != said(hook, NOBODY, first)


def test_a_new_branch_has_the_commits_that_no_other_has(hook, repository):
    first = repository("one")
    assert [one["id"] for one in said(hook, NOBODY, first)["commits"]] == [first]
    second = repository("two", first, ref="refs/heads/topic")
    body = said(hook, NOBODY, second, "refs/heads/topic")
    assert body["created"] and not body["forced"]
    assert [one["id"] for one in body["commits"]] == [second]


def test_a_branch_that_was_rewritten(hook, repository):
    first = repository("one")
    second, other = repository("two", first), repository("other", first)
    body = said(hook, second, other)
    assert body["forced"] and [one["id"] for one in body["commits"]] == [other]
    alone = repository("alone")
    assert said(hook, second, alone)["forced"]


def test_a_branch_that_was_deleted(hook, repository):
    first = repository("one")
    body = said(hook, first, NOBODY)
    assert body["deleted"] and not body["forced"]
    assert (body["head_commit"], body["commits"]) == (None, [])


def test_tags(hook, repository):
    first = repository("one")
    repository.run("tag", "-a", "v1", "-m", "v1", first)
    tag = repository.run("rev-parse", "refs/tags/v1")
    assert said(hook, NOBODY, tag, "refs/tags/v1")["head_commit"]["id"] == first
    tree = repository.run("write-tree")
    assert said(hook, NOBODY, tree, "refs/tags/tree")["head_commit"] is None


def test_many_and_long_commits_are_cut(hook, repository):
    last = first = repository("one")
    for number in range(25):
        last = repository(f"{number} " + "x" * 3000, last)
    body = said(hook, first, last)
    assert len(body["commits"]) == 20 and body["commits"][-1]["id"] == last
    assert len(json.dumps(body)) < 100_000


def test_git_that_has_no_time_leaves_the_rest(hook, repository):
    first = repository("one")
    body = said(hook, NOBODY, first, seconds=-1)
    assert (body["after"], body["head_commit"], body["commits"]) == (first, None, [])
    assert body["repository"]["default_branch"] == ""


# -- the spool ----------------------------------------------------------------------


def test_a_delivery_is_there_whole_and_for_its_owner_only(hook, sender, spool):
    names = [hook.spool(spool, NAME, {"ref": str(number)}) for number in range(3)]
    assert waiting(spool) == names
    path = spool / names[0]
    assert path.stat().st_mode & 0o777 == 0o600
    delivery = sender.read(path)
    assert json.loads(delivery["body"]) == {"ref": "0"}
    assert delivery["headers"]["X-GitHub-Delivery"] in names[0]


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "{}", '{"repository": "a"}'])
def test_what_is_no_delivery(sender, tmp_path, text):
    (tmp_path / "x.json").write_text(text, encoding="utf-8")
    assert sender.read(tmp_path / "x.json") is None


# -- sending -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (200, "accepted"),
        (202, "accepted"),
        (422, "other"),
        (400, "refused"),
        (403, "refused"),
        (404, "refused"),
        (408, "later"),
        (421, "later"),
        (429, "later"),
        (301, "later"),
        (500, "later"),
        (503, "later"),
    ],
)
def test_what_comes_of_an_answer(sender, status, word):
    assert sender.judge(status, "why")[0] == word


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b'{"message": "accepted"}', "accepted"),
        (b'{"message": "two\\nlines\\tof it"}', "two lines of it"),
        (b"<html>", ""),
        (b"[]", ""),
        (b"{}", ""),
        (b"\xff", ""),
    ],
)
def test_what_an_answer_says(sender, body, sentence):
    assert sender.sentence(body) == sentence


def test_the_signature_is_the_one_that_the_receiver_checks(sender):
    receiver = load_module("salt/hook/files/hook.py")
    assert receiver.signed([SECRET], b"body", sender.signature(SECRET, b"body"))


class Receiver:
    """Answers in the receiver's place: a status, or an exception, for each delivery."""

    def __init__(self, *answers):
        self.answers, self.got = list(answers), []

    def __call__(self, config, delivery, seconds):
        self.got.append(delivery["body"])
        answer = self.answers.pop(0) if self.answers else 202
        if isinstance(answer, Exception):
            raise answer
        return answer, "said"


@pytest.fixture
def put(spool):
    numbers = itertools.count(1)

    def made(repository=NAME, text=None):
        name = f"{next(numbers):020d}.json"
        delivery = {"repository": repository, "headers": {}, "body": f"body {name[18]}{name[19]}"}
        (spool / name).write_text(text or json.dumps(delivery), encoding="utf-8")
        return name

    return made


def send(sender, read, monkeypatch, receiver, seconds=30):
    monkeypatch.setattr(sender, "post", receiver)
    found = {}

    def say(name, word, why):
        found[name] = (word, why)

    sender.send(read, time.monotonic() + seconds, say)
    return found


def test_the_oldest_goes_first_and_what_is_done_goes(sender, read, monkeypatch, put, spool):
    for _ in range(4):
        put()
    (spool / ".half.json").write_text("{", encoding="utf-8")
    receiver = Receiver(202, 403, 422, 202)
    found = send(sender, read, monkeypatch, receiver)
    assert [word for word, _ in found.values()] == ["accepted", "refused", "other", "accepted"]
    assert receiver.got == ["body 01", "body 02", "body 03", "body 04"]
    assert waiting(spool) == [".half.json"]


def test_what_is_not_taken_stays_and_so_do_later_ones_of_it(sender, read, monkeypatch, put, spool):
    first, second, other = put(), put(), put(OTHER)
    found = send(sender, read, monkeypatch, Receiver(503, 202))
    assert found == {
        first: ("later", "the receiver answers 503"),
        second: ("later", "an earlier push waits, too"),
        other: ("accepted", "said"),
    }
    assert waiting(spool) == [first, second]


def test_where_nobody_answers_nobody_is_asked_again(sender, read, monkeypatch, put, spool):
    put(), put(OTHER)
    receiver = Receiver(OSError("refused"))
    found = send(sender, read, monkeypatch, receiver)
    assert set(found.values()) == {("later", "no answer: refused")}
    assert len(receiver.got) == 1 and len(waiting(spool)) == 2


def test_an_answer_that_breaks_off(sender, read, monkeypatch, put):
    put()
    broken = sender.http.client.RemoteDisconnected()
    found = send(sender, read, monkeypatch, Receiver(broken))
    assert list(found.values()) == [("later", "no answer: RemoteDisconnected")]


def test_without_time_nothing_is_begun(sender, read, monkeypatch, put, spool):
    name = put()
    found = send(sender, read, monkeypatch, Receiver(), seconds=-1)
    assert found == {name: ("later", "no time was left")} and waiting(spool) == [name]


def test_what_can_never_be_sent_goes(sender, read, monkeypatch, put, spool):
    put(text="{"), put("webplatform/gone")
    found = send(sender, read, monkeypatch, Receiver())
    assert {word for word, _ in found.values()} == {"refused"} and waiting(spool) == []


# -- over the wire -------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """The receiver's certificate, which is its own authority."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-addext", "keyUsage=critical,digitalSignature,keyCertSign"),
            *("-keyout", str(folder / "key"), "-out", str(folder / "crt")),
        ],
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture
def server(authority, tmp_path, read, config):
    """The receiver itself, its judgement and all, behind a small server."""
    receiver = load_module("salt/hook/files/hook.py")
    answers = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            queue = receiver.Queue(tmp_path / "pushes.sqlite")
            known = {"repositories": REPOSITORIES, "days": 90}
            status, sentence = receiver.answer(known, queue, self.path[1:], headers, body, 1.0)
            answers.append((status, sentence))
            said = json.dumps({"message": sentence}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_):
            pass

    made = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "crt", authority / "key")
    made.socket = context.wrap_socket(made.socket, server_side=True)
    read.update(url=f"https://localhost:{made.server_port}", ca=str(authority / "crt"))
    config.write_text(json.dumps(read), encoding="utf-8")
    with serving(made):
        yield answers


def test_a_push_is_taken_by_the_receiver(hook, sender, server, repository, config, spool, capsys):
    first = repository("one")
    hook.spool(spool, NAME, said(hook, NOBODY, first))
    hook.spool(spool, NAME, said(hook, NOBODY, first, "refs/heads/topic"))
    assert sender.main([str(config), "--each"]) is None
    assert server[0] == (202, "accepted") and server[1][0] == 422
    assert waiting(spool) == []
    lines = [line.split("\t")[1:] for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["accepted", "accepted"]
    assert lines[1][0] == "other"


def test_the_journal_hears_of_all_but_other_branches(
    hook, sender, server, repository, config, spool, capsys
):
    first = repository("one")
    hook.spool(spool, NAME, said(hook, NOBODY, first))
    hook.spool(spool, NAME, said(hook, NOBODY, first, "refs/heads/topic"))
    assert sender.main([str(config)]) is None
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_another_authority_s_receiver_is_told_nothing(
    hook, sender, server, config, read, spool, tmp_path, capsys
):
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-subj", "/CN=x", "-addext", "keyUsage=critical,keyCertSign"),
            *("-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "ca.crt")),
        ],
        check=True,
        capture_output=True,
    )
    config.write_text(json.dumps(read | {"ca": str(tmp_path / "ca.crt")}), encoding="utf-8")
    name = hook.spool(spool, NAME, {"ref": "refs/heads/main"})
    assert sender.main([str(config)]) is None
    assert server == [] and waiting(spool) == [name]
    assert "CERTIFICATE_VERIFY_FAILED" in capsys.readouterr().out


def test_two_do_not_run_together(sender, config, put, spool, monkeypatch):
    name = put()
    monkeypatch.setattr(sender, "post", Receiver())
    handle = os.open(spool, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    assert sender.main([str(config), "--seconds", "0.3"]) is None
    assert waiting(spool) == [name]
    threading.Timer(0.3, os.close, [handle]).start()
    assert sender.main([str(config), "--seconds", "10"]) is None
    assert waiting(spool) == []


@pytest.mark.parametrize(
    ("change", "well"),
    [
        ({}, True),
        ({"secrets": {}}, True),
        ({"url": "http://hook.example.org"}, False),
        ({"secrets": {NAME: ""}}, False),
    ],
)
def test_a_configuration_is_checked(sender, config, read, put, spool, change, well):
    put()
    config.write_text(json.dumps(read | change), encoding="utf-8")
    assert (sender.main([str(config), "--check"]) is None) == well
    assert len(waiting(spool)) == 1


# -- the hook as a whole ----------------------------------------------------------------


def program(tmp_path, text):
    """A sender of one's own."""
    path = tmp_path / "sender"
    path.write_text(f"#!{sys.executable}\n{text}", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def push(hook, lines, environment=None, *, monkeypatch):
    monkeypatch.setattr(hook.sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
    for name, value in (environment or {"GL_REPO": NAME, "GL_USER": "ada"}).items():
        monkeypatch.setenv(name, value)
    assert hook.main() == 0


def test_the_pusher_is_told(hook, server, repository, monkeypatch, capsys, spool, tmp_path):
    monkeypatch.setattr(
        hook, "SENDER", str(copy_of(tmp_path, "salt/gitolite/files/git-webhook.py"))
    )
    first = repository("one")
    lines = [f"{NOBODY} {first} refs/heads/main", f"{NOBODY} {first} refs/heads/topic"]
    push(hook, lines, monkeypatch=monkeypatch)
    assert capsys.readouterr().out.splitlines() == [
        "webhook: accepted",
        "webhook: not needed (nothing here is made of this branch, but of main)",
    ]
    assert waiting(spool) == []
    push(hook, lines[:1], {"GL_REPO": OTHER}, monkeypatch=monkeypatch)
    assert capsys.readouterr().out == "webhook: accepted\n"


def copy_of(tmp_path, path):
    """A program of this tree, run by this Python."""
    text = (ROOT / path).read_text(encoding="utf-8").partition("\n")[2]
    return program(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "webhook: not delivered yet (no time was left); it will be tried again"),
        ("raise SystemExit(3)", "webhook: not delivered yet (no time was left); it will be tried"),
        ("import time; print('half', flush=True); time.sleep(60)", "webhook: not delivered yet"),
    ],
)
def test_a_sender_that_fails_fails_no_push(
    hook, repository, monkeypatch, capsys, spool, tmp_path, text, line
):
    monkeypatch.setattr(hook, "SENDER", program(tmp_path, text))
    monkeypatch.setattr(hook, "SECONDS", 2)
    began = time.monotonic()
    push(hook, [f"{NOBODY} {repository('one')} refs/heads/main"], monkeypatch=monkeypatch)
    assert time.monotonic() - began < 5
    assert capsys.readouterr().out.startswith(line)
    assert len(waiting(spool)) == 1


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("accepted", "webhook: accepted"),
        ("other", "webhook: not needed (why)"),
        ("refused", "webhook: refused (why)"),
        ("later", "webhook: not delivered yet (why); it will be tried again"),
    ],
)
def test_the_lines(hook, word, line):
    assert hook.line(word, "why") == line


def test_a_repository_without_a_webhook(hook, monkeypatch, capsys, spool):
    push(hook, ["a b c"], {"GL_REPO": "webplatform/plain"}, monkeypatch=monkeypatch)
    assert capsys.readouterr().out == "" and waiting(spool) == []


def test_a_push_of_nothing(hook, monkeypatch, capsys, spool):
    push(hook, [], monkeypatch=monkeypatch)
    assert capsys.readouterr().out == "" and waiting(spool) == []


def test_whatever_goes_wrong_the_push_stands(hook, repository, monkeypatch, capsys, spool):
    spool.rmdir()
    push(hook, [f"{NOBODY} {repository('one')} refs/heads/main"], monkeypatch=monkeypatch)
    assert "none was sent (FileNotFoundError" in capsys.readouterr().err
    push(hook, ["nonsense"], monkeypatch=monkeypatch)
    assert "none was sent (ValueError" in capsys.readouterr().err
