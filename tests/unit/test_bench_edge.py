"""What bench/edge.py makes of what it measures."""

import pytest

from tests.unit.conftest import ROOT, load_module

WRK = """Running 6s test @ http://127.0.0.1:8098/wiki/Main_Page
  2 threads and 4 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    95.28ms   11.02ms 142.52ms   71.43%
    Req/Sec    20.67      5.03    30.00     80.00%
  Latency Distribution
     50%   94.55ms
     75%  101.19ms
     90%  109.21ms
     99%    1.25s
  252 requests in 6.01s, 3.91MB read
Requests/sec:     41.93
Transfer/sec:    666.22KB
"""
POOL = """; a comment
[wiki]
user = wiki
listen = /run/php/wiki.sock
listen.owner = www-data
pm.max_children = 7
slowlog = /var/log/php-fpm/wiki.slow.log
"""


@pytest.fixture
def edge():
    return load_module("bench/edge.py")


def bursts(*rates, p99=10.0):
    return [{"rate": rate, "p99": p99, "cpu": 48.0} for rate in rates]


@pytest.mark.parametrize(
    ("text", "value"), [("850.00us", 0.85), ("1.20ms", 1.2), ("2.00s", 2000), ("1.10m", 66000)]
)
def test_times_of_wrk_are_milliseconds(edge, text, value):
    assert edge.milliseconds(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "12", "12ns", "ms"])
def test_what_is_no_time_is_refused(edge, text):
    with pytest.raises(ValueError, match="no time"):
        edge.milliseconds(text)


def test_a_burst_is_its_rate_and_its_p99(edge):
    seen = {"requests": 252, "rate": 41.93, "p99": 1250}
    assert edge.measured(WRK) == seen
    # It pads some units.
    assert edge.measured(WRK.replace("1.25s", "1.25s ")) == seen


@pytest.mark.parametrize(
    "text",
    [
        "",
        WRK.replace("41.93", "0.00"),
        WRK + "  Non-2xx or 3xx responses: 1\n",
        WRK + "  Socket errors: connect 0, read 0, write 0, timeout 2\n",
    ],
)
def test_a_burst_with_a_failed_answer_measures_nothing(edge, text):
    with pytest.raises(ValueError, match=r"nothing|Non-2xx|Socket"):
        edge.measured(text)


def test_the_plain_pool_has_the_same_workers_and_other_files(edge):
    plain = edge.plain_pool(POOL).splitlines()
    assert plain[1] == "[plain]"
    assert {"user = wiki", "pm.max_children = 7", "listen.owner = www-data"} < set(plain)
    assert not [line for line in plain if "/run/php/" in line or "/var/log/" in line]


@pytest.mark.parametrize("text", ["", POOL + POOL, POOL.replace("listen =", "listening =")])
def test_a_pool_of_another_shape_is_refused(edge, text):
    with pytest.raises(ValueError, match="not one"):
        edge.plain_pool(text)


def test_the_pool_of_the_wiki_has_that_shape(edge):
    template = (ROOT / "salt/php-fpm/templates/pool.conf.j2").read_text("utf-8")
    assert "[plain]" in edge.plain_pool(template)


def test_rounds_are_compared_with_their_neighbours(edge):
    # Other work halved both sides of the second round: the ratio is the same.
    found = {
        "cached": bursts(3000, 1500, 3100),
        "plain": bursts(30, 15, 31),
        "uncached": bursts(36, 18, 37.2),
        "plain, cookie": bursts(40, 20, 40),
    }
    text, missed = edge.report(found)
    assert not missed
    assert "| cached | 3000 (1500 to 3100) | 10.0 (10.0 to 10.0) | 48.0 (48.0 to 48.0) |" in text
    same = " | 1.00 (1.00 to 1.00)" * 2
    assert f"| cached | 100 (100 to 100){same} | at least 20 |" in text
    assert f"| uncached | 0.90 (0.90 to 0.93){same} | at least 0.85 |" in text


def test_what_others_take_is_all_that_is_not_idle(edge):
    before = "cpu  100 0 100 1000 10 0 0 0 0 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n"
    after = "cpu  130 0 110 1050 20 0 0 0 7 0\ncpu0 9 9 9 9 9 9 9 9 9 9\n"
    assert edge.busy(before, after) == pytest.approx(0.4)


def test_the_processes_of_those_who_answer_are_found(edge, tmp_path):
    tick = edge.os.sysconf("SC_CLK_TCK")
    fields = "S {} 1 1 0 -1 0 0 0 0 0 {} {} {} {} 20 0 1 0 {} 4096"
    for pid, name, numbers in (
        (10, "nginx", (1, 1, 2, 3, 4, 777)),
        (11, "php-fpm8.4", (10, tick, 0, 0, 0, 778)),
        (12, "python3", (1, 1000, 0, 0, 0, 1)),
        (13, "a) (nginx", (1, 1000, 0, 0, 0, 1)),
    ):
        (tmp_path / str(pid)).mkdir()
        text = f"{pid} ({name}) {fields.format(*numbers)}\n"
        (tmp_path / str(pid) / "stat").write_text(text, "ascii")
    # It ended while the folder was read.
    (tmp_path / "14").mkdir()
    (tmp_path / "14/stat").symlink_to("nowhere")
    found = edge.processes(tmp_path)
    assert found == {(10, 777): (1, pytest.approx(10 / tick)), (11, 778): (10, 1)}


def test_processor_time_is_counted_over_ends_and_restarts(edge):
    before = {(10, 1): (1, 5.0), (11, 2): (10, 2.0), (12, 2): (10, 3.0)}
    worked = {(10, 1): (1, 5.5), (11, 2): (10, 2.5), (12, 2): (10, 3.0)}
    assert edge.used(before, worked) == pytest.approx(1)
    # A worker ended and is in its parent's time; another one came.
    ended = {(10, 1): (1, 7.5), (12, 2): (10, 3.0), (13, 9): (10, 0.25)}
    assert edge.used(before, ended) == pytest.approx(0.75)
    # The whole service began anew, one of them under an old number.
    assert edge.used(before, {(20, 9): (1, 0.5), (12, 9): (20, 0.25)}) == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("cached", "uncached", "names"),
    [(20, 0.85, []), (19.9, 0.85, ["cached"]), (20, 0.84, ["uncached"])],
)
def test_a_missed_target_is_said(edge, cached, uncached, names):
    found = {
        "cached": bursts(cached),
        "plain": bursts(1),
        "uncached": bursts(uncached),
        "plain, cookie": bursts(1),
    }
    assert [sentence.split(":")[0] for sentence in edge.report(found)[1]] == names
