"""What is made in docs/ says what the registry and the drills say."""

from tools import docs, drills


def test_every_page_is_as_it_is_made():
    behind = [str(path.relative_to(docs.TREE)) for path in docs.behind()]
    assert behind == [], "behind the registry or tests/drills: ./fleet docs"


def test_a_table_that_is_behind_is_noticed():
    text = docs.PAGE.read_text(encoding="utf-8").replace("11211/tcp", "11212/tcp")
    assert docs.render(text) != text


def test_a_page_that_is_behind_or_of_no_drill_is_noticed_and_mended(monkeypatch, tmp_path):
    monkeypatch.setattr(drills, "PAGES", tmp_path / "drills")
    assert docs.write() and not docs.write()
    page, more = tmp_path / "drills" / "db-writer-dies.md", tmp_path / "drills" / "of-old.md"
    page.write_text("copied by hand", encoding="utf-8")
    more.touch()
    assert docs.behind() == [page, more]
    assert docs.write() and not more.exists() and docs.behind() == []
