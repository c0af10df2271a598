"""The health agent of the databases, as the balancers ask it."""

import pytest


@pytest.mark.parametrize("error", [ConnectionResetError, BrokenPipeError])
def test_a_balancer_that_hangs_up_is_no_news(load, capsys, error):
    agent = load("salt/mariadb/files/galera-health.py")
    with agent.Server(("127.0.0.1", 0), agent.Handler) as server:
        try:
            raise error
        except error:
            server.handle_error(None, ("192.0.2.1", 1))
    assert capsys.readouterr().err == ""


def test_any_other_error_is_said(load, capsys):
    agent = load("salt/mariadb/files/galera-health.py")
    with agent.Server(("127.0.0.1", 0), agent.Handler) as server:
        try:
            raise ValueError("an odd answer")
        except ValueError:
            server.handle_error(None, ("192.0.2.1", 1))
    assert "an odd answer" in capsys.readouterr().err
