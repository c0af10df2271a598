"""The start page and the failure pages, in a browser and as hosts give them."""

import contextlib
import re

import pytest
import yaml

from tests.support.browser import DESK, PHONE
from tests.support.services import stopped
from tools.inventory import TREE

FOLDER = "/usr/local/share/site-pages/"
CAUSES = yaml.safe_load((TREE / "salt/site-pages/causes.yaml").read_text("utf-8"))


class Answer:
    """What `curl -si` printed."""

    def __init__(self, text):
        head, _, self.body = text.replace("\r\n", "\n").partition("\n\n")
        first, *lines = head.split("\n")
        self.status = int(first.split()[1])
        self.headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }


def asked(host, domain, path, name="docs"):
    """What nginx of an app host answers to its own host, as to a frontend."""
    done = host.run(
        f"curl -si --max-time 20 -H 'Host: {name}.{domain}' -H 'X-Forwarded-Proto: https' "
        f"'http://127.0.0.1{path}'"
    )
    return Answer(done.stdout)


def is_page(answer, host, cause):
    """Whether an answer is the page of that cause, whole, with its waiting time."""
    assert answer.headers.get("x-failure") == cause, answer.headers
    assert answer.body.strip() == host.file(f"{FOLDER}{cause}.html").content_string.strip()
    assert answer.headers.get("retry-after") == (
        str(CAUSES[cause]["retry_after"]) if "retry_after" in CAUSES[cause] else None
    )
    assert answer.headers["cache-control"] == "no-store"


# -- the start page ------------------------------------------------------------


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_the_start_page(visitors, size):
    visitor = visitors(size=size)
    answer = visitor.open("www")
    assert answer.status == 200
    visitor.shot()
    page = visitor.page
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.get_by_role("navigation").get_by_role("link", name="Documentation").is_visible()
    assert visitor.context.cookies() == []
    assert visitor.errors == []


def test_it_can_be_used_without_a_mouse(visitor):
    visitor.open("www")
    visitor.page.keyboard.press("Tab")
    first = visitor.page.locator(":focus")
    assert first.inner_text() == "To the content"
    # What has the focus is seen.
    assert first.bounding_box()["x"] >= 0
    assert first.evaluate("e => getComputedStyle(e).outlineStyle") == "solid"


def test_its_links_lead_to_pages(visitor):
    visitor.open("www")
    links = visitor.page.locator("nav a").evaluate_all("all => all.map(a => a.href)")
    assert links
    for link in links:
        answer = visitor.page.goto(link)
        # Where one must sign in first, that is said, and the page is there.
        assert answer.status in (200, 401) and "x-failure" not in answer.headers, link


@pytest.mark.parametrize("host_name", ["", "www"])
def test_http_and_the_bare_domain_lead_to_it(visitors, host_name):
    visitor = visitors()
    name = ".".join(part for part in (host_name, visitor.chromium.domain) if part)
    answer = visitor.page.goto(f"http://{name}/robots.txt?x=1")
    assert answer.url == f"https://www.{visitor.chromium.domain}/robots.txt?x=1"
    assert answer.status == 200


def test_security_txt(visitor):
    answer = visitor.open("www", "/.well-known/security.txt")
    assert answer.status == 200
    assert re.search(r"^Contact: (mailto|https):.+\n", answer.text(), re.M)
    assert re.search(r"^Expires: \d{4}-", answer.text(), re.M)


# -- pages of what fails -------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_not_there_says_so(visitors, fleet, scheme):
    visitor = visitors(size=PHONE, color_scheme=scheme)
    answer = visitor.open("www", "/nothing-is-here")
    visitor.shot()
    assert answer.status == 404
    assert answer.headers["x-failure"] == "not-found"
    assert "retry-after" not in answer.headers
    frontend = fleet.with_role("frontend")[0]
    assert answer.text() == frontend.file(f"{FOLDER}not-found.html").content_string
    page = visitor.page
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    page.get_by_role("link", name="To the start page").click()
    page.wait_for_url(f"https://www.{visitor.chromium.domain}/")


def test_nobody_calls_up_a_failure_page_by_its_name(visitor):
    answer = visitor.open("www", "/site-pages/maintenance.html")
    assert answer.status == 404 and answer.headers["x-failure"] == "not-found"


@pytest.mark.role("app")
def test_an_app_s_nginx_says_it_with_the_same_page(fleet, host):
    answer = asked(host, fleet.domain(), "/nothing-is-here")
    assert answer.status == 404
    is_page(answer, host, "not-found")


@pytest.mark.role("app")
def test_the_wiki_s_own_words_pass_through(fleet, host):
    answer = asked(host, fleet.domain(), "/wiki/There_is_no_such_page_of_the_wiki")
    assert answer.status == 404
    assert "x-failure" not in answer.headers and "There is currently no text" in answer.body


def test_php_away_is_said_by_its_page(fleet):
    host = fleet.with_role("app")[-1]
    with stopped(host, "php8.4-fpm"):
        answer = asked(host, fleet.domain(), "/wiki/Main_Page")
    assert answer.status == 502
    is_page(answer, host, "connection-refused")


def test_php_that_breaks_off_is_said_by_its_page(fleet):
    host = fleet.with_role("app")[-1]
    workers = "pgrep -f '^php-fpm: pool wiki'"
    # Stopped workers give no answer; then php is gone, with all that waits for it.
    with contextlib.ExitStack() as after:
        after.callback(host.run_expect, [0], "systemctl restart php8.4-fpm")
        host.run_expect([0], f"kill -STOP $({workers})")
        done = host.run(
            "(sleep 1; systemctl kill -s KILL php8.4-fpm) & "
            f"curl -si --max-time 20 -H 'Host: docs.{fleet.domain()}' "
            "-H 'X-Forwarded-Proto: https' http://127.0.0.1/wiki/Main_Page"
        )
    answer = Answer(done.stdout)
    assert answer.status == 502
    is_page(answer, host, "read-error")
