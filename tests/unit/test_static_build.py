"""The program that renders static sites, and the seeds of their repositories built with it."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.render.test_site_pages import Page
from tests.unit.conftest import ROOT, load_module

SEEDS = ROOT / "salt/gitolite/seeds/webplatform"
TOOLS = ROOT / "salt/builder/files"
PROGRAM = TOOLS / "static-build.py"
RELEASE = f"{'c0ffee' * 6}c0ff-12345678"
OWN = {"/site.css", "/logo.svg"}
DOMAIN = "webplatform.test"
SITES = yaml.safe_load((ROOT / "pillar/static-sites.yaml").read_text("utf-8"))
WWW = yaml.safe_load((ROOT / "salt/builder/defaults.yaml").read_text("utf-8"))["start_page"]


def told(**changes):
    """What a level tells every build."""
    return {
        "domain": DOMAIN,
        "level": "sandbox",
        "name": "Web & Platform",
        "notice": "This is a sandbox.",
        "indexed": False,
        "www": {key: WWW[key] for key in ("title", "text", "security")},
        "sites": {name: site["title"] for name, site in SITES.items()},
        "cards": WWW["cards"],
        "search": True,
    } | changes


@pytest.fixture(scope="module")
def program():
    return load_module("salt/builder/files/static-build.py")


@pytest.fixture
def tree(tmp_path):
    """A site of two pages and a style."""
    for name, text in {
        "index.html.j2": '{% extends "page.html.j2" %}{% block main %}{{ asset("a.css") }}'
        "{% endblock %}",
        "sub/page.html.j2": "{{ address }}|{{ site }}|{{ title }}|{% include '_part.html' %}|"
        '{{ read_json("sub/data.json").key }}\n',
        "a.css": "p {}\n",
        "README.md": "# Read me\n",
        "_part.html": "a part",
        "_parts/more.css": "q {}\n",
        ".gitattributes": "",
        ".well-known/x.txt": "{{ not a template }}\n",
        "sub/data.json": '{"key": "of the data"}',
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def built(program, folder, name, **changes):
    """The files of a seed, built: ``{path: text}``."""
    tree = folder / f"{name}-{len(changes)}"
    shutil.copytree(SEEDS / name, tree)
    if name == "specs":
        # Its pages are made by a program of its own first; what that needs is here, too.
        subprocess.run([sys.executable, "build.py"], cwd=tree, check=True)
        tree /= "site"
    program.render(tree, TOOLS, told(**changes), name, RELEASE)
    return {
        f"/{path.relative_to(tree / 'public')}": path.read_text("utf-8")
        for path in (tree / "public").rglob("*")
        if path.is_file()
    }


def test_each_static_site_has_a_seed_and_each_seed_a_site():
    repositories = {site["repository"] for site in SITES.values()}
    assert {f"webplatform/{path.name}" for path in SEEDS.iterdir()} >= repositories
    for name in SITES:
        assert (SEEDS / name / "README.md").is_file(), name


@pytest.mark.parametrize("name", SITES)
@pytest.mark.parametrize("indexed", [True, False])
def test_pages_load_their_own_files_alone_and_lead_to_their_own_level(
    program, tmp_path, name, indexed
):
    files = built(program, tmp_path, name, indexed=indexed)
    assets = {f"/_release/{RELEASE}{path}" for path in files}
    pages = {path: text for path, text in files.items() if path.endswith(".html")}
    assert "/index.html" in pages
    for path, text in pages.items():
        page = Page(text)
        assert page.language == "en" and page.title, path
        assert 'name="viewport"' in text and text.count("<h1>") == 1, path
        assert ("noindex" in text) == (not indexed), path
        assert text.startswith("<!DOCTYPE html>") and "Managed by" not in text, path
        canonical = f"https://{name}.{DOMAIN}/{re.sub('(^|/)index.html$', '', path[1:])}"
        assert f'<link rel="canonical" href="{canonical}">' in text, path
        loads = [load for load in page.loads if load != canonical]
        assert set(loads) <= OWN | assets and len(page.loads) - len(loads) == 1, path
        for link in page.links:
            if link.startswith("/"):
                target = link.partition("#")[0].rstrip("/")
                assert {target, f"{target}/index.html"} & (OWN | set(files)), link
            elif name == "specs" and not link.startswith("#"):
                # What it is about is elsewhere.
                assert link.startswith("https://"), link
            else:
                assert re.match(rf"#|https://[a-z0-9]+\.{re.escape(DOMAIN)}/", link), link
    for path in files:
        # What a page is made with is of its own release, or nobody loads it.
        used = path.endswith((".html", ".txt")) or any(
            f"/_release/{RELEASE}{path}" in text or f'href="{path}"' in text
            for text in pages.values()
        )
        assert used, path


def test_the_pages_of_tables_have_what_is_in_their_data(program, tmp_path):
    files = built(program, tmp_path, "compat")
    data = json.loads(files["/data.json"])
    for name, group in data["groups"].items():
        text = files[f"/{name}/index.html"]
        assert f'<p class="quiet">{len(group["features"])} features</p>' in files["/index.html"]
        for key, feature in group["features"].items():
            # Else the wiki has no table of it.
            assert re.fullmatch("[a-z0-9-]{1,50}/[a-z0-9-]{1,50}", f"{name}/{key}")
            assert set(feature) == {"title", "since"} and set(feature["since"]) == {
                *data["browsers"]
            }
            cells = [feature["since"][browser] or "Not yet" for browser in data["browsers"]]
            row = "".join(f"<td>{cell}</td>" for cell in cells)
            assert f'<tr><th scope="row">{feature["title"]}</th>{row}</tr>' in text, key


def test_a_table_that_is_not_complete_is_not_built(program, tmp_path):
    tree = tmp_path / "compat"
    shutil.copytree(SEEDS / "compat", tree)
    data = json.loads((tree / "data.json").read_text("utf-8"))
    feature = data["groups"]["css"]["features"]["grid"]
    feature |= {"title": "<b>", "since": feature["since"] | {"chrome": None}}
    (tree / "data.json").write_text(json.dumps(data))
    program.render(tree, TOOLS, told(), "compat", RELEASE)
    page = (tree / "public/css/index.html").read_text()
    assert '<th scope="row">&lt;b&gt;</th><td>Not yet</td>' in page
    del feature["since"]["safari"]
    (tree / "data.json").write_text(json.dumps(data))
    with pytest.raises(program.WrongError, match="has no attribute 'safari'"):
        program.render(tree, TOOLS, told(), "compat", RELEASE)


def test_the_start_page_has_the_cards_and_the_search_of_its_level(program, tmp_path):
    page = built(program, tmp_path, "www")["/index.html"]
    assert f'action="https://search.{DOMAIN}/"' in page and "This is a sandbox." in page
    assert "<title>Web &amp; Platform</title>" in page
    for card in WWW["cards"]:
        assert page.count(f'href="https://{card["site"]}.{DOMAIN}/"') == 2
    page = built(program, tmp_path, "www", search=False, cards=[], notice="")["/index.html"]
    assert "search." not in page and "cards" in page and "notice" not in page


def test_the_start_page_s_site_says_how_to_tell_us_of_a_hole(program, tmp_path):
    text = built(program, tmp_path, "www")["/.well-known/security.txt"]
    assert text.splitlines()[0] == f"Contact: mailto:security@{DOMAIN}"
    assert f"Expires: {WWW['security']['expires']}\n" in text
    assert f"Canonical: https://www.{DOMAIN}/.well-known/security.txt" in text


def test_a_page_of_markdown_is_neither_a_template_nor_html(program, tmp_path):
    tree = tmp_path / "specs"
    shutil.copytree(SEEDS / "specs", tree)
    text = '# A & {{ b }}\n\nIt\'s {% raw %} "c".\n\n<script>x</script>\n'
    (tree / "pages/05-odd.md").write_text(text, encoding="utf-8")
    subprocess.run([sys.executable, "build.py"], cwd=tree, check=True)
    program.render(tree / "site", TOOLS, told(), "specs", RELEASE)
    page = (tree / "site/public/odd/index.html").read_text("utf-8")
    assert "<h1>A &amp; &#123;&#123; b }}</h1>" in page and "<script>" not in page
    assert 'content="It&#39;s {% raw %} &#34;c&#34;."' in page
    first = (tree / "site/public/index.html").read_text("utf-8")
    assert first.count('<a href="/odd">A &amp; &#123;&#123; b }}</a>') == 2
    (tree / "pages/06-empty.md").write_text("no heading\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "build.py"], cwd=tree, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "pages/06-empty.md: a page begins with a heading and a sentence\n"


def test_templates_are_rendered_and_the_rest_is_copied(program, tree):
    made = program.render(tree, TOOLS, told(), "www", RELEASE)
    assert made == [".well-known/x.txt", "a.css", "index.html", "sub/data.json", "sub/page.html"]
    public = tree / "public"
    found = {str(path.relative_to(public)) for path in public.rglob("*") if path.is_file()}
    assert found == set(made)
    said = (public / "sub/page.html").read_text()
    assert said == "/sub/page.html|www|Start page|a part|of the data\n"
    assert (public / ".well-known/x.txt").read_text() == "{{ not a template }}\n"
    assert f"/_release/{RELEASE}/a.css" in (public / "index.html").read_text()
    # What was there before is not published.
    (public / "old").write_text("")
    assert program.render(tree, TOOLS, told(), "www", RELEASE) == made
    assert not (public / "old").exists()


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("bad.html.j2", "{{ nothing }}", r"bad\.html\.j2: 'nothing' is undefined"),
        ("bad.html.j2", "\n{% block %}", r"bad\.html\.j2:2: "),
        ("bad.html.j2", '{% extends "/etc/passwd" %}', r"bad\.html\.j2"),
        ("bad.html.j2", '{{ asset("gone.css") }}', r"asset\('gone\.css'\)"),
        ("bad.html.j2", '{{ asset("../x") }}', r"asset"),
        ("bad.html.j2", '{{ read_json("gone.json") }}', r"read_json\('gone\.json'\)"),
        ("bad.html.j2", '{{ read_json("../index.html.j2") }}', r"there is no such file"),
        ("bad.html.j2", '{{ read_json("a.css") }}', r"a\.css: Expecting value"),
        ("bad.html.j2", '{{ "".__class__.__mro__ }}', r"unsafe"),
        ("a.css.j2", "", r"the same name"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(program, tree, name, text, why):
    (tree / name).write_text(text)
    with pytest.raises(program.WrongError, match=why):
        program.render(tree, TOOLS, told(), "www", RELEASE)


def test_a_tree_that_is_no_site_is_refused(program, tree):
    with pytest.raises(program.WrongError, match="no static site"):
        program.render(tree, TOOLS, told(), "other", RELEASE)
    (tree / "link").symlink_to("/etc/passwd")
    with pytest.raises(program.WrongError, match="link is a link"):
        program.render(tree, TOOLS, told(), "www", RELEASE)
    (tree / "link").unlink()
    (tree / "index.html.j2").unlink()
    with pytest.raises(program.WrongError, match="there is no index"):
        program.render(tree, TOOLS, told(), "www", RELEASE)


def test_as_a_program_it_says_what_it_did_or_what_is_wrong(tree, tmp_path_factory):
    data = tmp_path_factory.mktemp("data") / "data.json"
    data.write_text(json.dumps(told()))
    environment = {"BUILD_DATA": str(data), "APP": "www", "RELEASE": RELEASE}

    def run():
        return subprocess.run(
            [sys.executable, str(PROGRAM)],
            cwd=tree,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    done = run()
    assert (done.returncode, done.stdout) == (0, "5 files\n")
    Path(tree / "index.html.j2").write_text("{{ nothing }}")
    done = run()
    assert done.returncode == 1
    assert done.stderr == "static-build: index.html.j2: 'nothing' is undefined\n"
