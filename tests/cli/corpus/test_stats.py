import json
import shutil
from pathlib import Path

import pytest


@pytest.fixture
def folder(sample, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sample.articles, tmp_path / "articles"))


def test_a_folder_of_articles_is_described(call, folder: Path, tiny_base: Path, tmp_path: Path):
    page = tmp_path / "pages" / "corpus.html"
    called = call("corpus", "stats", "--folder", folder, "--tokenizer", tiny_base, "--html", page)
    assert called.status == 0, called.err
    count = len(list(folder.glob("*.md")))
    assert f"{count}" in called.out and "tokens per kana or kanji" in called.out
    assert f"HTML page: {page}" in called.out
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert [path.name for path in page.parent.iterdir()] == ["corpus.html"]


def test_a_bare_tokenizer_file_counts_the_same(call, folder: Path, tiny_base: Path):
    options = ["corpus", "stats", "--folder", folder]
    by_base = call(*options, "--tokenizer", tiny_base)
    by_file = call(*options, "--tokenizer", tiny_base / "tokenizer.json")
    assert by_file.status == 0 and by_file.out == by_base.out


def test_the_card_of_a_built_corpus_is_no_article(call, folder: Path):
    corpus = folder.parent
    alone = call("corpus", "stats", "--folder", folder, "--samples", 0)
    (corpus / "manifest.jsonl").write_text("")
    (corpus / "README.md").write_text("# card")
    whole = call("corpus", "stats", "--folder", corpus, "--samples", 0)
    assert whole.out.split("\n", 1)[1] == alone.out.split("\n", 1)[1]


def test_titles_and_categories_come_from_the_front_matter(call, tmp_path: Path):
    front = {"title": "星の海", "categories": ["アニメ作品", 2024]}
    path = tmp_path / "1.md"
    path.write_text(f"---\n{json.dumps(front, ensure_ascii=False)}\n---\n本文", encoding="utf-8")
    (tmp_path / "題.md").write_text("別の本文", encoding="utf-8")
    called = call("corpus", "stats", "--folder", tmp_path)
    for text in ("星の海", "アニメ作品", "2024", "題"):
        assert text in called.out


def test_files_without_text_are_no_articles(call, tmp_path: Path):
    for name, text in (("1.md", "本文"), ("2.md", ""), ("3.md", "---\ntitle: 空\n---\n")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    called = call("corpus", "stats", "--folder", tmp_path)
    [row] = [line for line in called.out.splitlines() if "articles" in line and "│" in line][:1]
    assert row.split("│")[2].strip() == "1"
    assert "not counted: 2 files without text, such as" in called.out
    (tmp_path / "1.md").unlink()
    called = call("corpus", "stats", "--folder", tmp_path)
    assert called.status == 2 and "none of its 2 files holds text" in called.err


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--folder=nowhere"], "nowhere: no such folder"),
        (["--folder={folder}", "--tokenizer=nowhere"], "base 'nowhere': no such folder"),
        (["--folder={folder}", "--tokenizer={article}"], "not a tokenizer.json"),
        (["--folder={folder}", "--samples=-1"], "--samples must be 0 or more"),
        (
            ["--folder={folder}", "--html={article}/page.html"],
            "cannot be made: File exists",
        ),
        ([], "folder"),
    ],
)
def test_a_mistake_is_reported_in_one_message(call, folder: Path, options, expected):
    article = next(folder.glob("*.md"))
    given = [option.format(folder=folder, article=article) for option in options]
    called = call("corpus", "stats", *given)
    assert called.status == 2 and called.err.startswith("error: ") and expected in called.err
    assert "Traceback" not in called.err
