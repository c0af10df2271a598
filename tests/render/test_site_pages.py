"""The pages that are shown when something fails, and the look, as hosts get them."""

import json
import re
from html.parser import HTMLParser

import pytest
import yaml

from tests.support.offline import TREE

FOLDER = "/usr/local/share/site-pages/"
CAUSES = yaml.safe_load((TREE / "salt/site-pages/causes.yaml").read_text(encoding="utf-8"))
# Every cause that the site knows to tell apart.
WANTED = {
    "connection-refused": 503,
    "network-unreachable": 504,
    "too-many-connections": 503,
    "unhealthy": 503,
    "none-healthy": 503,
    "all-failed": 502,
    "read-error": 502,
    "write-error": 502,
    "maintenance": 503,
    "rate-limit": 429,
    "too-large": 413,
    "bad-request": 400,
    "not-found": 404,
    "forbidden": 403,
}


class Page(HTMLParser):
    """What a browser would load, and the words."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.links, self.language, self.title, self._open = [], [], None, "", ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self._open = tag
        self.language = found.get("lang") if tag == "html" else self.language
        if tag == "a":
            self.links.append(found["href"])
        elif tag in ("img", "script", "iframe"):
            self.loads.append(found.get("src", tag))
        elif tag == "link":
            self.loads.append(found["href"])

    def handle_data(self, data):
        if self._open == "title":
            self.title += data.strip()


@pytest.fixture(scope="module")
def served(compiled):
    """``{(level, host id): {path: text}}`` of the hosts that show such pages."""
    found = {
        (level, host): {path: file["text"] for path, file in result["files"].items()}
        for level, hosts in compiled.items()
        for host, result in hosts.items()
    }
    return {
        key: files for key, files in found.items() if any(path.startswith(FOLDER) for path in files)
    }


def pages(files):
    return {
        path.removeprefix(FOLDER).removesuffix(".html"): text
        for path, text in files.items()
        if path.startswith(FOLDER) and path.endswith(".html")
    }


def test_the_table_has_each_cause_with_its_status():
    assert {cause: page["status"] for cause, page in CAUSES.items()} == WANTED
    for cause, page in CAUSES.items():
        # Waiting helps against all but what is not there, or not for you.
        assert ("retry_after" in page) == (page["status"] not in (400, 403, 404, 413)), cause


def test_each_level_has_hosts_that_show_them(served, compiled):
    assert {level for level, _ in served} == set(compiled)
    snippet = "include snippets/site-pages.conf;"
    for key, files in served.items():
        assert "/etc/nginx/snippets/site-pages.conf" in files, key
        static = files.get("/etc/nginx/snippets/static-site.conf", snippet)
        assert snippet in static, key


def test_every_site_of_nginx_includes_them(compiled):
    snippets = ("include snippets/site-pages.conf;", "include snippets/static-site.conf;")
    bare = [
        f"{host}: {path}"
        for hosts in compiled.values()
        for host, result in hosts.items()
        for path, file in result["files"].items()
        if path.startswith(("/etc/nginx/sites-enabled/", "/etc/nginx/proxy-sites/"))
        and not path.endswith("/00-default.conf")
        and "server {" in file["text"]
        and not any(snippet in file["text"] for snippet in snippets)
    ]
    assert not bare, f"{bare}. Cure: `include snippets/site-pages.conf;` in the site's server"


def test_every_cause_has_a_page_and_no_two_are_alike(served):
    for key, files in served.items():
        found = pages(files)
        assert set(found) == set(WANTED), key
        titles = {cause: Page(text).title for cause, text in found.items()}
        assert len(set(titles.values())) == len(titles), titles
        for cause, text in found.items():
            assert f"<code>{cause}</code>" in text
            assert CAUSES[cause]["title"] in titles[cause]


def test_a_page_stands_alone_and_leads_to_its_own_level(served, compiled):
    for (level, host), files in served.items():
        domain = compiled[level][host]["pillar"]["site"]["domain"]
        for cause, text in pages(files).items():
            page = Page(text)
            assert page.language == "en", cause
            assert page.loads == ["data:,"], f"{cause} loads something"
            assert "@import" not in text and "url(" not in text
            assert set(page.links) <= {"", f"https://www.{domain}/"}, cause
            assert 'name="viewport"' in text and "prefers-color-scheme: dark" in text


def test_nginx_tells_the_waiting_time_of_the_table(served):
    for files in served.values():
        maps = files["/etc/nginx/conf.d/failure-maps.conf"]
        for cause, page in CAUSES.items():
            wanted = page.get("retry_after")
            line = f"    /site-pages/{cause}.html {wanted};\n"
            assert (line in maps) == (wanted is not None), cause


# -- the look ------------------------------------------------------------------


def colours(css):
    """``[{name: (red, green, blue)}]``: the light set, and the dark set."""
    found = []
    for block in re.findall(r":root \{(.*?)\}", css, flags=re.S):
        pairs = re.findall(r"--([a-z-]+): #([0-9a-f]{6}|[0-9a-f]{3});", block)
        full = {
            name: value if len(value) == 6 else "".join(c * 2 for c in value)
            for name, value in pairs
        }
        found.append(
            {
                name: tuple(int(value[at : at + 2], 16) / 255 for at in (0, 2, 4))
                for name, value in full.items()
            }
        )
    return found


def contrast(one, other):
    """As WCAG 2 counts it, 1 to 21."""

    def light(colour):
        parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    first, second = sorted((light(one), light(other)), reverse=True)
    return (first + 0.05) / (second + 0.05)


def test_text_can_be_read_in_light_and_in_dark():
    assert round(contrast((0, 0, 0), (1, 1, 1)), 1) == 21
    sets = colours((TREE / "salt/site-pages/files/palette.css.j2").read_text(encoding="utf-8"))
    assert len(sets) == 2
    for found in sets:
        for text in ("ink", "quiet", "link", "bad", "good"):
            for ground in ("paper", "soft"):
                assert contrast(found[text], found[ground]) >= 4.5, f"{text} on {ground}"
        assert contrast(found["on-button"], found["button"]) >= 4.5
        # What is no text: the outline of a focus, the border of a field.
        assert contrast(found["accent"], found["paper"]) >= 2.9


# -- the start page ------------------------------------------------------------


def test_the_start_page_leads_to_sites_that_there_are(compiled):
    """What every build is told, and the start page is made of."""
    for level, hosts in compiled.items():
        for host, result in hosts.items():
            file = result["files"].get("/etc/builder/builder.json")
            if not file:
                continue
            data = json.loads(file["text"])["data"]
            sites = {
                name
                for name, site in result["pillar"]["sites"].items()
                if any(re.match(rf"{site['role']}[\d.-]", id_) for id_ in hosts)
            } | set(result["pillar"]["static-sites"])
            assert {card["site"] for card in data["cards"]} <= sites, host
            assert data["search"] == ("search" in sites)
            assert data["indexed"] == (level == "production")
            assert data["domain"] == result["pillar"]["site"]["domain"]
            robots = next(
                hosts[name]["files"]["/usr/local/share/www/robots.txt"]["text"]
                for name in hosts
                if name.startswith("frontend")
            )
            assert ("Disallow: /" in robots) == (level != "production")
