"""The search server stopped: pages and edits go on, and nothing is forgotten."""

import contextlib
import secrets as random

import pytest

from tests.fleet.test_search import ask, found
from tests.support.services import stopped
from tests.support.waiting import wait_for


def test_without_the_server_pages_and_edits_go_on_and_nothing_is_lost(site, writer, author):
    servers = site.fleet.with_role("elastic")
    if not servers:
        pytest.skip("this level has no search server")
    text, title = "findme" + random.token_hex(6), f"Search {random.token_hex(4)}"
    blog = author.blog
    with contextlib.ExitStack() as after:
        for server in servers:
            after.enter_context(stopped(server, "opensearch"))
        writer.edit(title, f"{text} written while search was away")
        post = author.publish(f"{title} of the blog", f"{text}blog written while search was away")

        # The page for all says so, and leads to the sites' own.
        assert ask(site, f"{text} json")["available"] is False
        page = site.session().get(
            f"https://search.{site.domain}/", params={"q": f"{text} page"}, timeout=30
        )
        assert page.status_code == 200
        assert "Search is not available just now" in page.text
        assert f"https://docs.{site.domain}/w/index.php?title=Special:Search" in page.text
        assert "no-store" in page.headers["Cache-Control"]

        # The wiki's own database answers, and says that it is the one.
        def by_the_database():
            answer = site.session().get(
                f"https://docs.{site.domain}/w/index.php",
                params={"title": "Special:Search", "fulltext": "1", "search": text},
                timeout=60,
            )
            assert answer.status_code == 200
            assert "sitesearch-fallback" in answer.text
            return f'title="{title}"' in answer.text

        wait_for(by_the_database, 30, "the database finds what was just written")
        assert writer.get(action="opensearch", search=title)[1] == [title]
        read = site.session().get(f"https://docs.{site.domain}/wiki/{title}", timeout=30)
        assert read.status_code == 200 and text in read.text

        # The blog's own database, too.
        answer = blog.get("/", params={"s": f"{text}blog"})
        assert answer.status_code == 200 and "no-store" in answer.headers["Cache-Control"]
        assert "site-search-away" in answer.text and post["link"] in answer.text
    # A Java server takes its time to start.
    wait_for(lambda: found(site, text) == [title], 180, "what was missed is found after the start")

    def told_by_the_timer():
        blog.host.run_expect([0], "systemctl start wordpress-cron.service")
        return found(site, f"{text}blog") == [post["title"]["raw"]]

    wait_for(told_by_the_timer, 60, "the post that was missed is found", interval=2)
