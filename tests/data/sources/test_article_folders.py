from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animelm.data.sources import article_folders
from animelm.data.sources.article_folders import open_articles
from animelm.errors import UserError


def read_all(folder):
    return [(article.name, article.read()) for article in open_articles(folder)]


def test_markdown_files_are_articles_named_by_their_place(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "README.md").write_text("---\ntitle: 題\n---\n乙\n", "utf-8")
    (tmp_path / "a.md").write_text("甲", "utf-8")
    assert read_all(tmp_path) == [("a.md", "甲"), ("b/README.md", "乙")]
    assert open_articles(tmp_path).count == 2


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"title": "題", "id": "1"}, "題"),
        ({"title": None, "id": 7}, "7"),
        ({"title": "", "id": 0}, "0"),
        ({"id": None, "url": "u"}, "data/a.parquet:1"),
        ({}, "data/a.parquet:1"),
    ],
)
def test_a_row_is_named_by_title_id_or_place(tmp_path, write_parquet, row, name):
    write_parquet(tmp_path / "data" / "a.parquet", [{**row, "text": "本文"}])
    assert read_all(tmp_path) == [(name, "本文")]


@given(st.lists(st.sampled_from(["甲", "乙", "", None]), min_size=1, max_size=9))
@settings(max_examples=30, deadline=None)
def test_no_two_rows_share_a_name(tmp_path_factory, write_parquet, titles):
    folder = tmp_path_factory.mktemp("titles")
    rows = [{"title": title, "text": str(i)} for i, title in enumerate(titles)]
    for name in ("0.parquet", "1.parquet"):
        write_parquet(folder / name, rows)
    names = [name for name, _ in read_all(folder)]
    assert len(set(names)) == len(names) == 2 * len(titles)
    assert all(name.startswith(title or "0.") for name, title in zip(names, titles, strict=False))


def test_a_text_is_read_as_from_a_file(tmp_path, write_parquet):
    rows = [{"text": "\ufeff# 題\r\n\r\n本文。\r "}, {"text": None}, {"text": "---\na: 1\n---\nb"}]
    shard = write_parquet(tmp_path / "a.parquet", rows)
    assert [text for _, text in read_all(shard)] == ["# 題\n\n本文。", "", "---\na: 1\n---\nb"]


def test_the_card_of_a_dataset_is_no_article(tmp_path, write_parquet):
    write_parquet(tmp_path / "data" / "a.parquet", [{"text": "本文"}])
    (tmp_path / "README.md").write_text("card", "utf-8")
    assert read_all(tmp_path) == [("data/a.parquet:1", "本文")]


def test_a_folder_with_markdown_and_parquet_is_refused(tmp_path, write_parquet):
    write_parquet(tmp_path / "a.parquet", [{"text": "本文"}])
    (tmp_path / "b.md").write_text("本文", "utf-8")
    with pytest.raises(UserError, match=r"Markdown \(b\.md\) and Parquet \(a\.parquet\)"):
        open_articles(tmp_path)


def test_links_to_shards_are_followed_in_the_cache_of_the_hub_only(
    tmp_path, write_parquet, monkeypatch
):
    blob = write_parquet(tmp_path / "blobs" / "a.parquet", [{"title": "題", "text": "本文"}])
    folder = tmp_path / "snapshot"
    folder.mkdir()
    (folder / "b.parquet").symlink_to(blob)
    monkeypatch.setattr(article_folders, "local_copy", lambda path: folder)
    assert read_all(Path("hf://datasets/a/b")) == [("題", "本文")]
    with pytest.raises(UserError, match="1 symbolic link is not followed"):
        read_all(folder)
    write_parquet(folder / "c.PARQUET", [{"title": "乙", "text": "別"}])
    with pytest.warns(UserWarning, match="1 symbolic link is not followed"):
        assert read_all(folder) == [("乙", "別")]


def test_a_shard_without_texts_is_reported_with_its_columns_before_any_is_read(
    tmp_path, write_parquet, monkeypatch
):
    write_parquet(tmp_path / "a.parquet", [{"text": "本文"}])
    shard = write_parquet(tmp_path / "b.parquet", [{"content": "本文", "url": ""}])
    monkeypatch.setattr(article_folders, "read_rows", None)
    with pytest.raises(UserError, match="its columns are 'content', 'url'") as error:
        read_all(tmp_path)
    assert str(error.value).startswith(f'{shard}: expected a column "text"')


def test_a_row_whose_text_is_none_is_reported_with_its_number(tmp_path, write_parquet):
    shard = write_parquet(tmp_path / "a.parquet", [{"text": ["a", "b"]}])
    with pytest.raises(UserError, match='row 1: "text" must be a text, not list') as error:
        read_all(tmp_path)
    assert str(error.value).startswith(f"{shard}: ")


def test_the_hash_follows_names_and_bytes_but_not_the_place(tmp_path, write_parquet):
    def hash_of(folder, name, text):
        write_parquet(tmp_path / folder / name, [{"text": text}])
        return open_articles(tmp_path / folder).content_hash()

    same = hash_of("one", "a.parquet", "x")
    assert hash_of("two", "a.parquet", "x") == same
    assert hash_of("three", "a.parquet", "y") != same
    assert hash_of("four", "b.parquet", "x") != same
    assert open_articles(tmp_path / "one" / "a.parquet").content_hash() == same


def test_a_dataset_on_the_hub_is_read_where_it_was_fetched(tmp_path, write_parquet, monkeypatch):
    write_parquet(tmp_path / "a.parquet", [{"title": "題", "text": "本文"}])
    monkeypatch.setattr(
        article_folders, "local_copy", {tmp_path / "on the hub": tmp_path}.__getitem__
    )
    assert read_all(tmp_path / "on the hub") == [("題", "本文")]
