"""The keystores and their broker, asked as apps ask them: what works, what is refused."""

import json
import threading
import time

import pytest

from tests.support.keystores import command, probe, talk
from tests.support.waiting import wait_for

SESSIONS_MEMCACHED, SESSIONS_REDIS = 11211, 6379
CACHE_MEMCACHED, CACHE_REDIS = 11255, 6355
REDIS_POOLS = {SESSIONS_REDIS: "redis-sessions", CACHE_REDIS: "redis-cache"}
MEMCACHED_POOLS = [SESSIONS_MEMCACHED, CACHE_MEMCACHED]
# Each ends or empties the store, blocks it, shows its inside or what others keep in it.
FORBIDDEN = [
    ("FLUSHALL",),
    ("FLUSHDB",),
    ("SHUTDOWN", "NOSAVE"),
    ("CONFIG", "GET", "*"),
    ("CONFIG", "SET", "dir", "/tmp"),
    ("DEBUG", "SLEEP", "0"),
    ("KEYS", "*"),
    ("SCAN", "0"),
    ("RANDOMKEY",),
    ("MONITOR",),
    ("INFO",),
    ("CLIENT", "LIST"),
    ("ACL", "LIST"),
    ("ACL", "SETUSER", "default", "allcommands"),
    ("EVAL", "return 1", "0"),
    ("MODULE", "LIST"),
    ("REPLICAOF", "192.0.2.1", "6379"),
    ("SAVE",),
    ("SUBSCRIBE", "channel"),
    ("BLPOP", "list", "1"),
]


@pytest.fixture(scope="module")
def app(fleet):
    """The name of one app host."""
    return fleet.with_role("app")[0].name


def duty(host):
    """``redis-sessions`` of redis-sessions1."""
    return "-".join(host.roles)


def as_user(fleet, host, password, *commands, user=None):
    """Say commands to the Redis of a host on its own loopback, as a user."""
    auth = ("AUTH", user, password) if user else ("AUTH", password)
    requests = [command(*words) for words in (auth, *commands)]
    answers = talk(fleet, host.name, "127.0.0.1", 6379, *requests)
    assert answers[0] == "+OK\r\n"
    return answers[1:]


def set_and_get(fleet, app, port, secrets, *, key, value):
    """Write a key through the broker, and read it again."""
    if port in REDIS_POOLS:
        words = [("AUTH", secrets[REDIS_POOLS[port]]), ("SETEX", key, "60", value), ("GET", key)]
        return talk(fleet, app, "127.0.0.1", port, *[command(*each) for each in words])[-1]
    written = f"set {key} 0 60 {len(value)}\r\n{value}\r\n"
    return talk(fleet, app, "127.0.0.1", port, written, f"get {key}\r\n")[-1]


# -- memcached -------------------------------------------------------------------


@pytest.mark.role("memcache")
def test_memcached_listens_inside_only(host, fleet):
    assert host.socket(f"tcp://{fleet.address(host.name)}:11211").is_listening
    assert host.socket("tcp://127.0.0.1:11211").is_listening
    assert not host.socket("tcp://0.0.0.0:11211").is_listening
    assert not host.socket("udp://11211").is_listening


@pytest.mark.role("memcache")
def test_memcached_shows_nobody_its_keys(host, fleet):
    answers = talk(
        fleet,
        host.name,
        "127.0.0.1",
        11211,
        "lru_crawler metadump all\r\n",
        "stats cachedump 1 10\r\n",
        "watch fetchers\r\n",
    )
    assert ["not allowed" in answer for answer in answers] == [True, True, True], answers


@pytest.mark.role("memcache-sessions")
def test_sessions_in_memcached_cannot_be_flushed(host, fleet):
    assert talk(fleet, host.name, "127.0.0.1", 11211, "flush_all\r\n") == [
        "CLIENT_ERROR flush_all not allowed\r\n"
    ]


# -- redis -----------------------------------------------------------------------


@pytest.mark.role("redis")
def test_redis_listens_inside_only(host, fleet):
    assert host.socket(f"tcp://{fleet.address(host.name)}:6379").is_listening
    assert host.socket("tcp://127.0.0.1:6379").is_listening
    assert not host.socket("tcp://0.0.0.0:6379").is_listening


@pytest.mark.role("redis")
def test_redis_keeps_hashes_where_it_alone_reads_them(host, secrets):
    users = host.file("/etc/redis/users.acl")
    assert (users.user, users.group, users.mode) == ("redis", "redis", 0o640)
    for path in ("/etc/redis/users.acl", "/etc/redis/redis.conf"):
        text = host.file(path).content_string
        assert not [name for name, value in secrets.items() if value in text]


@pytest.mark.role("redis")
def test_redis_says_nothing_without_the_right_password(host, fleet, secrets):
    others = [secrets[name] for name in REDIS_POOLS.values() if name != duty(host)]
    requests = [command("GET", "a"), command("AUTH", ""), command("AUTH", "x" * 30)]
    requests += [command("AUTH", other) for other in others] + [command("GET", "a")]
    answers = talk(fleet, host.name, "127.0.0.1", 6379, *requests)
    assert answers[0].startswith("-NOAUTH")
    assert all(answer.startswith("-WRONGPASS") for answer in answers[1:-1]), answers
    assert answers[-1].startswith("-NOAUTH")


@pytest.mark.role("redis")
@pytest.mark.parametrize("words", FORBIDDEN, ids=" ".join)
def test_an_app_may_not(host, fleet, secrets, words):
    # DEBUG is switched off for everybody, before anybody's rights are asked.
    refused = "-ERR DEBUG command not allowed" if words[0] == "DEBUG" else "-NOPERM"
    assert as_user(fleet, host, secrets[duty(host)], words)[0].startswith(refused)


@pytest.mark.role("redis")
def test_an_operator_may_look_and_not_reconfigure(host, fleet, secrets):
    answers = as_user(
        fleet,
        host,
        secrets["redis-operator"],
        ("CONFIG", "GET", "maxmemory-policy"),
        ("INFO", "memory"),
        ("GET", "a"),
        ("CONFIG", "SET", "maxmemory", "0"),
        ("SHUTDOWN",),
        ("ACL", "LIST"),
        user="operator",
    )
    assert answers[0].startswith("*2")
    assert "used_memory" in answers[1]
    assert all(answer.startswith("-NOPERM") for answer in answers[2:]), answers


@pytest.mark.role("redis-cache")
def test_an_operator_may_flush_a_cache(host, fleet, secrets):
    as_user(fleet, host, secrets["redis-cache"], ("SETEX", "flushed", "60", "1"))
    as_user(fleet, host, secrets["redis-operator"], ("FLUSHALL",), user="operator")
    assert as_user(fleet, host, secrets["redis-cache"], ("GET", "flushed")) == ["$-1\r\n"]


@pytest.mark.role("redis-sessions")
def test_sessions_in_redis_outlive_a_restart(host, fleet, secrets):
    password = secrets["redis-sessions"]
    as_user(fleet, host, password, ("SETEX", "outlives", "120", "yes"))
    host.run_expect([0], "systemctl restart redis-server")
    wait_for(
        lambda: as_user(fleet, host, password, ("GET", "outlives")) == ["$3\r\nyes\r\n"],
        20,
        "the session after a restart",
    )


@pytest.mark.role("redis")
@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("users", "user default on nopass +@no-such-category\n", "no-such-category"),
        ("config", "maxmemmory 16mb\n", "maxmemmory"),
    ],
)
def test_redis_files_are_refused_before_they_are_installed(host, fleet, kind, text, message):
    done = fleet.shell(
        host.name, f"/usr/local/lib/saltworks/redis-check {kind} /dev/stdin", stdin=text
    )
    assert done.returncode == 1
    assert message in done.stderr


# -- nutcracker ------------------------------------------------------------------


@pytest.mark.role("app")
@pytest.mark.parametrize("port", [*MEMCACHED_POOLS, *REDIS_POOLS])
def test_each_pool_keeps_what_an_app_writes(host, fleet, secrets, port):
    key = f"written-by-{host.name}"
    answer = set_and_get(fleet, host.name, port, secrets, key=key, value="some-value")
    assert "some-value" in answer


@pytest.mark.role("app")
def test_every_app_host_sees_what_another_wrote(host, fleet, secrets, app):
    answer = set_and_get(
        fleet, app, SESSIONS_MEMCACHED, secrets, key="shared", value="from-the-first"
    )
    assert "from-the-first" in answer
    seen = talk(fleet, host.name, "127.0.0.1", SESSIONS_MEMCACHED, "get shared\r\n")[0]
    assert "from-the-first" in seen


@pytest.mark.role("app")
@pytest.mark.parametrize("port", list(REDIS_POOLS))
def test_the_broker_asks_for_the_pools_own_password(host, fleet, secrets, port):
    other = next(name for at, name in REDIS_POOLS.items() if at != port)
    answers = talk(
        fleet,
        host.name,
        "127.0.0.1",
        port,
        command("GET", "a"),
        command("AUTH", secrets[other]),
        command("GET", "a"),
    )
    assert [answer.split()[0] for answer in answers] == ["-NOAUTH", "-ERR", "-NOAUTH"]


@pytest.mark.role("app")
def test_the_broker_is_on_localhost_and_keeps_its_secrets(host):
    for port in (*MEMCACHED_POOLS, *REDIS_POOLS, 22222):
        assert host.socket(f"tcp://127.0.0.1:{port}").is_listening
        assert not host.socket(f"tcp://0.0.0.0:{port}").is_listening
    config = host.file("/etc/nutcracker/nutcracker.yml")
    assert (config.user, config.group, config.mode) == ("nutcracker", "nutcracker", 0o640)


@pytest.mark.role("app")
def test_statistics_name_the_servers_by_host_name(host, fleet):
    done = fleet.shell(
        host.name,
        'python3 -c \'import socket; s = socket.create_connection(("127.0.0.1", 22222), 5);'
        ' print("".join(iter(lambda: s.recv(65536).decode(), "")))\'',
    )
    stats = json.loads(done.stdout)
    wanted = {member.name for member in fleet.with_role("memcache-sessions")}
    assert wanted <= set(stats["sessions-memcached"])


@pytest.mark.role("app")
def test_a_role_without_hosts_leaves_the_file_as_it_is(host, fleet):
    path = "/etc/nutcracker/nutcracker.yml"
    before = host.file(path).sha256sum
    # The role exists and no host has it.
    pools = {"jobs": {"port": 1, "protocol": "memcached", "peers": "redis-jobs", "peer_port": 1}}
    done = fleet.shell(
        host.name,
        "salt-call --retcode-passthrough state.apply nutcracker "
        f"pillar={json.dumps(json.dumps({'nutcracker': {'pools': pools}}))}",
        seconds=120,
    )
    assert done.returncode != 0
    assert "no hosts with the role redis-jobs" in done.stdout + done.stderr
    assert host.file(path).sha256sum == before


# -- both ways -------------------------------------------------------------------


def test_flushing_the_cache_logs_nobody_out(fleet, app, secrets):
    for port in (SESSIONS_MEMCACHED, SESSIONS_REDIS, CACHE_MEMCACHED, CACHE_REDIS):
        assert "kept" in set_and_get(fleet, app, port, secrets, key="flush-test", value="kept")
    for host in fleet.with_role("memcache-cache"):
        assert talk(fleet, host.name, "127.0.0.1", 11211, "flush_all\r\n") == ["OK\r\n"]
    for host in fleet.with_role("redis-cache"):
        as_user(fleet, host, secrets["redis-operator"], ("FLUSHALL",), user="operator")

    def get(port):
        if port in MEMCACHED_POOLS:
            return talk(fleet, app, "127.0.0.1", port, "get flush-test\r\n")[-1]
        words = [("AUTH", secrets[REDIS_POOLS[port]]), ("GET", "flush-test")]
        return talk(fleet, app, "127.0.0.1", port, *[command(*each) for each in words])[-1]

    assert "kept" in get(SESSIONS_MEMCACHED)
    assert "kept" in get(SESSIONS_REDIS)
    assert get(CACHE_MEMCACHED) == "END\r\n"
    assert get(CACHE_REDIS) == "$-1\r\n"


# -- daemons ---------------------------------------------------------------------


DAEMONS = pytest.mark.parametrize(
    ("role", "daemon", "unit", "user"),
    [
        ("memcache", "memcached", "memcached", "memcache"),
        ("redis", "redis", "redis-server", "redis"),
        ("app", "nutcracker", "nutcracker", "nutcracker"),
    ],
    ids=["memcache", "redis", "app"],
)


@DAEMONS
def test_the_registrys_pattern_finds_the_daemon_and_nothing_else(fleet, role, daemon, unit, user):
    pattern = fleet.inventory.names["roles"][role]["services"][daemon]["process"]
    for host in fleet.with_role(role):
        main = host.service(unit).systemd_properties["MainPID"]
        assert host.check_output("pgrep -f %s", pattern).split() == [main]
        assert host.process.get(pid=main).user == user


@DAEMONS
def test_daemons_have_no_privileges_and_are_always_restarted(fleet, role, daemon, unit, user):
    # What the kernel says of the process, not what the unit asks for: in a container
    # systemd leaves out, without an error, what it may not set up.
    for host in fleet.with_role(role):
        properties = host.service(unit).systemd_properties
        assert properties["Restart"] == "always"
        status = host.file(f"/proc/{properties['MainPID']}/status").content_string
        said = dict(line.split(":\t", 1) for line in status.splitlines())
        wanted = {"CapEff": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2"}
        assert {key: said[key] for key in wanted} == wanted


@pytest.mark.slow
def test_a_shard_that_hangs_costs_little(fleet, app):
    """
    SIGSTOP is the hard case: connections stand, and answers do not come.

    Measured: 23 of 56,000 requests failed in 45 s, none took longer than 302 ms.
    """
    shards = fleet.with_role("memcache-sessions")
    if len(shards) < 2:
        pytest.skip("one shard only")
    process = shards[-1].service("memcached").systemd_properties["MainPID"]

    def hang():
        time.sleep(3)
        shards[-1].run_expect([0], "kill -STOP %s", process)
        time.sleep(25)
        shards[-1].run_expect([0], "kill -CONT %s", process)

    hanging = threading.Thread(target=hang)
    hanging.start()
    try:
        seen = probe(
            fleet,
            app,
            SESSIONS_MEMCACHED,
            seconds=60,
            request="set shard-%d 0 60 1\r\nx\r\n",
            well="STORED",
        )
    finally:
        hanging.join()
    failed = [began for began, _, well in seen if not well]
    # It did hang, and the broker noticed it twice at most: at first, and when it tried again.
    assert failed
    assert len(failed) < len(seen) / 200
    assert max(took for _, took, _ in seen) < 1
    # Well again after the last try, with the shard back.
    assert max(failed) < 50
