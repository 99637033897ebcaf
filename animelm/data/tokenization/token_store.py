"""Tokenizes folders of articles, once for each content and tokenizer.

The stores lie in a cache. The name of each is a hash of the articles, the tokenizer and the layout,
so any change makes a new store.
"""

import hashlib
import os
import shutil
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.progress import track
from transformers import PreTrainedTokenizerBase

from animelm.data.sources.article_folders import Article, ArticleFolder, open_articles
from animelm.data.tokenization.stored_articles import (
    Tokenized,
    TokenStore,
    damage,
    write_store,
)
from animelm.data.tokenization.tokenizer import TextEncoder, document_end_token_id
from animelm.errors import UserError
from animelm.files import default_cache, make_folder, whole_folder
from animelm.locks import clear_leftovers
from animelm.processes import ended_by_sigterm, worker_pool
from animelm.terminal import Terminal, say

_LAYOUT = "4"
# Starting a worker takes longer than tokenizing this many articles.
_ARTICLES_PER_WORKER = 200
_BATCH = 32  # articles; an encoding takes some hundred bytes per token
_BATCHES_AHEAD = 4  # per worker, so that none waits while an article is read


def tokenize_folder(
    folder: Path, tokenizer: PreTrainedTokenizerBase, workers: int = 1, cache: Path | None = None
) -> TokenStore:
    """Tokenizes the articles of a folder, unless they are in the cache.

    Each article is encoded as plain text and followed by the end-of-document token. The store
    appears whole or not at all.

    Args:
        folder: folder of articles, see ``open_articles``.
        tokenizer: a fast tokenizer.
        workers: maximum number of processes that tokenize.
        cache: folder of the stores; None for ``default_cache()``.

    Raises:
        UserError: the folder does not exist or holds no article, no article has any text, an
            article cannot be read, or the cache cannot be written.
    """
    articles = open_articles(folder)
    end = document_end_token_id(tokenizer)
    tokenizer_hash = hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()
    key_parts = (_LAYOUT, tokenizer_hash, str(end), articles.content_hash())
    key = hashlib.sha256("\n".join(key_parts).encode()).hexdigest()[:32]
    store = (default_cache() if cache is None else cache) / f"tokens-{key}"
    clear_leftovers(store.parent)
    if store.is_dir() and (problem := damage(store)):
        say(f"{store}: {problem}; the articles are tokenized again", sys.stderr)
        shutil.rmtree(store, ignore_errors=True)
    if not store.is_dir():
        make_folder(store.parent, "the cache of tokenized articles (--data.cache)")
        _make_store(store, articles, TextEncoder(tokenizer), end, workers)
    return TokenStore(store)


def _make_store(
    store: Path, articles: ArticleFolder, encoder: TextEncoder, end: int, workers: int
) -> None:
    try:
        # Another process may be writing the same store; the first one is kept.
        with ended_by_sigterm(), whole_folder(store, keep_existing=True) as partial:
            if not write_store(partial, _tokenize(articles, encoder, end, workers)):
                raise UserError(f"{articles.folder}: none of its articles holds any text")
    except OSError as error:
        # NumPy's errors have no strerror.
        raise UserError(
            f"{store.parent}: cannot be written: {error.strerror or error}; make room there, "
            "or use another folder (--data.cache, or XDG_CACHE_HOME in the environment)"
        ) from error


def _tokenize(
    articles: ArticleFolder, encoder: TextEncoder, end: int, workers: int
) -> Iterator[Tokenized]:
    """Yields the tokens of each article in order; only some are in memory at a time."""
    coming = iter(articles)
    first = list(islice(coming, max(1, workers) * _ARTICLES_PER_WORKER))
    workers = max(1, min(workers, len(first) // _ARTICLES_PER_WORKER))
    batches = _batches(chain(first, coming))
    if workers == 1:  # the tokenizer itself uses all cores
        one_by_one = (_tokenize_articles(batch, encoder, end) for batch in batches)
        yield from _with_progress(one_by_one, articles.count)
        return
    # A forked worker shares the memory of the vocabulary with this process.
    with worker_pool(workers, initializer=_start_worker, initargs=(encoder, end)) as pool:
        yield from _with_progress(_tokenize_in(pool, batches, workers), articles.count)


def _batches(articles: Iterator[Article]) -> Iterator[list[Article]]:
    while batch := list(islice(articles, _BATCH)):
        yield batch


def _tokenize_in(
    pool: ProcessPoolExecutor, batches: Iterable[Sequence[Article]], workers: int
) -> Iterator[list[Tokenized]]:
    """Yields batches in order. ``pool.map`` would read all articles before the first result."""
    pending: deque[Future[list[Tokenized]]] = deque()
    for batch in batches:
        pending.append(pool.submit(_tokenize_in_worker, batch))
        if len(pending) > workers * _BATCHES_AHEAD:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _with_progress(tokenized: Iterable[list[Tokenized]], count: int | None) -> Iterator[Tokenized]:
    articles = chain.from_iterable(tokenized)
    return iter(track(articles, "Tokenizing articles", count, console=Terminal(stderr=True)))


def _tokenize_articles(
    articles: Sequence[Article], encoder: TextEncoder, end: int
) -> list[Tokenized]:
    encoded = encoder.encode([article.read() for article in articles])
    return [
        Tokenized(
            article.name, article.title(), np.array([*ids, end] if ids else [], dtype=np.int32)
        )
        for article, ids in zip(articles, encoded, strict=True)
    ]


class _Worker(NamedTuple):
    encoder: TextEncoder
    end: int


_worker: _Worker  # set in the processes that tokenize, and only there


def _start_worker(encoder: TextEncoder, end: int) -> None:
    global _worker
    # Several processes with a thread per core would compete for the cores.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    _worker = _Worker(encoder, end)


def _tokenize_in_worker(articles: Sequence[Article]) -> list[Tokenized]:
    return _tokenize_articles(articles, *_worker)
