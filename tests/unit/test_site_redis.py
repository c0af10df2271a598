"""The lines of Redis's ACL file."""

import hashlib

import pytest

PASSWORD = "only-a-test-and-long-enough"


@pytest.fixture
def site_redis(load):
    return load("_modules/site_redis.py")


def test_a_user_may_call_what_is_granted_and_nothing_before(site_redis):
    line = site_redis.user("default", PASSWORD, ["+@read", "-scan", "+config|get"])
    digest = hashlib.sha256(PASSWORD.encode()).hexdigest()
    assert line == (
        f"user default reset on sanitize-payload #{digest} ~* resetchannels "
        "-@all +@read -scan +config|get"
    )


def test_the_password_itself_is_not_in_the_line(site_redis):
    assert PASSWORD not in site_redis.user("operator", PASSWORD, ["+flushall"])


@pytest.mark.parametrize("password", [None, "", "x" * 23, 10**30])
def test_a_password_missing_or_guessable_is_refused(site_redis, password):
    with pytest.raises(site_redis.CommandExecutionError, match="missing or shorter than 24"):
        site_redis.user("default", password, ["+@read"])


def test_a_password_of_the_least_length_is_taken(site_redis):
    assert site_redis.user("default", "x" * 24, ["+@read"])


@pytest.mark.parametrize("name", ["", "Default", "two words", "a\nuser b on nopass"])
def test_a_name_cannot_bring_in_another_user(site_redis, name):
    with pytest.raises(site_redis.CommandExecutionError, match="a name is"):
        site_redis.user(name, PASSWORD, ["+@read"])


@pytest.mark.parametrize(
    "rule", ["nopass", ">clear", "~other:*", "&*", "on", "read", "+@read\nuser x", "+ get", ""]
)
def test_a_rule_cannot_change_more_than_commands(site_redis, rule):
    with pytest.raises(site_redis.CommandExecutionError, match="not rules for commands"):
        site_redis.user("default", PASSWORD, ["+@read", rule])


@pytest.mark.parametrize("commands", [[], ["-flushall"]])
def test_a_user_who_may_call_nothing_is_a_mistake(site_redis, commands):
    with pytest.raises(site_redis.CommandExecutionError, match="may not call any command"):
        site_redis.user("default", PASSWORD, commands)
