"""The level's mailbox in a browser: for operators who are signed in, and harmless."""

import html
import re
import secrets as random
import shlex
from concurrent import futures
from email.message import EmailMessage

import pytest

from tests.support import accounts, mail
from tests.support.browser import PHONE
from tests.support.waiting import wait_for

OTHERS = ("/", "/index.html", "/msg00000.html", "/filter.js", "/files/x.pdf", "/?words=a")
# What a mail may try; each would change the page's title.
BAD = """<h1>Good day</h1><p>Read <a href="https://docs.{domain}/wiki/Main_Page">this page</a>.</p>
<script>document.title = "run"</script><img src="x" onerror="document.title = 'run'">
<svg onload="document.title = 'run'"></svg><a href="javascript:document.title='run'">press</a>
<img src="https://www.{domain}/logo.svg">
<meta http-equiv="refresh" content="0;url=https://www.{domain}/"><base href="https://evil.test/">
<form action="https://www.{domain}/"><button>send</button></form>
<iframe src="https://www.{domain}/"></iframe><object data="https://www.{domain}/"></object>"""
# What no page is made of: tags in tags.
WORSE = """<h1>Good day</h1><scr<script>ipt>document.title = "run"</script>
<iframe srcdoc="<script>parent.document.title = 'run'</script>"></iframe>"""


class Post:
    """Mail from one host, and the page of an operator."""

    def __init__(self, fleet, portal):
        self.fleet, self.portal, self.domain = fleet, portal, fleet.domain()
        self.url = f"https://mail.{self.domain}/"
        self.relay = fleet.with_role("mail")[0]
        self.sender = fleet.with_role("app")[0].name

    def send(self, text, to=None, *, kind="plain", subject="", attached=()):
        """Hand over a mail; returns its recipient, whom no other mail has."""
        to = to or f"t{random.token_hex(6)}@example.org"
        message = EmailMessage()
        message["From"], message["To"] = f"Robot <robot@{self.domain}>", to
        message["Subject"] = subject or f"for {to}"
        message.set_content(text, subtype=kind)
        for name, content in attached:
            message.add_attachment(
                content, maintype="application", subtype="octet-stream", filename=name
            )
        done = self.fleet.shell(
            self.sender,
            f"/usr/sbin/sendmail -i -f robot@{self.domain} {to}",
            stdin=message.as_string(),
        )
        assert done.returncode == 0, done.stderr
        return to

    def row(self, reader, to):
        """Of the list: what stands in the line of a recipient, and where it leads."""

        def there():
            answer = reader.get(self.url, timeout=30)
            assert answer.status_code == 200, answer.status_code
            for line in re.findall(r"<tr>(<td>.*)</tr>", answer.text):
                if f"<td>{to}</td>" in line:
                    return line, self.url + re.search(r'href="(msg[0-9]+\.html)"', line)[1]
            return None

        return wait_for(there, 60, f"the mail to {to} is on the page")


@pytest.fixture(scope="module")
def post(fleet, portal):
    if not fleet.with_role("mail")[0].file("/etc/nginx/sites-enabled/mhonarc.conf").exists:
        pytest.skip("a level that delivers its mail")
    return Post(fleet, portal)


@pytest.fixture(scope="module")
def reader(post, portal):
    """The browser of an operator who was sent to sign in, and did."""
    person = portal.person()
    form = person.browser.get(post.url, timeout=60)
    assert form.url.startswith(portal.url)
    page = person.sign_in("operator", portal.secrets["accounts-operator"], form.url, form)
    assert (page.url, page.status_code) == (post.url, 200)
    return person.browser


def test_a_link_in_a_mail_can_be_followed(post, reader):
    link = f"https://accounts.{post.domain}/register?register_token=a%3D%3D&x=1"
    to = post.send(f"Hello,\n\nconfirm: {link}\n\n<script>alert(1)</script>\n")
    (line, page), _ = post.row(reader, to)
    assert f"robot@{post.domain}" in line and f"for {to}" in line
    text = reader.get(page, timeout=30).text
    assert f'href="{html.escape(link)}"' in text
    assert "<script" not in text and "&lt;script&gt;alert(1)" in text
    assert f"for {to}" in text and to in text


def test_the_newest_mail_comes_first_and_each_recipient_has_one(post, reader):
    first = post.send("one")
    post.row(reader, first)
    both = [f"t{random.token_hex(6)}@example.org" for _ in range(2)]
    post.send("two", " ".join(both))
    for to in both:
        post.row(reader, to)
    text = reader.get(post.url, timeout=30).text
    assert all(text.index(f"<td>{to}</td>") < text.index(f"<td>{first}</td>") for to in both)


def test_a_mail_is_there_within_seconds(post, reader):
    to = post.send("quick")
    assert mail.read(post.fleet, to, "for ")
    _, seconds = post.row(reader, to)
    assert seconds < 10


def test_attachments_are_downloaded(post, reader):
    content = random.token_bytes(2000)
    to = post.send("see", attached=[("../report.bin", content), ("page.html", b"<b>no</b>")])
    (_, page), _ = post.row(reader, to)
    found = re.findall(r'href="(files/[^"]+)"', reader.get(page, timeout=30).text)
    answers = [reader.get(post.url + name, timeout=30) for name in found]
    assert content in [answer.content for answer in answers]
    for answer in answers:
        assert answer.headers["Content-Disposition"] == "attachment"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_nothing_is_kept_on_the_way(post, reader):
    answer = reader.get(post.url, timeout=30)
    assert "no-store" in answer.headers["Cache-Control"]
    for path in (
        "pages/index.html",
        ".mhonarc.db",
        "index.html/",
        "files/",
        "files/..%2f.mhonarc.db",
    ):
        assert reader.get(post.url + path, timeout=30).status_code == 404, path


def test_others_than_operators_are_refused(post, portal, account, visitors):
    """The accounts site itself lets nobody else go on to this one; it says so on a page."""
    person = portal.person()
    person.sign_in(*account)
    assert person.inside
    answer = person.browser.get(post.url, timeout=60)
    assert answer.url.startswith(portal.url)
    assert accounts.message(answer.text) == accounts.REFUSED_PARTNER
    assert not person.browser.cookies.get("sso_session", domain=f"mail.{post.domain}")
    # A session that is none makes no difference.
    person.browser.cookies.set("sso_session", "x" * 36, domain=f"mail.{post.domain}")
    answer = person.browser.get(post.url, timeout=60, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/sso/login?to=/")

    visitor = visitors()
    visitor.open("mail")
    visitor.page.fill("input[name=user]", account[0])
    visitor.page.fill("input[name=password]", account[1])
    with visitor.page.expect_navigation():
        visitor.page.press("input[name=password]", "Enter")
    visitor.shot()
    assert visitor.page.url.startswith(portal.url)
    assert "not authorized" in visitor.page.inner_text("body").lower()


def test_who_is_not_signed_in_is_sent_there(post, portal):
    stranger = portal.person().browser
    for path in OTHERS:
        answer = stranger.get(post.url + path[1:], timeout=60)
        assert answer.url.startswith(portal.url), path
        first = answer.history[0]
        assert (first.status_code, first.headers["Location"]) == (303, f"/sso/login?to={path}")


def test_what_a_request_claims_counts_nothing(post, portal):
    names = (
        *("X-Sso-User", "X-Sso-Groups", "OIDC-CLAIM-sub", "OIDC_CLAIM_groups"),
        *("Remote-User", "X-Remote-User", "Auth-User", "Authorization"),
    )
    claims = dict.fromkeys(names, "b3BlcmF0b3I")
    claims |= {"X-Original-URL": "/site.css", "X-Rewrite-URL": "/site.css"}
    stranger = portal.person().browser
    for path in OTHERS:
        answer = stranger.get(
            post.url + path[1:], headers=claims, timeout=60, allow_redirects=False
        )
        assert answer.status_code == 303, path
    # On a frontend, past its own web server: the same.
    words = " ".join(f"-H {shlex.quote(f'{name}: {value}')}" for name, value in claims.items())
    address = post.fleet.address(post.relay.name)
    for host in (post.fleet.with_role("frontend")[0].name, post.relay.name):
        for path in OTHERS:
            done = post.fleet.shell(
                host,
                "curl -s -m 20 -o /dev/null -w '%{http_code}' "
                f"-H 'Host: mail.{post.domain}' -b sso_session=forged {words} "
                f"{shlex.quote(f'http://{address}{path}')}",
            )
            assert done.stdout == "303", (host, path)


def test_other_hosts_do_not_reach_it(post):
    address = post.fleet.address(post.relay.name)
    # One host of each kind.
    kinds = {member.roles: member for member in post.fleet.members}
    kinds = {roles: member.name for roles, member in kinds.items() if "mail" not in roles}
    ask = f"for port in 80 4180; do nc -z -w 3 {address} $port && echo $port & done; wait"
    with futures.ThreadPoolExecutor(max_workers=4) as pool:
        answers = list(pool.map(lambda name: post.fleet.shell(name, ask).stdout, kinds.values()))
    for roles, answer in zip(kinds, answers, strict=True):
        assert set(answer.split()) == ({"80"} if "frontend" in roles else set()), kinds[roles]


def test_others_on_the_host_cannot_read_the_pages(post):
    for path in ("/var/lib/mail-pages/pages/index.html", "/var/lib/sink-mail/maildir/cur"):
        assert post.relay.run(f"runuser -u nobody -- ls {path}").rc != 0
        assert post.relay.run(f"ls {path}").rc == 0


def test_what_is_too_old_goes(post, reader):
    old, fresh = post.send("old"), post.send("fresh")
    post.row(reader, old)
    post.row(reader, fresh)
    box = "/var/lib/sink-mail/maildir/cur"
    post.relay.run_expect([0], f"touch -d '-15 days' $(grep -l '^To: {old}$' {box}/*)")
    post.relay.run_expect([0], "systemctl start mhonarc-all.service")
    text = reader.get(post.url, timeout=30).text
    assert fresh in text and old not in text
    assert mail.read(post.fleet, fresh, "", wait=0)
    assert mail.read(post.fleet, old, "", wait=0) is None


def test_in_a_browser(post, portal, reader, visitors):
    plain = post.send(
        f"Hello,\n\nplease confirm: https://accounts.{post.domain}/register?register_token=x\n",
        subject="Confirm your address",
        attached=[("report.pdf", b"%PDF-1.4")],
    )
    bad = post.send(BAD.format(domain=post.domain), kind="html", subject="<script>Bad</script>")
    worse = post.send(WORSE, kind="html", subject="Worse")
    for to in (plain, bad, worse):
        post.row(reader, to)
    visitor = visitors()
    page = visitor.page
    visitor.open("mail")
    page.fill("input[name=user]", "operator")
    page.fill("input[name=password]", portal.secrets["accounts-operator"])
    page.press("input[name=password]", "Enter")
    page.wait_for_url(post.url)
    visitor.shot("list")
    rows = page.locator("#mails tbody tr:visible")
    assert rows.count() > 1
    page.fill("#words", f"confirm {plain}")
    assert rows.count() == 1
    visitor.shot("one recipient")
    rows.locator("a").click()
    assert page.locator("h1").inner_text() == "Confirm your address"
    visitor.shot("mail")
    with page.expect_download() as download:
        page.click("text=report.pdf")
    assert download.value.path().read_bytes() == b"%PDF-1.4"
    page.click("text=register_token=x")
    page.wait_for_url("**/register?register_token=x")

    # What is downloaded is no page: Chromium calls that aborted.
    assert [error for error in visitor.errors if f"{post.url}files/" not in error] == []
    page.goto(f"{post.url}?words={bad}")
    assert rows.count() == 1 and "<script>Bad</script>" in rows.inner_text()
    rows.locator("a").click()
    page.wait_for_load_state()
    visitor.shot("bad mail")
    assert not page.get_by_text("press").get_attribute("href").startswith("javascript:")
    assert page.locator("h1", has_text="Good day").is_visible()
    assert "run" not in page.title() and page.url.startswith(post.url)
    for tag in ("form", "script", "meta", "base", "object"):
        assert page.locator(f"main {tag}").count() == 0, tag
    page.click("text=this page")
    page.wait_for_url("**/wiki/Main_Page")
    page.goto(f"{post.url}?words={worse}")
    rows.locator("a").click()
    assert page.locator("h1").inner_text() == "Worse"
    assert "run" not in page.title() and page.locator("script, iframe").count() == 0


def test_on_a_phone(portal, post, reader, visitors):
    visitor = visitors(size=PHONE)
    visitor.open("mail")
    visitor.page.fill("input[name=user]", "operator")
    visitor.page.fill("input[name=password]", portal.secrets["accounts-operator"])
    visitor.page.press("input[name=password]", "Enter")
    visitor.page.wait_for_url(post.url)
    visitor.shot()
    assert visitor.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
