import os
from collections.abc import Callable
from pathlib import Path

import pytest
from exports import Spec, article, category, export, multistream

from animelm.corpus.build import BuildSettings, index_dumps
from animelm.corpus.dump import index as index_module
from animelm.corpus.dump import reader as dump_module
from animelm.corpus.dump.index import DumpIndex
from animelm.corpus.dump.page_entry import PageCounts
from animelm.corpus.parallel import local_workers
from animelm.errors import UserError

PAGES = [
    article("銀魂", "アニメ"),
    category("アニメ", "作品"),
    Spec("ぎんたま", "#転送 [[銀魂]]", redirect="銀魂"),
    Spec("Template:国", "[[Category:アニメ]]", 10),
    Spec("ノート:銀魂", "話", 1),
]


def test_articles_redirects_categories_and_other_namespaces_are_reported_apart(index: Callable):
    made = index(export(PAGES))
    assert made.counts == PageCounts(articles=1, redirects=1, categories=1, others=2)
    pages = list(made.pages())
    assert [page.title for page in pages if page.is_article] == ["銀魂"]
    assert [(page.title, page.redirect) for page in pages if page.redirect] == [
        ("ぎんたま", "銀魂")
    ]
    assert [(page.title, page.categories) for page in made.category_pages()] == [
        ("Category:アニメ", ("作品",))
    ]


def test_only_the_text_says_what_categories_a_page_is_in(index: Callable):
    page = Spec("題", "本文", comment="removed [[Category:島国]]")
    assert [page.categories for page in index(export([page])).pages()] == [()]


def test_the_name_of_the_category_namespace_is_the_wikis_own(index: Callable):
    content = export([Spec("Titel", "[[Kategorie:Inselstaat]]")])
    content = content.replace(b">Category</namespace>", b">Kategorie</namespace>")
    assert [page.categories for page in index(content).pages()] == [("Inselstaat",)]


def test_a_page_without_a_number_is_an_error_that_names_the_byte(index: Callable):
    content = export(PAGES).replace(b"<id>1</id>", b"", 1)
    with pytest.raises(UserError, match=rf"byte {content.index(b'<page>')}: .*expected <title>"):
        index(content)


@pytest.mark.parametrize("workers", [1, 2])
def test_segments_scanned_apart_give_the_same_index(workers: int, tmp_path: Path, monkeypatch):
    pages = [article(f"題{n}", f"類{n}") for n in range(20)]
    whole = list(open_index(multistream(pages, 2), tmp_path / "a", 1).pages())
    monkeypatch.setitem(dump_module._SEGMENT, "bzip2", 1)
    made = open_index(multistream(pages, 2), tmp_path / "b", workers)
    assert len(made.dump.segments) == 12
    assert list(made.pages()) == whole
    assert made.length == len(export(pages))


def test_a_dump_that_was_scanned_is_not_scanned_again(tmp_path: Path, monkeypatch):
    open_index(export(PAGES), tmp_path, 1)

    def refuse(*arguments: object) -> None:
        raise AssertionError("scanned again")

    monkeypatch.setattr(index_module, "scan_segment", refuse)
    assert open_index(export(PAGES), tmp_path, 1).counts.articles == 1


def test_an_interrupted_scan_goes_on_with_the_segments_that_are_missing(
    tmp_path: Path, monkeypatch
):
    monkeypatch.setitem(dump_module._SEGMENT, "bzip2", 1)
    content = multistream([article(f"題{n}") for n in range(8)], 2)
    scanned = []
    original = index_module.scan_segment

    def interrupted(segment, folder, number, advance=None):
        if number == 3 and not scanned.count(3):
            scanned.append(3)
            raise KeyboardInterrupt
        scanned.append(number)
        return original(segment, folder, number, advance)

    monkeypatch.setattr(index_module, "scan_segment", interrupted)
    with pytest.raises(KeyboardInterrupt):
        open_index(content, tmp_path, 1)
    assert open_index(content, tmp_path, 1).counts.articles == 8
    assert scanned == [0, 1, 2, 3, 3, 4, 5]


def test_a_full_disk_leaves_no_part_of_an_index(tmp_path: Path, monkeypatch):
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match="cannot be written: No space left on device"):
        open_index(export(PAGES), tmp_path, 1)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def open_index(content: bytes, folder: Path, workers: int) -> DumpIndex:
    folder.mkdir(exist_ok=True)
    path = folder / "dump"
    path.write_bytes(content)
    settings = BuildSettings(str(path), workers=workers, cache=folder / "cache")
    with local_workers(workers) as executor:
        [made] = index_dumps(settings, executor)
    return made


@pytest.mark.parametrize("name", ["pages-0000.tsv", "categories-0000.tsv", "segment-0000.json"])
@pytest.mark.parametrize("kept", [0, 0.5, None])
def test_a_damaged_index_is_made_again(index: Callable, tmp_path: Path, name: str, kept):
    content = export([category("類"), article("甲", "類")])
    before = list(index(content).pages())
    [path] = (tmp_path / "cache").rglob(name)
    whole = path.read_bytes()
    if kept is None:
        path.write_bytes(whole.replace(b"1", b"2", 1))
    else:
        path.write_bytes(whole[: int(len(whole) * kept)])
    assert list(index(content).pages()) == before
    assert path.read_bytes() == whole
