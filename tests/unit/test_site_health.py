"""The health gate: what runs and answers, and what does not."""

import contextlib
import socket

import pytest
from salt.exceptions import CommandExecutionError


def service(port, check="tcp", address="internal", protocol="tcp"):
    return {
        "name": "memo",
        "unit": "memo.service",
        "listens": [{"port": port, "check": check, "address": address, "protocol": protocol}],
    }


@pytest.fixture
def port():
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed_port():
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        return server.getsockname()[1]


@pytest.fixture
def health(load):
    def made(services, running=True):
        module = load(
            "_modules/site_health.py",
            salt={
                "site_hosts.address": lambda: "127.0.0.1",
                "site_registry.services": lambda: services,
                "service.status": lambda unit: running,
            },
        )
        module.POLL_SECONDS = 0.01
        return module

    return made


@pytest.mark.parametrize("address", ["internal", "local"])
def test_what_runs_and_answers_is_well(health, port, address):
    module = health([service(port, address=address)])
    assert module.problems() == []
    assert module.wait(0) is True


def test_what_does_not_answer_is_named(health, closed_port):
    module = health([service(closed_port)])
    assert module.problems() == [f"memo does not answer on 127.0.0.1:{closed_port}"]
    with pytest.raises(CommandExecutionError, match="memo does not answer"):
        module.wait(0.05)


def test_what_does_not_run_is_named_with_where_to_look(health, port):
    assert health([service(port)], running=False).problems() == [
        "memo.service does not run: journalctl -u memo.service"
    ]


@pytest.mark.parametrize("skipped", [{"check": "none"}, {"protocol": "udp"}])
def test_some_ports_are_not_asked(health, closed_port, skipped):
    assert health([service(closed_port, **skipped)]).problems() == []


def test_it_waits(health, closed_port):
    module = health([service(closed_port)])
    answers = iter([False, False, True])
    module._answers = lambda address, port: next(answers)
    assert module.wait(5) is True
