"""The tree of this repository as a release: laid out, checked, brought to a master."""

import io
import subprocess
import tarfile

import pytest

from tools import compiler, release, tree
from tools.errors import FleetError
from tools.master import Master

ONE, TWO = ("clone-" + digit * 16 for digit in "12")
PUSHED = "a" * 40 + "-" + "b" * 8


@pytest.fixture
def small(tmp_path):
    """A tree with links, and with what does not belong into a release."""
    root = tmp_path / "tree"
    for name, text in {
        "_modules/site_a.py": "a = 1\n",
        "_modules/__pycache__/site_a.pyc": "",
        "salt/top.sls": "base: {}\n",
        "etc/master.d/site.conf": "a: 1\n",
        "tools/release.py": "",
        "README.md": "",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    (root / "salt/_modules").symlink_to("../_modules")
    (root / "salt/site.conf").symlink_to("../etc/master.d/site.conf")
    (root / "_modules/site_a.py").chmod(0o755)
    return root


def test_links_become_files(small, tmp_path):
    target = tmp_path / "release"
    (target / "left").mkdir(parents=True)
    tree.lay_out(small, target)
    files = {str(path.relative_to(target)): path for path in target.rglob("*") if path.is_file()}
    assert sorted(files) == [
        "_modules/site_a.py",
        "etc/master.d/site.conf",
        "salt/_modules/site_a.py",
        "salt/site.conf",
        "salt/top.sls",
    ]
    assert not [path for path in target.rglob("*") if path.is_symlink()]
    assert files["salt/_modules/site_a.py"].stat().st_mode & 0o777 == 0o755
    assert not (target / "left").exists()


@pytest.mark.parametrize("name", ["salt/passwd", "_modules/passwd"])
def test_a_link_that_leads_out_is_refused(small, tmp_path, name):
    (small / name).symlink_to("/etc/passwd")
    with pytest.raises(FleetError, match="passwd leads out of the tree"):
        tree.lay_out(small, tmp_path / "release")


def test_the_first_problem_is_told_and_how_many_more_there_are():
    assert release.summary({"a": [], "b": []}) == ""
    assert release.summary({"a": [], "b": ["x. Cure: y"]}) == "b: x. Cure: y"
    assert release.summary({"a": ["x", "y"]}) == "a: x\nand 1 more"
    assert release.summary({"a": ["x" * 2000], "b": ["y", "z"]}) == (
        f"a: {'x' * 1000}\nand 2 more, of 2 hosts"
    )


@pytest.fixture
def made(small, monkeypatch, capsys):
    """What `python -m tools.release` says in a tree, and its exit code."""
    monkeypatch.chdir(small)
    monkeypatch.setenv("LEVEL", "sandbox")
    monkeypatch.setattr(release.sys, "path", list(release.sys.path))

    def make(data=(), hosts=(), error=None):
        def answer(found):
            def asked(root, *words):
                assert root == small / "release" and (root / "salt/top.sls").is_file()
                if error:
                    raise error
                return found

            return asked

        monkeypatch.setattr(release, "data_problems", answer(list(data)))
        monkeypatch.setattr(release, "host_problems", answer(dict(hosts)))
        return release.main(), capsys.readouterr().out.strip()

    return make


def test_a_tree_that_is_clean_may_be_served(made):
    assert made(hosts={"a": [], "b": []}) == (0, "sandbox: 2 hosts compile")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"data": ["no role", "no owner"], "hosts": {"a": ["x"]}}, "data: no role\nand 1 more"),
        ({"hosts": {"a": [], "b": ["x"], "c": ["y"]}}, "b: x\nand 1 more, of 2 hosts"),
        ({"error": compiler.CompileError("no such inventory")}, "no such inventory"),
        ({"error": KeyError("roles")}, "the tree cannot be read: KeyError: 'roles'"),
    ],
)
def test_a_tree_that_is_not_is_refused(made, found, said):
    assert made(**found) == (1, said)


def test_a_tree_with_a_link_that_leads_out_is_refused(made, small):
    (small / "salt/passwd").symlink_to("/etc/passwd")
    assert made() == (1, "salt/passwd leads out of the tree")


def test_the_tables_of_this_repository_are_well():
    assert release.data_problems(tree.TREE) == []


# -- on the master -----------------------------------------------------------------


class Place:
    """A master's disk: what `./fleet` runs there, with other paths."""

    def __init__(self, root):
        self.root = root
        self.trees = root / "srv/release/saltworks"

    def bring(self, name, who="ada", text="a"):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            member = tarfile.TarInfo("salt/top.sls")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
        script = tree.INSTALL.replace("/srv", f"{self.root}/srv")
        subprocess.run(
            ["sh", "-c", script, "install", name, who], input=buffer.getvalue(), check=True
        )

    @property
    def there(self):
        return sorted(path.name for path in (self.trees / "releases").iterdir())

    def leads(self, name):
        return (self.trees / name).readlink().name


@pytest.fixture
def place(tmp_path):
    (tmp_path / "srv").mkdir()
    return Place(tmp_path)


def test_a_tree_is_brought_and_served(place):
    place.bring(ONE)
    assert (place.root / "srv/saltworks/salt/top.sls").read_text() == "a"
    assert (place.leads("current"), place.there) == (ONE, [ONE])
    assert (place.trees / "releases" / ONE / ".brought-by").read_text() == "ada\n"
    assert place.trees.stat().st_mode & 0o777 == 0o700
    place.bring(TWO, text="b")
    assert (place.leads("current"), place.leads("previous")) == (TWO, ONE)
    assert (place.root / "srv/saltworks/salt/top.sls").read_text() == "b"


def test_a_tree_that_is_there_is_served_again(place):
    place.bring(ONE)
    place.bring(TWO)
    place.bring(ONE, who="bob")
    assert (place.leads("current"), place.leads("previous")) == (ONE, TWO)
    assert (place.trees / "releases" / ONE / ".brought-by").read_text() == "bob\n"
    assert sorted(path.name for path in place.trees.iterdir()) == [
        ".lock",
        "current",
        "previous",
        "releases",
    ]


def test_old_trees_go_and_what_is_served_or_was_stays(place):
    names = [f"clone-{number:016x}" for number in range(tree.KEPT + 3)]
    for name in names:
        place.bring(name)
    assert set(place.there) >= {names[-1], names[-2]} and len(place.there) == tree.KEPT


def test_what_is_served_already_is_not_brought_again(monkeypatch):
    said, ran = [], []
    monkeypatch.setattr(tree, "pack", lambda: (b"tar", ONE))
    monkeypatch.setenv("SUDO_USER", "ada")
    master = Master.__new__(Master)

    def serves(name):
        def inside(*command, check=True, stdin=None):
            ran.append((command, stdin))
            return subprocess.CompletedProcess(command, 0, f"releases/{name}\n" if name else "")

        ran.clear()
        master.inside = inside
        return master.ship(said.append)

    assert serves(ONE) is False and len(ran) == 1 and master.served() == ONE
    assert serves(TWO) is True and serves("") is True and said == []
    assert serves(PUSHED) is True
    assert ran[-1] == (("sh", "-c", tree.INSTALL, "install", ONE, "ada"), b"tar")
    assert said == ["this clone replaces the pushed aaaaaaaaaa, which the master served"]
