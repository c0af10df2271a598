"""One node of a Galera cluster, and the cluster as the master sees it."""

import json
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.unit.conftest import serving

UUID = "11075e03-e559-11f1-8249-cb003195d512"
OTHER = "22075e03-e559-11f1-8249-cb003195d512"
NOBODY = "00000000-0000-0000-0000-000000000000"
SYNCED = {
    "wsrep_local_state_comment": "Synced",
    "wsrep_cluster_status": "Primary",
    "wsrep_cluster_size": "3",
    "wsrep_cluster_state_uuid": UUID,
    "wsrep_gcomm_uuid": "6097a96c-e647-11f1-847a-8b205e4cc1e6",
    "wsrep_provider_name": "Galera",
    "wsrep_ready": "ON",
}
# After a transfer that failed: it goes on saying that it joins, by a way that is closed.
LEFT = {
    **{name: value for name, value in SYNCED.items() if name != "wsrep_gcomm_uuid"},
    "wsrep_local_state_comment": "Joining: receiving State Transfer",
    "wsrep_cluster_status": "non-Primary",
    "wsrep_ready": "OFF",
}
PEERS = [{"name": f"db{n}", "address": f"192.0.2.{n}"} for n in (1, 2, 3)]


def state_file(uuid=UUID, seqno=7, safe=0):
    return f"# GALERA saved state\nversion: 2.1\nuuid:    {uuid}\nseqno:   {seqno}\nsafe_to_bootstrap: {safe}\n"  # noqa: E501


class Host:
    """What the module meets on a host."""

    def __init__(self, module, folder):
        self.module = module
        self.said = {}
        self.unit = "inactive"
        self.commands = []
        self.results = {}
        module.DATA = folder
        module.STATE_FILE = folder / "grastate.dat"
        module.HELD = folder / "held"
        module.__salt__ = {
            "site_mariadb.rows": self.rows,
            "cmd.run_stdout": lambda command, python_shell: self.unit,
            "cmd.run_all": self.run_all,
        }

    def rows(self, statement, arguments):
        assert statement % arguments == "SHOW GLOBAL STATUS LIKE 'wsrep%'"
        if self.said is None:
            raise self.module.CommandExecutionError("no")
        return [{"Variable_name": name, "Value": value} for name, value in self.said.items()]

    def run_all(self, command, python_shell):
        assert python_shell is False
        self.commands.append(" ".join(command))
        return self.results.get(command[0], {"retcode": 0, "stdout": "", "stderr": ""})


@pytest.fixture
def galera(load):
    return load("_modules/site_galera.py")


@pytest.fixture
def host(galera, tmp_path):
    return Host(galera, tmp_path)


# -- the node ------------------------------------------------------------------


def test_provider_options_listen_on_the_own_address_with_tls(galera):
    text = galera.provider_options(
        {"cache_mb": 64, "suspect_timeout": "PT3S", "primary_timeout": "PT30S"},
        {"ca": "/a", "certificate": "/b", "key": "/c"},
        "192.0.2.1",
    )
    assert "gmcast.listen_addr=ssl://192.0.2.1:4567; ist.recv_bind=192.0.2.1" in text
    assert text.endswith("socket.ssl_ca=/a; socket.ssl_cert=/b; socket.ssl_key=/c")


def test_status_of_a_synced_node(galera, host):
    host.said = SYNCED
    assert galera.status() == {
        "state": "Synced",
        "status": "Primary",
        "size": 3,
        "uuid": UUID,
        "outside": False,
        "left": False,
        "synced": True,
    }
    assert galera.ready()


@pytest.mark.parametrize(
    "change",
    [
        {"wsrep_local_state_comment": "Donor/Desynced"},
        {"wsrep_cluster_status": "non-Primary"},
        {"wsrep_ready": "OFF"},
    ],
)
def test_a_node_is_ready_only_with_all_three_signs(galera, host, change):
    host.said = {**SYNCED, **change}
    assert not galera.ready()


def test_status_without_a_daemon_and_without_a_cluster(galera, host):
    host.said = None
    assert galera.status()["outside"] is False
    host.said = {"wsrep_cluster_status": "Disconnected", "wsrep_provider_name": ""}
    assert galera.status()["outside"] is True


def test_the_state_file_is_read(galera):
    assert galera.parse_state(state_file(safe=1)) == {"uuid": UUID, "seqno": 7, "safe": True}


@pytest.mark.parametrize("text", ["", "uuid: x\nseqno: y\nsafe_to_bootstrap: 0\n", "seqno: 1\n"])
def test_a_state_file_in_ruins_is_refused(galera, text):
    with pytest.raises(galera.CommandExecutionError, match="not well formed"):
        galera.parse_state(text)


@pytest.mark.parametrize(
    ("text", "history", "safe"),
    [
        (None, False, False),
        (state_file(NOBODY, -1), False, False),
        (state_file(safe=1), True, True),
        ("", True, False),
    ],
)
def test_facts(galera, host, text, history, safe):
    host.said = None
    if text is not None:
        galera.STATE_FILE.write_text(text)
    (galera.DATA / "gvwstate.dat").touch()
    found = galera.facts()
    assert (found["history"], found["safe"]) == (history, safe)
    assert (found["active"], found["view"], found["synced"]) == ("inactive", True, False)


# -- another node's agent ------------------------------------------------------


@pytest.fixture
def agent():
    """An HTTP server on 127.0.0.1; `agent.body` is what it answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(503)
            self.end_headers()
            self.wfile.write(server.body)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.body = b""
    with serving(server):
        yield server


@pytest.mark.parametrize(
    ("body", "answer"),
    [(b'{"history": false}', {"history": False}), (b"[]", None), (b"hello", None), (b"", None)],
)
def test_another_nodes_answer(galera, agent, body, answer):
    agent.body = body
    assert galera.ask("127.0.0.1", agent.server_port) == answer


def test_a_silent_node(galera, agent):
    agent.server_close()
    assert galera.ask("127.0.0.1", agent.server_port) is None


# -- what next -----------------------------------------------------------------

NEW = {"status": "", "history": False}
OLD = {"status": "non-Primary", "history": True}
RUNS = {"status": "Primary", "history": True}


@pytest.mark.parametrize(
    ("history", "others", "first", "step", "reason"),
    [
        (False, {"db2": RUNS, "db3": None}, True, "start", "db2 is in a running cluster"),
        (True, {"db2": OLD, "db3": None}, False, "start", "looks for its other members"),
        (False, {"db2": NEW, "db3": None}, True, "wait", "no answer from db3"),
        (False, {"db2": OLD, "db3": NEW}, True, "wait", "db2 belong to a cluster that does not"),
        (False, {"db2": {"history": None}, "db3": NEW}, True, "wait", "db2 belong"),
        (False, {"db2": {}, "db3": NEW}, True, "wait", "db2 belong"),
        (False, {"db2": NEW, "db3": NEW}, True, "found", "no node was ever in a cluster"),
        (False, {"db2": NEW, "db3": NEW}, False, "wait", "the first node founds"),
        (False, {}, True, "found", "no node was ever"),
        (True, {}, True, "start", "belongs to a cluster"),
    ],
)
def test_next_step(galera, history, others, first, step, reason):
    found = galera.next_step({"history": history}, others, first)
    assert found[0] == step
    assert reason in found[1]


@pytest.fixture
def others(galera, monkeypatch):
    """What the other nodes answer, by address."""
    answers = {}
    monkeypatch.setattr(galera, "ask", lambda address, port: answers.get(address))
    return answers


def test_a_synced_node_has_nothing_to_do(galera, host):
    host.said = SYNCED
    assert galera.advance("192.0.2.1", PEERS, 9200)["synced"]
    assert host.commands == []


def test_the_first_of_new_nodes_founds(galera, host, others):
    others.update({"192.0.2.2": NEW, "192.0.2.3": NEW})
    assert galera.advance("192.0.2.1", PEERS, 9200)["step"] == "found"
    assert host.commands == ["galera_new_cluster"]


def test_a_later_one_waits_and_then_joins(galera, host, others):
    others.update({"192.0.2.1": NEW, "192.0.2.3": NEW})
    assert galera.advance("192.0.2.2", PEERS, 9200)["step"] == "wait"
    assert host.commands == []
    others["192.0.2.1"] = RUNS
    # The package has started the daemon, in no cluster.
    host.said = {"wsrep_provider_name": ""}
    galera.advance("192.0.2.2", PEERS, 9200)
    host.said = None
    galera.advance("192.0.2.2", PEERS, 9200)
    assert host.commands == [
        "systemctl --no-block restart mariadb.service",
        "systemctl --no-block start mariadb.service",
    ]


def test_a_held_node_waits(galera, host, others):
    galera.HELD.touch()
    others["192.0.2.2"] = RUNS
    assert "recovery holds" in galera.advance("192.0.2.1", PEERS, 9200)["reason"]
    assert host.commands == []


def test_a_host_that_is_no_node_is_refused(galera, host):
    with pytest.raises(galera.CommandExecutionError, match="not among"):
        galera.advance("192.0.2.9", PEERS, 9200)


def test_until_synced_tells_the_steps(galera, monkeypatch):
    turns = iter(
        [
            {"synced": False, "step": "wait", "reason": "waits"},
            {"synced": False, "step": "start", "reason": "joins"},
            {"synced": False, "step": "start", "reason": "joins"},
            {"synced": True, "step": "none", "reason": "synced"},
        ]
    )
    monkeypatch.setattr(galera, "advance", lambda *_: next(turns))
    monkeypatch.setattr(galera, "POLL_SECONDS", 0)
    assert galera.until_synced("192.0.2.1", PEERS, 9200, 60) == ["joins"]


def test_until_synced_ends(galera, monkeypatch):
    monkeypatch.setattr(
        galera, "advance", lambda *_: {"synced": False, "step": "wait", "reason": "db2 is silent"}
    )
    with pytest.raises(galera.CommandExecutionError, match=r"after -1 s: db2 is silent.*Remedy"):
        galera.until_synced("192.0.2.1", PEERS, 9200, -1)


# -- recovery on the node ------------------------------------------------------


def test_stop_holds_and_start_lets_go(galera, host):
    galera.stop()
    assert galera.HELD.exists()
    galera.start()
    assert not galera.HELD.exists()
    assert host.commands == [
        "systemctl stop mariadb.service",
        "systemctl --no-block start mariadb.service",
    ]


def test_found_marks_the_state_as_safe(galera, host):
    galera.HELD.touch()
    galera.STATE_FILE.write_text(state_file())
    galera.found()
    assert galera.parse_state(galera.STATE_FILE.read_text())["safe"]
    assert not galera.HELD.exists()
    assert host.commands == ["galera_new_cluster"]


def test_a_command_that_fails_says_why(galera, host):
    host.results["galera_new_cluster"] = {"retcode": 1, "stdout": "", "stderr": "it is broken"}
    with pytest.raises(galera.CommandExecutionError, match="it is broken"):
        galera.found()


def test_position_of_a_running_daemon_is_refused(galera, host):
    host.unit = "activating"
    with pytest.raises(galera.CommandExecutionError, match="once it has stopped"):
        galera.position()


def test_position_of_a_clean_stop_is_in_the_file(galera, host):
    galera.STATE_FILE.write_text(state_file(seqno=12, safe=1))
    assert galera.position() == {"uuid": UUID, "seqno": 12, "safe": True}
    assert host.commands == []


@pytest.mark.parametrize("text", [None, state_file(NOBODY, -1)])
def test_a_node_that_was_in_no_cluster_has_no_position(galera, host, text):
    if text:
        galera.STATE_FILE.write_text(text)
    assert galera.position() is None


@pytest.mark.parametrize("text", [state_file(seqno=-1), ""])
def test_position_after_a_crash_is_the_storage_engines(galera, host, text):
    galera.STATE_FILE.write_text(text)
    host.unit = "failed"
    host.results["/usr/bin/galera_recovery"] = {
        "retcode": 0,
        "stdout": f"--wsrep_start_position={UUID}:99",
        "stderr": "",
    }
    assert galera.position() == {"uuid": UUID, "seqno": 99, "safe": False}


def test_a_recovery_that_tells_nothing_is_an_error(galera, host):
    galera.STATE_FILE.write_text(state_file(seqno=-1))
    with pytest.raises(galera.CommandExecutionError, match="did not tell"):
        galera.position()


# -- the state -----------------------------------------------------------------


@pytest.fixture
def member(load, galera):
    def run(ready=False, test=False, steps=()):
        def until_synced(*_):
            if isinstance(steps, Exception):
                raise steps
            return list(steps)

        module = load(
            "_states/site_galera.py",
            opts={"test": test},
            salt={
                "site_galera.ready": lambda: ready,
                "site_galera.until_synced": until_synced,
            },
        )
        return module.member("db1", "192.0.2.1", PEERS, 9200, 60)

    return run


def test_member(member, galera):
    assert member(ready=True) == {
        "name": "db1",
        "result": True,
        "changes": {},
        "comment": "db1 is synced",
    }
    predicted = member(test=True)
    assert (predicted["result"], bool(predicted["changes"])) == (None, True)
    assert member(steps=["joins"])["changes"] == {"db1": ["joins"]}
    assert member()["changes"] == {"db1": ["synced"]}
    failed = member(steps=galera.CommandExecutionError("too late"))
    assert (failed["result"], failed["comment"], failed["changes"]) == (False, "too late", {})


# -- the cluster ---------------------------------------------------------------

DB1, DB2, DB3 = (f"db{n}.sandbox.wpd.internal" for n in (1, 2, 3))
FACTS = {
    "state": "Synced",
    "status": "Primary",
    "size": 3,
    "uuid": UUID,
    "outside": False,
    "left": False,
    "synced": True,
    "history": True,
    "safe": False,
    "active": "active",
    "view": True,
}
STOPPED = {
    **FACTS,
    "state": "",
    "status": "",
    "size": 0,
    "uuid": "",
    "synced": False,
    "active": "inactive",
    "view": False,
}
SEEKING = {**STOPPED, "active": "activating", "view": True}
FRESH = {**STOPPED, "history": False}


@pytest.fixture
def cluster(load, monkeypatch):
    """The master's module; `answers` is what the hosts say to each function, call by call."""
    module = load("_modules/site_galera_cluster.py")
    module.asked = []
    module.arguments = []
    module.answers = {}

    def cmd(hosts, function, arguments, tgt_type, timeout, gather_job_timeout=None):
        assert tgt_type == "list"
        module.arguments.append(arguments)
        module.asked.append((function.partition(".")[2], list(hosts)))
        answer = module.answers.get(function)
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if not isinstance(answer, dict):
            answer = dict.fromkeys(hosts, answer)
        return {
            host: said if isinstance(said, dict) and "retcode" in said else {"ret": said}
            for host, said in answer.items()
            if host in hosts
        }

    module.__salt__ = {"saltutil.cmd": cmd}
    monkeypatch.setattr(module, "POLL_SECONDS", 0)
    return module


def acts(cluster):
    return [call for call in cluster.asked if call[0] not in ("facts", "ready")]


@pytest.mark.parametrize(
    ("facts", "action", "hosts"),
    [
        ({DB1: FACTS, DB2: FACTS}, "nothing", []),
        ({DB1: FRESH, DB2: FRESH}, "nothing", []),
        ({DB1: FACTS, DB2: FRESH}, "nothing", []),
        ({DB1: FACTS, DB2: STOPPED}, "start", [DB2]),
        ({DB1: STOPPED, DB2: STOPPED}, "recover", [DB1, DB2]),
        ({DB1: STOPPED, DB2: FRESH}, "recover", [DB1]),
        ({DB1: SEEKING, DB2: SEEKING}, "wait", [DB1, DB2]),
        ({DB1: SEEKING, DB2: STOPPED}, "recover", [DB1, DB2]),
    ],
)
def test_decide(cluster, facts, action, hosts):
    assert cluster.decide(facts)[:2] == (action, hosts)


def test_two_clusters_are_refused(cluster):
    with pytest.raises(cluster.CommandExecutionError, match="two clusters"):
        cluster.decide({DB1: FACTS, DB2: {**FACTS, "uuid": OTHER}})


def at(seqno, safe=False, uuid=UUID):
    return {"uuid": uuid, "seqno": seqno, "safe": safe}


@pytest.mark.parametrize(
    ("positions", "best"),
    [
        ({DB1: at(3), DB2: at(5), DB3: at(4)}, DB2),
        ({DB1: at(5), DB2: at(5), DB3: at(5, safe=True)}, DB3),
        ({DB1: at(5), DB2: at(5), DB3: None}, DB1),
        ({DB1: at(6), DB2: at(5, safe=True), DB3: None}, DB1),
    ],
)
def test_most_advanced(cluster, positions, best):
    assert cluster.most_advanced(positions) == best


@pytest.mark.parametrize(
    "positions", [{DB1: None}, {DB1: at(3), DB2: at(4, uuid=OTHER)}], ids=["none", "two"]
)
def test_histories_that_are_not_one_are_refused(cluster, positions):
    with pytest.raises(cluster.CommandExecutionError, match="histories"):
        cluster.most_advanced(positions)


def test_a_silent_host_is_refused(cluster):
    cluster.answers["site_galera.facts"] = {DB1: FACTS}
    with pytest.raises(cluster.CommandExecutionError, match=f"no answer from {DB2}"):
        cluster.recover([DB1, DB2])


def test_a_host_that_has_just_booted_is_asked_again(cluster):
    cluster.answers["site_galera.facts"] = [{DB1: FACTS}, {DB2: FACTS}]
    assert list(cluster.look([DB2, DB1])["facts"]) == [DB2, DB1]
    assert cluster.asked == [("facts", [DB2, DB1]), ("facts", [DB2])]


def test_who_does_not_say_that_it_stopped_is_not_passed_over(cluster):
    cluster.answers["site_galera.facts"] = STOPPED_ALL
    cluster.answers["site_galera.stop"] = {DB1: None, DB3: None}
    with pytest.raises(cluster.CommandExecutionError, match=f"stop: no answer from {DB2}"):
        cluster.recover([DB1, DB2, DB3])
    assert acts(cluster) == [("stop", [DB1, DB2, DB3])]


def test_a_failure_on_a_host_is_an_error(cluster):
    cluster.answers["site_galera.facts"] = {DB1: {"retcode": 1, "ret": "not available"}}
    with pytest.raises(cluster.CommandExecutionError, match=f"{DB1}.*not available"):
        cluster.look([DB1])


def test_look_tells_and_touches_nothing(cluster):
    cluster.answers["site_galera.facts"] = STOPPED_ALL
    seen = cluster.look([DB1, DB2, DB3])
    assert (seen["action"], seen["facts"]) == ("recover", STOPPED_ALL)
    assert acts(cluster) == []


STOPPED_ALL = {DB1: STOPPED, DB2: STOPPED, DB3: STOPPED}


def test_recover_does_nothing_to_a_running_cluster(cluster):
    cluster.answers["site_galera.facts"] = {DB1: FACTS, DB2: FACTS}
    assert cluster.recover([DB1, DB2]) == ["the cluster runs"]
    assert acts(cluster) == []


def test_recover_starts_only_the_missing(cluster):
    cluster.answers["site_galera.facts"] = {DB1: FACTS, DB2: STOPPED}
    cluster.answers["site_galera.ready"] = [{DB2: False}, {DB2: True}]
    assert cluster.recover([DB1, DB2])[-1] == f"started: {DB2}"
    assert acts(cluster) == [("start", [DB2]), ("start", [DB2])]


def test_recover_starts_again_who_leaves_meanwhile(cluster):
    """db2's transfer of missed writes failed, and a start alone was waited for in vain."""
    cluster.answers["site_galera.facts"] = {DB1: FACTS, DB2: STOPPED, DB3: STOPPED}
    cluster.answers["site_galera.ready"] = [
        {DB2: False, DB3: False},
        {DB2: False, DB3: True},
        {DB2: True, DB3: True},
    ]
    assert cluster.recover([DB1, DB2, DB3])[-1] == f"started: {DB2}, {DB3}"
    assert acts(cluster)[-1] == ("start", [DB2])


def test_recover_lets_them_find_each_other(cluster):
    cluster.answers["site_galera.facts"] = [
        {DB1: SEEKING, DB2: SEEKING},
        {DB1: FACTS, DB2: FACTS},
    ]
    assert cluster.recover([DB1, DB2]) == ["the cluster runs"]
    assert acts(cluster) == []


def test_recover_starts_from_the_last_write(cluster):
    cluster.answers["site_galera.facts"] = STOPPED_ALL
    cluster.answers["site_galera.position"] = {DB1: at(3), DB2: at(9), DB3: None}
    cluster.answers["site_galera.ready"] = True
    steps = cluster.recover([DB1, DB2, DB3])
    assert acts(cluster) == [
        ("stop", [DB1, DB2, DB3]),
        ("position", [DB1, DB2, DB3]),
        ("found", [DB2]),
        ("start", [DB1, DB3]),
    ]
    assert steps[1:] == [
        f"{DB1}: {UUID}:3",
        f"{DB2}: {UUID}:9",
        f"started first: {DB2}",
        f"started: {DB1}, {DB3}",
    ]


def test_recover_of_hosts_that_seek_in_vain(cluster):
    cluster.answers["site_galera.facts"] = {DB1: SEEKING}
    cluster.answers["site_galera.position"] = {DB1: at(3)}
    cluster.answers["site_galera.ready"] = True
    assert cluster.recover([DB1], grace=-1)[-1] == f"started first: {DB1}"


def test_recover_ends_when_a_node_does_not_start(cluster):
    cluster.answers["site_galera.facts"] = {DB1: STOPPED}
    cluster.answers["site_galera.position"] = {DB1: at(3)}
    cluster.answers["site_galera.ready"] = False
    with pytest.raises(cluster.CommandExecutionError, match=f"not within -1 s: {DB1}"):
        cluster.recover([DB1], wait=-1)


@pytest.mark.parametrize(
    ("facts", "problems"),
    [
        ({DB1: {**FACTS, "size": 2}, DB2: {**FACTS, "size": 2}}, []),
        ({DB1: FACTS, DB2: STOPPED}, ["is not synced (inactive)", "sees 3 nodes, not 2"]),
        (
            {DB1: {**FACTS, "size": 2}, DB2: {**FACTS, "size": 2, "uuid": OTHER}},
            ["they are not in one cluster"],
        ),
    ],
)
def test_unhealthy(cluster, facts, problems):
    found = cluster.unhealthy(facts)
    assert len(found) == len(problems)
    for problem in problems:
        assert any(problem in sentence for sentence in found)


def test_healthy_waits(cluster):
    well = {DB1: {**FACTS, "size": 1}}
    cluster.answers["site_galera.facts"] = [{DB1: STOPPED}, well]
    assert cluster.healthy([DB1]) == "1 nodes, all synced"
    assert json.dumps(cluster.asked) == json.dumps([["facts", [DB1]], ["facts", [DB1]]])
    cluster.answers["site_galera.facts"] = {DB1: STOPPED}
    with pytest.raises(cluster.CommandExecutionError, match="not synced"):
        cluster.healthy([DB1], wait=-1)


# -- the states of an orchestration ----------------------------------------------


@pytest.fixture
def orchestration(load):
    """A state function of the master, with what its module answers or raises."""

    def run(function, *arguments, test=False, **answers):
        def answering(answer):
            def call(*_):
                if isinstance(answer, Exception):
                    raise answer
                return answer

            return call

        module = load(
            "_states/site_galera.py",
            opts={"test": test},
            salt={f"site_galera_cluster.{name}": answering(said) for name, said in answers.items()},
        )
        return getattr(module, function)("the cluster", [DB1], *arguments)

    return run


SEEN = {"action": "recover", "hosts": [DB1], "reason": "no cluster runs"}


def test_cluster_running(orchestration, cluster):
    well = orchestration("cluster_running", look={**SEEN, "action": "nothing"})
    assert (well["result"], well["changes"]) == (True, {})
    predicted = orchestration("cluster_running", test=True, look=SEEN)
    assert predicted["result"] is None
    assert predicted["changes"] == {"the cluster": f"recover: {DB1}"}
    done = orchestration("cluster_running", look=SEEN, recover=["a", "b"])
    assert (done["result"], done["changes"]) == (True, {"the cluster": ["a", "b"]})
    failed = orchestration("cluster_running", look=cluster.CommandExecutionError("silent"))
    assert (failed["result"], failed["comment"]) == (False, "silent")


def test_cluster_healthy(orchestration, cluster):
    assert orchestration("cluster_healthy", test=True)["result"] is True
    assert orchestration("cluster_healthy", healthy="well")["comment"] == "well"
    failed = orchestration("cluster_healthy", healthy=cluster.CommandExecutionError("unwell"))
    assert (failed["result"], failed["comment"]) == (False, "unwell")


def test_cluster_current(orchestration, cluster):
    well = orchestration("cluster_current", [CNF], outdated={})
    assert (well["result"], well["changes"]) == (True, {})
    predicted = orchestration("cluster_current", [CNF], test=True, outdated={DB1: [CNF]})
    assert (predicted["result"], predicted["changes"]) == (None, {DB1: [CNF]})
    done = orchestration("cluster_current", [CNF], outdated={DB1: [CNF]}, renew=["a"])
    assert (done["result"], done["changes"]) == (True, {"the cluster": ["a"]})
    failed = orchestration(
        "cluster_current", [CNF], outdated=cluster.CommandExecutionError("silent")
    )
    assert (failed["result"], failed["comment"]) == (False, "silent")


CNF = "/etc/mysql/mariadb.conf.d/70-saltworks.cnf"
WHOLE = {DB1: {**FACTS, "size": 2}, DB2: {**FACTS, "size": 2}}


def test_nodes_with_changed_files_start_again_one_after_the_other(cluster):
    cluster.answers["site_galera.outdated"] = {DB1: [CNF], DB2: [CNF]}
    cluster.answers["site_galera.facts"] = WHOLE
    cluster.answers["site_galera.started"] = [10, None, 20, 10, 30]
    steps = cluster.renew([DB1, DB2], [CNF])
    assert steps == [f"{DB1} started again for {CNF}", f"{DB2} started again for {CNF}"]
    assert [call for call in acts(cluster) if call[0] == "start"] == [
        ("start", [DB1]),
        ("start", [DB2]),
    ]
    assert cluster.arguments[cluster.asked.index(("start", [DB1]))] == [True]
    # Between the two starts the whole cluster was asked, and was well.
    names = [name for name, _ in cluster.asked]
    first, second = (place for place, name in enumerate(names) if name == "start")
    assert "facts" in names[first:second]


def test_nothing_changed_nothing_started(cluster):
    cluster.answers["site_galera.outdated"] = {DB1: [], DB2: []}
    assert cluster.renew([DB1, DB2], [CNF]) == []
    assert [name for name, _ in cluster.asked] == ["outdated"]


def test_a_cluster_that_is_not_whole_is_not_touched(cluster):
    cluster.answers["site_galera.outdated"] = {DB1: [CNF], DB2: []}
    cluster.answers["site_galera.facts"] = {DB1: FACTS, DB2: STOPPED}
    with pytest.raises(cluster.CommandExecutionError, match=f"{DB2} is not synced"):
        cluster.renew([DB1, DB2], [CNF], wait=-1)
    assert "start" not in [name for name, _ in cluster.asked]


def test_a_node_that_does_not_start_again_ends_it(cluster):
    cluster.answers["site_galera.outdated"] = {DB1: [CNF], DB2: [CNF]}
    cluster.answers["site_galera.facts"] = WHOLE
    cluster.answers["site_galera.started"] = 10
    with pytest.raises(cluster.CommandExecutionError, match=f"{DB1} has started again"):
        cluster.renew([DB1, DB2], [CNF], wait=-1)
    assert [call for call in cluster.asked if call[0] == "start"] == [("start", [DB1])]


@pytest.mark.parametrize(
    ("unit", "said", "since"),
    [
        ("active", "@1700000000", 1700000000),
        ("active", "", None),
        ("inactive", "@1700000000", None),
    ],
)
def test_when_the_daemon_started(galera, unit, said, since):
    galera.__salt__ = {
        "cmd.run_stdout": lambda command, python_shell: (
            said if "--property=ExecMainStartTimestamp" in command else unit
        )
    }
    assert galera.started() == since


def test_files_newer_than_the_start_are_named(galera, tmp_path, monkeypatch):
    old, new = tmp_path / "old", tmp_path / "new"
    for path, time in ((old, 100), (new, 300)):
        path.touch()
        os.utime(path, (time, time))
    names = [str(old), str(new), str(tmp_path / "none")]
    monkeypatch.setattr(galera, "started", lambda: 200)
    assert galera.outdated(names) == [str(new)]
    monkeypatch.setattr(galera, "started", lambda: None)
    assert galera.outdated(names) == []


@pytest.mark.parametrize(
    ("said", "unit", "command"),
    [
        (LEFT, "active", "kill --signal=KILL"),
        ({**LEFT, "wsrep_cluster_status": "Disconnected"}, "active", "kill --signal=KILL"),
        (LEFT, "deactivating", "--no-block start"),
        (SYNCED, "active", "--no-block start"),
        ({**SYNCED, "wsrep_cluster_status": "non-Primary"}, "active", "--no-block start"),
        ({"wsrep_provider_name": ""}, "active", "--no-block start"),
        (None, "active", "--no-block start"),
    ],
)
def test_a_node_that_left_for_good_is_started_again(host, said, unit, command):
    host.said, host.unit = said, unit
    host.module.start()
    assert host.commands == [f"systemctl {command} mariadb.service"]
