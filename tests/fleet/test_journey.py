"""One person's first day on the whole site, in a real browser: each step as a person does it."""

import re
import secrets as random

import pytest

from tests.support.accounts import sign_in_by_form
from tests.support.waiting import wait_for


@pytest.fixture
def newcomer(fleet, portal, blog):
    """Somebody without an account; the account and what was written go with the test."""
    surname = "Journey" + random.token_hex(3)
    uid = "a" + surname.lower()
    yield uid, {"firstname": "Ada", "lastname": surname, "mail": f"{uid}@{portal.domain}"}
    portal.remove(uid)
    blog.forget(uid)
    fleet.shell(
        fleet.with_role("app")[0].name,
        "runuser -u wiki -- php /srv/release/mediawiki/current/maintenance/run.php "
        "deleteBatch --wiki=docs",
        stdin=f"User:{uid.capitalize()}\n",
    )


@pytest.fixture
def post(blog):
    """A post that may be commented on: its path."""
    made = blog.php(
        "$id = wp_insert_post(['post_title' => 'News of the day', 'post_status' => 'publish',"
        " 'post_content' => 'To be commented on.', 'comment_status' => 'open']);"
        "echo $id . ' ' . get_permalink($id);"
    )
    number, place = made.split()
    yield place.removeprefix(blog.url)
    blog.php("wp_delete_post((int) $given['id'], true);", id=number)


def letter(operator, address, what):
    """The mail to somebody that has ``what`` in it, open in the operator's browser."""

    def found():
        operator.open("mail", f"/?words={address}")
        rows = operator.page.locator("tr", has_text=address).locator("a")
        for place in rows.evaluate_all("all => all.map(one => one.href)"):
            operator.page.goto(place)
            if what in operator.page.content():
                return operator.page
        return None

    return wait_for(found, 90, f"the operator reads the mail to {address}", interval=1)[0]


def test_a_person_s_first_day(visitors, portal, newcomer, post):
    uid, given = newcomer
    name, word = uid.capitalize(), "journey" + random.token_hex(5)
    password = random.token_hex(8)
    operator, person = visitors("operator"), visitors("person")
    operator.open("mail")
    sign_in_by_form(operator.page, "operator", portal.secrets["accounts-operator"])
    assert operator.page.url == f"https://mail.{portal.domain}/"

    # Sign up; what the level mails is in the operators' mailbox.
    page = person.page
    person.open("accounts", "/register")
    for field, value in given.items():
        page.locator(f"input[name={field}]").fill(value)
    person.shot("sign-up")
    page.locator("form button[type=submit]").first.click()
    page.get_by_text("A confirmation mail has been sent").wait_for()
    mail = letter(operator, given["mail"], "register_token")
    operator.shot("mail")
    page.goto(mail.locator('a[href*="register_token"]').first.get_attribute("href"))
    person.shot("confirmed")
    mail = letter(operator, given["mail"], "temporary password")
    first = re.search(r"\b[A-Za-z0-9]{20}\b", mail.locator("body").inner_text()).group()

    # On the way to a page of the wiki: the first password opens nothing but the form
    # for one's own, and that one signs in, once.
    person.open("docs", f"/w/index.php?title=Special:UserLogin&returnto=User:{name}")
    sign_in_by_form(page, uid, first)
    for field in ("newpassword", "confirmpassword"):
        page.locator(f"input[name={field}]").fill(password)
    person.shot("own-password")
    page.get_by_role("button", name="Submit").click()
    page.get_by_text("Password successfully changed").wait_for()
    sign_in_by_form(page, uid, password)
    page.wait_for_url(f"https://docs.{portal.domain}/**")

    # Edit the wiki, which welcomes a newcomer with a dialog.
    page.add_locator_handler(
        page.get_by_role("button", name="Start editing"), lambda button: button.click()
    )
    person.open("docs", f"/w/index.php?title=User:{name}&action=edit")
    person.shot("editing")
    page.locator("#wpTextbox1").fill(f"The {word} begins on the wiki.")
    page.locator("#wpSave").click()
    page.wait_for_url(f"**/wiki/User:{name}")
    assert word in page.locator("#mw-content-text").inner_text()
    person.shot("edited")

    # Comment on the blog: no further password. The operator approves it.
    person.open("blog", post)
    link = page.locator(".must-log-in a")
    if link.count():
        link.click()
        page.wait_for_load_state("load")
    page.locator("#comment").fill(f"The {word} goes on at the blog.")
    page.locator("#commentform [type=submit]").click()
    page.get_by_text("awaiting moderation").wait_for()
    person.shot("commented")
    operator.open("blog", "/wp-admin/edit-comments.php?comment_status=moderated")
    row = operator.page.locator("#the-comment-list tr", has_text=word)
    operator.shot("moderation")
    row.hover()
    row.get_by_role("button", name="Approve").or_(row.locator(".approve a")).first.click()
    row.wait_for(state="hidden")

    # The site's search finds both.
    def both():
        person.open("search", f"/?q={word}")
        places = page.locator("main a").evaluate_all("all => all.map(one => one.href)")
        return {"docs", "blog"} <= {place.split("/")[2].split(".")[0] for place in places}

    wait_for(both, 90, "the search finds the page and the comment", interval=2)
    person.shot("found")

    # A page for operators is none for others.
    person.open("mail")
    person.shot("refused")
    assert page.get_by_text("You're not authorized").is_visible()
    assert given["mail"] not in page.content()

    # Log out: everywhere.
    person.open("docs", "/sso/logout")
    person.shot("logged-out")
    person.open("accounts")
    assert page.locator("input[name=password]").is_visible()
    person.open("docs", f"/wiki/User:{name}")
    assert page.locator("#pt-login, #pt-login-2").first.count()
    person.open("blog", post)
    assert page.locator("#wpadminbar").count() == 0
    person.shot("a-stranger-again")
