"""How many workers a php-fpm pool may have."""

import pytest


@pytest.fixture
def site_php_fpm(load):
    return load("_modules/site_php_fpm.py")


def test_as_many_workers_as_the_share_of_memory_holds(site_php_fpm):
    assert site_php_fpm.sizes(4096, 60, 80, 50) == {
        "max_children": 30,
        "start_servers": 4,
        "min_spare": 3,
        "max_spare": 9,
    }


def test_never_more_than_the_most(site_php_fpm):
    assert site_php_fpm.sizes(64000, 60, 80, 50)["max_children"] == 50


@pytest.mark.parametrize("memory", range(160, 8000, 37))
def test_php_fpm_s_own_rules_hold(site_php_fpm, memory):
    found = site_php_fpm.sizes(memory, 100, 80, 60)
    assert 1 <= found["min_spare"] <= found["start_servers"] <= found["max_spare"]
    assert 2 <= found["max_spare"] <= found["max_children"] <= 60
    assert found["max_children"] * 80 <= memory


def test_too_little_memory_is_an_error(site_php_fpm):
    with pytest.raises(site_php_fpm.CommandExecutionError, match="hold 1 workers"):
        site_php_fpm.sizes(200, 60, 80, 50)
