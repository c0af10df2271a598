"""The site's search as readers and writers meet it: the wiki's, and the page for all."""

import html
import re
import secrets as random

import pytest

from tests.support.waiting import wait_for

# From saving to finding, with a busy machine under it.
SECONDS = 30

LOGO = '<img src="/logo.svg" alt="" width="35" height="35"'


@pytest.fixture(autouse=True)
def _with_a_search_server(fleet):
    if not fleet.with_role("elastic"):
        pytest.skip("this level has no search server")


def ask(site, words, **more):
    """What the search page answers to a program."""
    answer = site.session().get(
        f"https://search.{site.domain}/", params={"q": words, "format": "json"} | more, timeout=30
    )
    assert answer.status_code == 200
    return answer.json()


def found(site, words):
    answer = ask(site, words)
    assert answer["available"], answer
    return [result["title"] for result in answer["results"]]


def word():
    return "findme" + random.token_hex(6)


# -- what is written is found, what is gone is not -----------------------------


def test_an_edit_is_found_within_seconds_and_a_deleted_page_is_not(site, writer):
    first, second, title = word(), word(), f"Search {random.token_hex(4)}"
    writer.edit(title, f"{first} stands ''here''")
    wait_for(lambda: found(site, first) == [title], SECONDS, "an edit is found")
    (result,) = ask(site, first)["results"]
    assert result["site"] == "wiki"
    assert result["url"] == f"https://docs.{site.domain}/wiki/{title.replace(' ', '_')}"
    assert f"<mark>{first}</mark> stands here" in result["snippet_html"]

    writer.edit(title, f"{second} instead")
    wait_for(lambda: found(site, second) == [title], SECONDS, "the next edit is found")
    # The edge may answer a question that was asked before for some seconds.
    wait_for(lambda: found(site, first) == [], SECONDS, "what is no longer there is not found")

    moved = f"{title} elsewhere"
    answer = writer.post(action="move", **{"from": title, "to": moved}, token=writer.token())
    assert "move" in answer, answer
    wait_for(lambda: found(site, second) == [moved], SECONDS, "a moved page has its new title")

    answer = writer.post(action="delete", title=moved, token=writer.token())
    assert "delete" in answer, answer
    wait_for(lambda: found(site, second) == [], SECONDS, "a deleted page is found no more")

    answer = writer.post(action="undelete", title=moved, token=writer.token())
    assert "undelete" in answer, answer
    wait_for(lambda: found(site, second) == [moved], SECONDS, "a restored page is found again")
    writer.created.append(moved)


def test_a_redirect_s_name_finds_the_page_it_leads_to(site, writer):
    title, name = f"Search {random.token_hex(4)}", word()
    writer.edit(title, "a page with another name")
    writer.edit(name.capitalize(), f"#REDIRECT [[{title}]]")
    wait_for(lambda: found(site, name) == [title], SECONDS, "a redirect's name finds its page")


def test_the_wiki_answers_from_the_search_server(site, writer):
    text, title = word(), f"Search {random.token_hex(4)}"
    writer.edit(title, f"{text} {{{{#if: x | stands here }}}}")

    def answered():
        said = writer.get(action="query", list="search", srsearch=text, srprop="snippet")
        return said["query"]["search"]

    (hit,) = wait_for(answered, SECONDS, "the wiki finds the page")[0]
    assert hit["title"] == title
    wait_for(lambda: found(site, text), SECONDS, "the server has it")
    # The text of the page, not its source: so the database did not answer.
    (hit,) = answered()
    assert f'<span class="searchmatch">{text}</span> stands here' in hit["snippet"]
    assert (
        answered()
        and not writer.get(action="query", list="search", srsearch=text, srnamespace="10")["query"][
            "search"
        ]
    )


def test_beginnings_of_titles_are_suggested(site, writer):
    title = f"Suggest{random.token_hex(4)} middle end"
    writer.edit(title, "suggested")

    def suggested(words):
        return writer.get(action="opensearch", search=words)[1]

    wait_for(lambda: suggested(title[:12]) == [title], SECONDS, "a title is suggested")
    wait_for(lambda: title in suggested(f"middle {title[:11]}"), SECONDS, "in any order of words")


# -- what people type is text ---------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        '"}},"size":9999,"query":{"match_all":{}}',
        '{"query":{"match_all":{}}}',
        "_exists_:text OR site:wiki",
        "a AND (",
        '"',
        "*",
        "\\",
        "'; DROP TABLE page; --",
        "../../_cluster/settings",
        "x" * 5000,
    ],
)
def test_no_words_change_the_question(site, words):
    answer = ask(site, words)
    assert answer["available"] is True
    assert len(answer["results"]) <= 10
    assert len(answer["query"]) <= 300


def test_words_and_pages_cannot_bring_html(site, writer):
    text, evil = word(), "<script>alert(1)</script>"
    writer.edit(f"Search {random.token_hex(4)}", f"{text} &lt;script>alert(1)&lt;/script>")
    wait_for(lambda: found(site, text), SECONDS, "the page is found")
    page = site.session().get(
        f"https://search.{site.domain}/", params={"q": f'{text} {evil}"><img src=x>'}, timeout=30
    )
    answer = site.session().get(f"https://search.{site.domain}/", params={"q": text}, timeout=30)
    for said in (page, answer):
        assert said.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "script-src" not in said.headers["Content-Security-Policy"]
        assert "default-src 'none'" in said.headers["Content-Security-Policy"]
        # The site's logo is the only picture.
        assert "<script" not in said.text
        assert re.findall("<img[^>]*", said.text) == [LOGO]
    assert f"<mark>{text}</mark>" in answer.text
    assert "alert(1)" in html.unescape(re.sub("<[^>]+>", "", answer.text))


@pytest.mark.parametrize(
    "query", ["", "?q=", "?q[]=x", "?q=%ff%fe", "?page=-1", "?q=x&page=99999999"]
)
def test_odd_questions_get_a_page(site, query):
    answer = site.session().get(f"https://search.{site.domain}/{query}", timeout=30)
    assert answer.status_code == 200 and re.search('<form [^>]*role="search"', answer.text)
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("path", ["/page.php", "/OpenSearch.php", "/config.php", "/index.php"])
def test_there_is_one_page_and_no_other(site, path):
    answer = site.session().get(f"https://search.{site.domain}{path}", timeout=30)
    assert answer.status_code == 404


def test_a_browser_is_told_of_the_search(site):
    answer = site.session().get(f"https://search.{site.domain}/opensearch.xml", timeout=30)
    assert answer.headers["Content-Type"].startswith("application/opensearchdescription+xml")
    assert f"https://search.{site.domain}/?q={{searchTerms}}" in answer.text


# -- on the hosts ----------------------------------------------------------------


@pytest.mark.role("app")
def test_only_the_page_may_read_its_password(fleet, host):
    config = host.file("/etc/site-search/config.php")
    assert (config.user, config.group, config.mode) == ("root", "search", 0o640)
    assert host.run("runuser -u wiki -- cat /etc/site-search/config.php").rc != 0
    assert host.run("runuser -u search -- cat /etc/mediawiki/wikis/docs.php").rc != 0


@pytest.mark.role("app")
def test_the_page_s_password_changes_nothing(fleet, host):
    # As the page does it, with the page's own settings.
    script = (
        "<?php $c = require '/etc/site-search/config.php'; $s = $c['server'];"
        "foreach ([['PUT', 'wiki/_doc/1'], ['DELETE', 'wiki'], ['GET', '_cluster/settings']]"
        " as [$m, $p]) {"
        "$l = curl_init(\"{$s['url']}/$p\");"
        "curl_setopt_array($l, [CURLOPT_CUSTOMREQUEST => $m, CURLOPT_RETURNTRANSFER => true,"
        "CURLOPT_CAINFO => $s['ca'], CURLOPT_USERPWD => \"{$s['user']}:{$s['password']}\","
        "CURLOPT_HTTPHEADER => ['Content-Type: application/json'], CURLOPT_POSTFIELDS => '{}']);"
        "curl_exec($l); echo curl_getinfo($l, CURLINFO_RESPONSE_CODE), ' '; }"
    )
    said = fleet.shell(host.name, "runuser -u search -- php", stdin=script)
    assert said.stdout.split() == ["403", "403", "403"], said.stdout + said.stderr
