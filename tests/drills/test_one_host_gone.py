"""Each host of the site dies once: pages go on, or say in plain words what is wrong."""

import requests
import yaml

from tests.support.waiting import wait_for
from tools.inventory import TREE

# One page of every public site; behind each stands a daemon that has to answer.
PAGES = {
    "www": "/",
    "docs": "/wiki/Special:Version",
    "blog": "/?s=drill",
    "accounts": "/",
    "search": "/?q=drill",
}
# Who is missed, when the only host of a role has gone: its own site alone.
OWN_SITE = {"blog": "blog", "accounts": "accounts", "app": "docs"}
ROUNDS = 3
SECONDS_TO_RETURN = 120


def pages(site):
    """``{site: address of its page}``."""
    known = yaml.safe_load((TREE / "pillar/sites.yaml").read_text("utf-8"))
    return {name: site.url(name, path) for name, path in PAGES.items() if name in {"www", *known}}


def opened(site, page):
    """A page for a reader who tries twice: (status, text), or None when nobody answered."""
    last = None
    for _ in range(2):
        try:
            # No kept connections: each page is a new visitor's.
            answer = site.session().get(page, timeout=(4, 20), headers={"Connection": "close"})
        except requests.RequestException:
            continue
        last = answer.status_code, answer.text
        if answer.status_code < 500:
            break
    return last


def first_of_each_role(fleet):
    """Names; the databases have drills of their own, and a master is no part of a page."""
    seen = {}
    for member in fleet.members:
        if member.roles[0] != "db":
            seen.setdefault(member.roles, member.name)
    return sorted(seen.values())


def pytest_generate_tests(metafunc):
    if "gone" in metafunc.fixturenames:
        from tests.conftest import _fleet

        metafunc.parametrize("gone", first_of_each_role(_fleet(metafunc.config)))


def test_pages_go_on(fleet, sandbox, site, gone):
    host = fleet.inventory.find(gone)
    alone = sum(member.roles == host.roles for member in fleet.members) == 1
    missed = OWN_SITE.get(host.roles[0]) if alone else None
    found = {}
    sandbox.kill(gone)
    try:
        for _ in range(ROUNDS):
            for name, page in pages(site).items():
                found.setdefault(name, []).append(opened(site, page))
    finally:
        sandbox.start(gone)
    wrong = {
        name: [answer and answer[0] for answer in answers]
        for name, answers in found.items()
        if name != missed and not all(answer and answer[0] == 200 for answer in answers)
    }
    assert not wrong
    if missed:
        # A kept copy is as good as a page that says what is wrong.
        for answer in found[missed]:
            assert answer, f"{missed}: nobody answered"
            assert answer[0] in (200, 502, 503, 504), answer[0]
            assert f"https://www.{site.domain}" in answer[1] or answer[0] == 200
    wait_for(
        lambda: all((opened(site, page) or [0])[0] == 200 for page in pages(site).values()),
        SECONDS_TO_RETURN,
        f"{gone} is back, and every page opens",
    )
