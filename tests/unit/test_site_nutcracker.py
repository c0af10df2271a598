"""The pools of nutcracker."""

import pytest

DEFAULTS = {
    "timeout": 300,
    "server_failure_limit": 1,
    "server_retry_timeout": 20000,
    "server_retry_timeout_alone": 1000,
    "auto_eject_hosts": True,
    "backlog": 1024,
}
TWO = [{"name": "cache1", "address": "192.0.2.1"}, {"name": "cache2", "address": "192.0.2.2"}]
MEMCACHED = {"port": 11255, "protocol": "memcached", "peers": "cache", "peer_port": 11211}
REDIS = {"port": 6355, "protocol": "redis", "peers": "cache", "peer_port": 6379}


@pytest.fixture
def site_nutcracker(load):
    return load("_modules/site_nutcracker.py")


def test_a_pool_of_two_is_written_in_nutcrackers_words(site_nutcracker):
    pools = site_nutcracker.pools({"c": MEMCACHED}, DEFAULTS, {"cache": TWO}, {})
    assert pools == {
        "c": {
            "listen": "127.0.0.1:11255",
            "hash": "fnv1a_64",
            "distribution": "ketama",
            "timeout": 300,
            "backlog": 1024,
            "preconnect": False,
            "auto_eject_hosts": True,
            "server_failure_limit": 1,
            "server_retry_timeout": 20000,
            "redis": False,
            "servers": ["192.0.2.1:11211:1 cache1", "192.0.2.2:11211:1 cache2"],
        }
    }


def test_a_server_that_is_alone_is_tried_again_soon(site_nutcracker):
    pools = site_nutcracker.pools({"c": MEMCACHED}, DEFAULTS, {"cache": TWO[:1]}, {})
    assert pools["c"]["server_retry_timeout"] == 1000
    assert pools["c"]["servers"] == ["192.0.2.1:11211:1 cache1"]


def test_a_pools_own_values_go_before_the_defaults(site_nutcracker):
    own = {**MEMCACHED, "server_failure_limit": 3, "timeout": 50}
    pools = site_nutcracker.pools({"c": own}, DEFAULTS, {"cache": TWO}, {})
    assert (pools["c"]["server_failure_limit"], pools["c"]["timeout"]) == (3, 50)


def test_a_redis_pool_names_its_role_and_holds_no_password(site_nutcracker):
    secrets = {"cache": "the-right-one", "other": "another"}
    pools = site_nutcracker.pools({"c": REDIS}, DEFAULTS, {"cache": TWO}, secrets)
    assert pools["c"]["redis"] is True
    assert pools["c"]["redis_auth"] == "cache"
    assert "the-right-one" not in str(pools)


@pytest.mark.parametrize("secrets", [{}, {"cache": ""}, {"cache": None}, {"other": "x"}])
def test_a_redis_pool_without_a_password_is_refused(site_nutcracker, secrets):
    with pytest.raises(site_nutcracker.CommandExecutionError, match="no password for cache"):
        site_nutcracker.pools({"c": REDIS}, DEFAULTS, {"cache": TWO}, secrets)


@pytest.mark.parametrize("peers", [{}, {"cache": []}])
def test_a_pool_without_servers_is_refused(site_nutcracker, peers):
    with pytest.raises(site_nutcracker.CommandExecutionError, match="no hosts with the role cache"):
        site_nutcracker.pools({"c": MEMCACHED}, DEFAULTS, peers, {})


def test_no_pool_at_all_is_refused(site_nutcracker):
    with pytest.raises(site_nutcracker.CommandExecutionError, match="has no pools"):
        site_nutcracker.pools({}, DEFAULTS, {}, {})


def test_an_unknown_protocol_is_refused(site_nutcracker):
    own = {**MEMCACHED, "protocol": "http"}
    with pytest.raises(site_nutcracker.CommandExecutionError, match="known: memcached, redis"):
        site_nutcracker.pools({"c": own}, DEFAULTS, {"cache": TWO}, {})


def test_two_pools_on_one_port_are_refused(site_nutcracker):
    with pytest.raises(site_nutcracker.CommandExecutionError, match="'a' and 'b' both listen"):
        site_nutcracker.pools({"a": MEMCACHED, "b": MEMCACHED}, DEFAULTS, {"cache": TWO}, {})
