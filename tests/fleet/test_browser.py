"""The site in a real browser, and what that browser is."""

import pytest
from playwright.sync_api import Error

from tests.support.browser import PHONE, Chromium, Visitor


def test_the_wiki_opens(visitor):
    answer = visitor.open("docs")
    assert answer.status == 200
    assert visitor.page.url.endswith("/wiki/Main_Page")
    assert visitor.page.title() == "Web Platform Docs"
    visitor.shot()
    assert visitor.errors == []


def test_the_wiki_fits_on_a_phone(visitors):
    visitor = visitors(size=PHONE)
    visitor.open("docs", "/wiki/Main_Page")
    visitor.shot()
    assert visitor.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_it_knows_no_name_but_the_level_s(visitor):
    with pytest.raises(Error, match="ERR_NAME_NOT_RESOLVED"):
        visitor.page.goto("https://www.example.org/")


def test_it_trusts_nobody_but_the_level_s_authority(chromium, tmp_path):
    chromium.start()
    doubter = Chromium(chromium.domain, chromium.address, None, tmp_path)
    # One driver serves every program.
    doubter.driver = chromium.driver
    with pytest.raises(Error, match="ERR_CERT_AUTHORITY_INVALID"):
        Visitor(doubter, "doubter").open("docs")
    doubter.close()
