"""Tokenized articles on disk, which are mapped into memory.

A store is a folder of three files: ``tokens.bin`` (int32, little-endian, article after article),
``offsets.npy`` (int64, the beginning of each, and the end) and ``names.json`` (name and title of
each). The name of the folder is a hash of the articles, the tokenizer and the layout, so any change
makes a new store.
"""

import hashlib
import json
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from animelm.data.batches.batch import Document
from animelm.data.sources.article_folders import Article, ArticleFolder, open_articles
from animelm.data.tokenization.tokenizer import TextEncoder, document_end_token_id
from animelm.errors import UserError
from animelm.files import default_cache, make_folder, whole_folder
from animelm.terminal import Terminal

_LAYOUT = "3"
_TOKEN = np.dtype("<i4")
# Starting a worker takes longer than tokenizing this many articles.
_ARTICLES_PER_WORKER = 200
_BATCH = 32  # articles; an encoding takes some hundred bytes per token
_BATCHES_AHEAD = 4  # per worker, so that none waits while an article is read


class TokenStore(Dataset[Document]):
    """The articles of a store; all tokens are supervised.

    Args:
        folder: the store.
    """

    def __init__(self, folder: Path) -> None:
        self._tokens = np.memmap(folder / "tokens.bin", dtype=_TOKEN, mode="r")
        self._offsets = np.load(folder / "offsets.npy", allow_pickle=False)
        named: list[list[str]] = json.loads((folder / "names.json").read_text("utf-8"))
        self.names = [name for name, _ in named]
        self.titles = [title for _, title in named]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each article, ``[N]``; 0 for one without text."""
        return np.diff(self._offsets)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Document:
        tokens = self._tokens[self._offsets[index] : self._offsets[index + 1]]
        # A view of one value: a long article is read once for each of its pieces.
        supervised = np.broadcast_to(np.True_, tokens.shape)
        return Document(tokens, supervised, self.names[index])


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
    if not store.is_dir():
        make_folder(store.parent, "the cache of tokenized articles (--data.cache)")
        try:
            # Another process may be writing the same store; the first one is kept.
            with whole_folder(store, keep_existing=True) as partial:
                _write_store(partial, articles, TextEncoder(tokenizer), end, workers)
        except OSError as error:
            # NumPy's errors have no strerror.
            raise UserError(
                f"{store.parent}: cannot be written: {error.strerror or error}; make room there, "
                "or use another folder (--data.cache, or XDG_CACHE_HOME in the environment)"
            ) from error
    return TokenStore(store)


class _Tokenized(NamedTuple):
    name: str
    title: str
    tokens: NDArray[np.int32]


def _write_store(
    target: Path, articles: ArticleFolder, encoder: TextEncoder, end: int, workers: int
) -> None:
    names: list[tuple[str, str]] = []
    lengths: list[int] = []
    with (target / "tokens.bin").open("wb") as file:
        for name, title, tokens in _tokenize(articles, encoder, end, workers):
            file.write(tokens.astype(_TOKEN).tobytes())
            names.append((name, title))
            lengths.append(len(tokens))
    if not any(lengths):
        raise UserError(f"{articles.folder}: none of its {len(names)} articles holds any text")
    np.save(target / "offsets.npy", np.cumsum([0, *lengths], dtype=np.int64))
    (target / "names.json").write_text(
        json.dumps(names, ensure_ascii=False), encoding="utf-8", errors="surrogateescape"
    )


def _tokenize(
    articles: ArticleFolder, encoder: TextEncoder, end: int, workers: int
) -> Iterator[_Tokenized]:
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
    pool = ProcessPoolExecutor(workers, initializer=_start_worker, initargs=(encoder, end))
    try:
        yield from _with_progress(_tokenize_in(pool, batches, workers), articles.count)
    finally:
        pool.shutdown(cancel_futures=True)


def _batches(articles: Iterator[Article]) -> Iterator[list[Article]]:
    while batch := list(islice(articles, _BATCH)):
        yield batch


def _tokenize_in(
    pool: ProcessPoolExecutor, batches: Iterable[Sequence[Article]], workers: int
) -> Iterator[list[_Tokenized]]:
    """Yields batches in order. ``pool.map`` would read all articles before the first result."""
    pending: deque[Future[list[_Tokenized]]] = deque()
    for batch in batches:
        pending.append(pool.submit(_tokenize_in_worker, batch))
        if len(pending) > workers * _BATCHES_AHEAD:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _with_progress(
    tokenized: Iterable[list[_Tokenized]], count: int | None
) -> Iterator[_Tokenized]:
    articles = chain.from_iterable(tokenized)
    return iter(track(articles, "Tokenizing articles", count, console=Terminal(stderr=True)))


def _tokenize_articles(
    articles: Sequence[Article], encoder: TextEncoder, end: int
) -> list[_Tokenized]:
    encoded = encoder.encode([article.read() for article in articles])
    return [
        _Tokenized(
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
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process ends the workers
    _worker = _Worker(encoder, end)


def _tokenize_in_worker(articles: Sequence[Article]) -> list[_Tokenized]:
    return _tokenize_articles(articles, *_worker)
