"""
Makes templates of the Markdown files in `pages/`, in `site/`, for static-build.

`10-html.md` becomes the page /html; `index.md` the first one, with a list of the others.
"""

import html
import itertools
import shutil
import sys
from pathlib import Path

from markdown_it import MarkdownIt

PAGE = """{{% extends "page.html.j2" %}}
{{% block description %}}{{{{ {lead!r} }}}}{{% endblock %}}
{{% block title %}}{title}{{{{ super() }}}}{{% endblock %}}
{{% block nav %}}
<nav aria-label="Pages">
{nav}
</nav>
{{%- endblock %}}
{{% block main %}}
{home}{body}{more}
<p class="quiet">What it means for a page that you write:
<a href="https://docs.{{{{ domain }}}}/">the documentation</a>.</p>
{{%- endblock %}}
"""
HOME = '<p class="quiet"><a href="/">Specifications</a></p>\n'


def words(tokens, kind):
    """The text of the first block of a kind, without its marks."""
    for opening, inline in itertools.pairwise(tokens):
        if opening.type == kind:
            return "".join(part.content for part in inline.children)
    return ""


def safe(text):
    """HTML in which static-build sees no template."""
    return text.replace("{", "&#123;")


def read(path):
    """A page: its name, and as HTML its heading, first sentence and all of it."""
    # What looks like HTML in it is text.
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(path.read_text(encoding="utf-8"))
    title, lead = words(tokens, "heading_open"), words(tokens, "paragraph_open")
    if not title or not lead:
        sys.exit(f"{path}: a page begins with a heading and a sentence")
    body = markdown.renderer.render(tokens, markdown.options, {})
    label = f'<div class="wide" role="region" aria-label="{html.escape(title)}" tabindex="0">'
    body = body.replace("<table>", f"{label}<table>").replace("</table>", "</table></div>")
    return {
        "name": path.stem.partition("-")[2] or path.stem,
        "title": safe(html.escape(title)),
        "lead": lead,
        "body": safe(body.replace("<th>", '<th scope="col">')),
    }


def write(folder, page, others):
    """The template of a page."""
    first = page["name"] == "index"
    links = [f'<a href="/{other["name"]}">{other["title"]}</a>' for other in others]
    cards = [
        f"<li><h2>{link}</h2><p>{safe(html.escape(other['lead']))}</p></li>"
        for link, other in zip(links, others, strict=True)
    ]
    text = PAGE.format(
        lead=page["lead"],
        title="" if first else f"{page['title']} – ",
        nav="\n".join(links),
        home="" if first else HOME,
        body=page["body"],
        more="\n".join(['<ul class="cards">', *cards, "</ul>"]) if first else "",
    )
    target = folder / ("." if first else page["name"]) / "index.html.j2"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")


def main():
    folder = Path("site")
    shutil.rmtree(folder, ignore_errors=True)
    pages = [read(path) for path in sorted(Path("pages").glob("*.md"))]
    others = [page for page in pages if page["name"] != "index"]
    for page in pages:
        write(folder, page, others)
    print(f"{len(pages)} pages")


if __name__ == "__main__":
    main()
