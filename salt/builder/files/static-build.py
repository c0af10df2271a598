#!/usr/bin/python3
# Managed by Saltworks: builder. Local changes are overwritten.
"""
Renders the static site in the current folder to `public/`.

What ends in .j2 is a template (Jinja) and may extend `page.html.j2`, which stands beside
this program; all else is copied. Left out are README files, what begins with `.git`, and
what begins with an underscore, which templates include or import.

What the level says comes from the file that BUILD_DATA names; the site's name from APP,
the release's from RELEASE.
"""

import json
import os
import posixpath
import re
import shutil
import sys
from pathlib import Path

from jinja2 import ChoiceLoader, FileSystemLoader, StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

OUTPUT = "public"


class WrongError(Exception):
    """What is wrong with the tree, as a sentence."""


def files(tree):
    """Paths of what is published of a tree, sorted."""
    found = []
    for path in sorted(tree.rglob("*")):
        name = path.relative_to(tree)
        hidden = any(part.startswith((".git", "README", "_")) for part in name.parts)
        if hidden or name.parts[0] == OUTPUT:
            continue
        if path.is_symlink():
            raise WrongError(f"{name} is a link: a static site has none")
        if path.is_file():
            found.append(name)
    return found


def address(name):
    """Where a page stands in its site."""
    return "/" + re.sub(r"(^|/)index\.html$", "", str(name))


def context(data, app, release, published, tree):
    """
    What templates know.

    published
        The names of the files that there will be.

    tree
        The folder of the site.
    """

    def asset(path):
        """The address of a file of this very release, whatever is served by then."""
        plain = posixpath.normpath(path.lstrip("/"))
        if plain not in published:
            raise WrongError(f"asset('{path}'): there is no such file")
        return f"/_release/{release}/{plain}"

    def read_json(path):
        """What a JSON file of the tree holds."""
        if Path(path) not in files(tree):
            raise WrongError(f"read_json('{path}'): there is no such file")
        try:
            return json.loads((tree / path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise WrongError(f"{path}: {error}") from error

    return {
        "site": app,
        "title": data["sites"][app],
        "domain": data["domain"],
        "cards": data["cards"],
        "search": data["search"],
        "www": data["www"] | {"indexed": data["indexed"]},
        "pages": {"name": data["name"], "notice": data["notice"]},
        "asset": asset,
        "read_json": read_json,
    }


def render(tree, tools, data, app, release):
    """
    Write the site of a tree.

    tree, tools
        Its folder, and that of page.html.j2.

    data, app, release
        What the level says; the site's name, and the release's.

    Returns the names of the files. Raises WrongError.
    """
    if app not in data["sites"]:
        raise WrongError(f"'{app}' is no static site of this level")
    sources = files(tree)
    names = {str(source).removesuffix(".j2"): source for source in sources}
    if len(names) != len(sources):
        raise WrongError("a file and a template have the same name")
    if "index.html" not in names:
        raise WrongError("there is no index.html.j2, nor an index.html")
    environment = SandboxedEnvironment(
        loader=ChoiceLoader([FileSystemLoader(tree), FileSystemLoader(tools)]),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    known = context(data, app, release, set(names), tree)
    output = tree / OUTPUT
    shutil.rmtree(output, ignore_errors=True)
    for name, source in names.items():
        target = output / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix != ".j2":
            shutil.copyfile(tree / source, target)
            continue
        try:
            text = environment.get_template(str(source)).render(known, address=address(name))
        except (TemplateError, TypeError, UnicodeDecodeError) as error:
            line = getattr(error, "lineno", None)
            where = f"{source}:{line}" if line else source
            raise WrongError(f"{where}: {error}") from error
        target.write_text(text, encoding="utf-8")
    return sorted(names)


def main():
    data = json.loads(Path(os.environ["BUILD_DATA"]).read_text(encoding="utf-8"))
    tools = Path(__file__).resolve().parent
    try:
        made = render(Path.cwd(), tools, data, os.environ["APP"], os.environ["RELEASE"])
    except WrongError as error:
        return f"static-build: {error}"
    print(f"{len(made)} files")
    return None


if __name__ == "__main__":
    sys.exit(main())
