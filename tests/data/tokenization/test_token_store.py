import errno
import multiprocessing
import os
import pickle

import numpy as np
import pytest

from animelm.data.sources.article_folders import open_articles
from animelm.data.sources.markdown import read_article
from animelm.data.tokenization import token_store
from animelm.data.tokenization.token_store import tokenize_folder
from animelm.data.tokenization.tokenizer import TextEncoder
from animelm.errors import UserError


def test_each_article_is_its_text_and_the_end_token(tokenizer, articles, tmp_path):
    store = tokenize_folder(articles, tokenizer, cache=tmp_path / "cache")
    assert len(store) == 20 and store.lengths.sum() > 0
    for i, name in enumerate(store.names):
        document = store[i]
        assert document.name == name and document.supervised.all()
        expected = read_article(articles / name) + "<|endoftext|>"
        assert tokenizer.decode(document.input_ids) == expected
        assert len(document) == store.lengths[i]
        assert (document.input_ids == tokenizer.pad_token_id).sum() == 1


def test_several_workers_give_the_same_tokens(tokenizer, articles, tmp_path, monkeypatch):
    alone = tokenize_folder(articles, tokenizer, workers=1, cache=tmp_path / "one")
    monkeypatch.setattr(token_store, "_ARTICLES_PER_WORKER", 1)
    together = tokenize_folder(articles, tokenizer, workers=2, cache=tmp_path / "two")
    assert together.names == alone.names
    for i in range(len(alone)):
        np.testing.assert_array_equal(together[i].input_ids, alone[i].input_ids)


def test_parquet_gives_the_tokens_of_the_same_markdown(
    tokenizer, articles, write_parquet, tmp_path, monkeypatch
):
    markdown = tokenize_folder(articles, tokenizer, cache=tmp_path / "cache")
    rows = [{"title": name, "text": read_article(articles / name)} for name in markdown.names]
    for number, part in enumerate((rows[:7], rows[7:])):
        write_parquet(tmp_path / "shards" / f"{number}.parquet", part)
    monkeypatch.setattr(token_store, "_ARTICLES_PER_WORKER", 1)
    monkeypatch.setattr(token_store, "_BATCH", 2)
    for workers in (1, 2):
        cache = tmp_path / f"cache-{workers}"
        store = tokenize_folder(tmp_path / "shards", tokenizer, workers, cache)
        assert store.names == markdown.names
        for i in range(len(store)):
            np.testing.assert_array_equal(store[i].input_ids, markdown[i].input_ids)


def test_another_row_in_parquet_makes_another_store(tokenizer, write_parquet, tmp_path):
    def names_of(rows):
        write_parquet(tmp_path / "shards" / "a.parquet", rows)
        return tokenize_folder(tmp_path / "shards", tokenizer, cache=tmp_path / "cache").names

    rows = [{"title": "甲", "text": "本文"}]
    assert names_of(rows) == ["甲"]
    assert names_of([*rows, {"title": "乙", "text": "本文"}]) == ["甲", "乙"]
    assert names_of(rows) == ["甲"]
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_workers_are_given_articles_only_as_they_keep_up(
    tokenizer, articles, tmp_path, monkeypatch
):
    monkeypatch.setattr(token_store, "_ARTICLES_PER_WORKER", 1)
    monkeypatch.setattr(token_store, "_BATCH", 1)
    monkeypatch.setattr(token_store, "_BATCHES_AHEAD", 1)
    opened = open_articles(articles)
    read = []

    class Counted:
        folder, count = articles, None

        def __iter__(self):
            for article in opened:
                read.append(article.name)
                yield article

    tokenized = token_store._tokenize(Counted(), TextEncoder(tokenizer), 0, workers=2)
    next(tokenized)
    assert len(read) == 3  # two ahead of the first
    assert [name for name, _, _ in tokenized] == read[1:] and len(read) == 20


@pytest.mark.parametrize("workers", [1, 2])
def test_a_wrong_row_is_reported_and_leaves_nothing_behind(
    tokenizer, write_parquet, tmp_path, monkeypatch, workers
):
    monkeypatch.setattr(token_store, "_ARTICLES_PER_WORKER", 1)
    monkeypatch.setattr(token_store, "_BATCH", 1)
    write_parquet(tmp_path / "shards" / "a.parquet", [{"text": "本文"}] * 9)
    write_parquet(tmp_path / "shards" / "b.parquet", [{"text": 1}])
    with pytest.raises(UserError, match=r"b\.parquet: row 1: \"text\""):
        tokenize_folder(tmp_path / "shards", tokenizer, workers, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    assert multiprocessing.active_children() == []


def test_a_second_call_reads_the_cache(tokenizer, articles, tmp_path, monkeypatch):
    first = tokenize_folder(articles, tokenizer, cache=tmp_path / "cache")

    def fail(*_args):
        raise AssertionError("tokenized again")

    monkeypatch.setattr(token_store, "_tokenize", fail)
    again = tokenize_folder(articles, tokenizer, cache=tmp_path / "cache")
    np.testing.assert_array_equal(first.lengths, again.lengths)
    (articles / "work-00.md").write_text("別の本文", encoding="utf-8")
    with pytest.raises(AssertionError, match="tokenized again"):
        tokenize_folder(articles, tokenizer, cache=tmp_path / "cache")


def test_nothing_half_written_stays_behind(tokenizer, articles, tmp_path, monkeypatch):
    def fail(*_args):
        yield "work-00.md", "作品0", np.array([1, 2], dtype=np.int32)
        raise KeyboardInterrupt

    monkeypatch.setattr(token_store, "_tokenize", fail)
    with pytest.raises(KeyboardInterrupt):
        tokenize_folder(articles, tokenizer, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_wrong_front_matter_is_reported_from_a_worker_too(
    tokenizer, articles, tmp_path, monkeypatch, workers
):
    monkeypatch.setattr(token_store, "_ARTICLES_PER_WORKER", 1)
    (articles / "work-03.md").write_text("---\na: [\n---\nb", encoding="utf-8")
    with pytest.raises(UserError, match=r"work-03\.md"):
        tokenize_folder(articles, tokenizer, workers, tmp_path / "cache")


def test_articles_without_text_are_no_documents(tokenizer, tmp_path):
    folder = tmp_path / "articles"
    folder.mkdir()
    (folder / "a.md").write_text("---\ntitle: A\n---\n", encoding="utf-8")
    with pytest.raises(UserError, match="holds any text"):
        tokenize_folder(folder, tokenizer, cache=tmp_path / "cache")
    (folder / "b.md").write_text("本文", encoding="utf-8")
    store = tokenize_folder(folder, tokenizer, cache=tmp_path / "cache")
    assert store.lengths[0] == 0 and store.lengths[1] > 1


def no_space(*_args, **_settings):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def half_written(*_args):
    raise OSError("4096 requested and 512 written")  # NumPy's, without an errno


@pytest.mark.parametrize(
    ("module", "function", "failure", "expected"),
    [
        (os, "replace", no_space, "No space left"),
        (np, "save", no_space, "No space left"),
        (np, "save", half_written, "4096 requested and 512 written"),
    ],
)
def test_a_full_disk_is_reported_and_leaves_nothing_behind(
    tokenizer, articles, tmp_path, monkeypatch, module, function, failure, expected
):
    monkeypatch.setattr(module, function, failure)
    with pytest.raises(UserError, match=rf"cache: cannot be written: {expected}.*--data\.cache"):
        tokenize_folder(articles, tokenizer, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_interruption_cancels_what_the_workers_have_not_begun(
    tokenizer, articles, tmp_path, monkeypatch
):
    monkeypatch.setattr(token_store, "_ARTICLES_PER_WORKER", 1)
    monkeypatch.setattr(token_store, "_BATCH", 1)

    def interrupt(tokenized, _paths):
        yield next(iter(tokenized))[0]
        raise KeyboardInterrupt

    monkeypatch.setattr(token_store, "_with_progress", interrupt)
    with pytest.raises(KeyboardInterrupt):
        tokenize_folder(articles, tokenizer, workers=2, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    assert multiprocessing.active_children() == []


def test_workers_that_are_not_forked_can_be_given_the_encoder(tokenizer):
    encoder = pickle.loads(pickle.dumps(TextEncoder(tokenizer)))
    assert encoder.encode(["星の海<|endoftext|>"]) == TextEncoder(tokenizer).encode(
        ["星の海<|endoftext|>"]
    )


def test_every_token_of_an_article_is_supervised_without_an_array_of_its_own(
    tokenizer, articles, tmp_path
):
    document = tokenize_folder(articles, tokenizer, cache=tmp_path / "cache")[0]
    assert document.supervised.shape == document.input_ids.shape
    assert document.supervised.dtype == np.bool_ and document.supervised.strides == (0,)
