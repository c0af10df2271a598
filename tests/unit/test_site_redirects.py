"""Addresses that have moved."""

import pytest

TABLE = {
    "www": [
        {"path": "/css", "to": "docs/wiki/css", "prefix": True},
        {"path": "/old", "to": "https://elsewhere.example/", "status": 302},
    ],
    "": [{"path": "/old", "to": "/new"}],
}


@pytest.fixture
def redirects(load):
    return load("_modules/site_redirects.py")


def test_a_host_has_its_own_rows_sorted(redirects):
    assert redirects.of_host(TABLE, "www", "example.org") == [
        {
            "path": "/css",
            "to": "https://docs.example.org/wiki/css",
            "status": 301,
            "prefix": True,
        },
        {"path": "/old", "to": "https://elsewhere.example/", "status": 302, "prefix": False},
    ]


def test_the_domain_has_those_of_www_too_and_its_own_go_first(redirects):
    found = {row["path"]: row["to"] for row in redirects.of_host(TABLE, "", "example.org")}
    assert found == {
        "/css": "https://docs.example.org/wiki/css",
        "/old": "https://example.org/new",
    }


def test_what_follows_is_not_kept_behind_two_slashes(redirects):
    table = {"code": [{"path": "/x", "to": "https://elsewhere.example/", "prefix": True}]}
    (row,) = redirects.of_host(table, "code", "example.org")
    assert row["to"] == "https://elsewhere.example"


def test_a_host_without_rows_has_none(redirects):
    assert redirects.of_host(TABLE, "docs", "example.org") == []
