"""The search hosts die: pages and edits go on, and nothing is forgotten."""

import secrets as random

from tests.fleet.test_search import ask, found
from tests.support.waiting import wait_for


def test_search_node_dies(drill, site, writer, author):
    """
    The host of the search engine dies, and people go on writing.

    Edits and posts that come while it is away have to be found later, and searches have
    to be answered somehow.

    Noticed: haproxy on the app hosts logs `Server opensearch/elastic1 is DOWN`; the
    search page says that search is not available, and leads to the sites' own.

    Heals: the wiki and the blog search their own databases meanwhile. What was written
    is kept in their queues, and told to the engine when it is back. Where there are
    several nodes, the others have a copy of everything.

    Do: start it: [search-node-lost](../search-node-lost.md).
    """
    servers = drill.hosts("elastic")
    text, title = "findme" + random.token_hex(6), f"Search {random.token_hex(4)}"
    blog = author.blog
    drill.load()
    drill.kill(*servers)
    drill.detected(
        "the apps' broker has left it out",
        drill.left_out(drill.app(), "opensearch", "BACKEND"),
        20,
    )
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

    drill.wait_until("the wiki's database finds what was just written", by_the_database, 30)
    assert writer.get(action="opensearch", search=title)[1] == [title]
    read = site.session().get(f"https://docs.{site.domain}/wiki/{title}", timeout=30)
    assert read.status_code == 200 and text in read.text

    # The blog's own database, too.
    answer = blog.get("/", params={"s": f"{text}blog"})
    assert answer.status_code == 200 and "no-store" in answer.headers["Cache-Control"]
    assert "site-search-away" in answer.text and post["link"] in answer.text
    drill.tell("pages and edits go on, and are found by the sites' own search")

    drill.start(*servers)
    # A Java server takes its time to start.
    drill.recovered(
        "what was missed is found by the engine", 180, lambda: found(site, text) == [title]
    )

    def told_by_the_timer():
        blog.host.run_expect([0], "systemctl start wordpress-cron.service")
        return found(site, f"{text}blog") == [post["title"]["raw"]]

    wait_for(told_by_the_timer, 60, "the post that was missed is found", interval=2)
