"""Tokenised articles on disk: tokenised once, then mapped into memory.

A store is a folder of three files: ``tokens.bin`` (int32, little-endian, article after article),
``offsets.npy`` (int64, where each begins, and the end) and ``names.json``. Its own name is a hash
of the articles, the tokenizer and this layout, so a changed article or tokenizer makes a new one.
"""

import hashlib
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from animelm.data.articles import article_names, content_hash, find_articles, read_article
from animelm.data.batch import Document
from animelm.data.tokens import TextEncoder, document_end_token_id
from animelm.errors import UserError

_LAYOUT = "1"
_TOKEN = np.dtype("<i4")
# Starting a worker takes longer than tokenising this many articles.
_ARTICLES_PER_WORKER = 200
_BATCH = 32  # articles; what an encoding takes beside its tokens is some hundred bytes a token


class TokenStore(Dataset[Document]):
    """The articles of a store; every token is supervised.

    Args:
        folder: the store.
    """

    def __init__(self, folder: Path) -> None:
        self._tokens = np.memmap(folder / "tokens.bin", dtype=_TOKEN, mode="r")
        self._offsets = np.load(folder / "offsets.npy", allow_pickle=False)
        self.names: list[str] = json.loads((folder / "names.json").read_text("utf-8"))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each article, ``[N]``; 0 for one without text."""
        return np.diff(self._offsets)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Document:
        tokens = self._tokens[self._offsets[index] : self._offsets[index + 1]]
        # One value that looks like an array: a long article is read once for each of its pieces.
        supervised = np.broadcast_to(np.True_, tokens.shape)
        return Document(tokens, supervised, self.names[index])


def default_cache() -> Path:
    """``$XDG_CACHE_HOME/animelm``, by default ``~/.cache/animelm``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "animelm"


def tokenise_folder(
    folder: Path, tokenizer: PreTrainedTokenizerBase, workers: int = 1, cache: Path | None = None
) -> TokenStore:
    """Tokenises the articles of a folder, or finds them in the cache.

    Each article is encoded as plain text and ended with the document's end token. The store
    appears under its name whole or not at all.

    Args:
        folder: ``.md`` files, also in folders below it.
        tokenizer: a fast tokenizer.
        workers: processes that tokenise, where the articles are many.
        cache: folder of stores; ``default_cache()`` for None.

    Raises:
        UserError: no folder, no article, none with any text, or one that is not UTF-8 or whose
            front matter is not YAML; or the cache cannot be written.
    """
    paths = find_articles(folder)
    end = document_end_token_id(tokenizer)
    tokenizer_hash = hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()
    key_parts = (_LAYOUT, tokenizer_hash, str(end), content_hash(folder, paths))
    key = hashlib.sha256("\n".join(key_parts).encode()).hexdigest()[:32]
    store = (default_cache() if cache is None else cache) / f"tokens-{key}"
    if not store.is_dir():
        store.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{store.name}-", dir=store.parent))
        try:
            _write_store(partial, folder, paths, TextEncoder(tokenizer), end, workers)
            _rename(partial, store)
        except OSError as error:
            raise UserError(f"{store.parent}: cannot be written: {error.strerror}") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return TokenStore(store)


def _write_store(
    target: Path,
    folder: Path,
    paths: Sequence[Path],
    encoder: TextEncoder,
    end: int,
    workers: int,
) -> None:
    lengths: list[int] = []
    with (target / "tokens.bin").open("wb") as file:
        for tokens in _tokenise(paths, encoder, end, workers):
            file.write(tokens.astype(_TOKEN).tobytes())
            lengths.append(len(tokens))
    if not any(lengths):
        raise UserError(f"{folder}: none of its {len(paths)} .md files holds any text")
    np.save(target / "offsets.npy", np.cumsum([0, *lengths], dtype=np.int64))
    names = json.dumps(article_names(folder, paths), ensure_ascii=False)
    (target / "names.json").write_text(names, encoding="utf-8", errors="surrogateescape")


def _tokenise(
    paths: Sequence[Path], encoder: TextEncoder, end: int, workers: int
) -> Iterator[NDArray[np.int32]]:
    """Yields the tokens of each article in order; only some are in memory at a time."""
    batches = [paths[first : first + _BATCH] for first in range(0, len(paths), _BATCH)]
    workers = max(1, min(workers, len(paths) // _ARTICLES_PER_WORKER))
    if workers == 1:  # the tokenizer has a thread for each core
        yield from _with_progress((_tokenise_articles(b, encoder, end) for b in batches), paths)
        return
    # A worker that is forked shares the vocabulary's memory with this process.
    pool = ProcessPoolExecutor(workers, initializer=_start_worker, initargs=(encoder, end))
    try:
        yield from _with_progress(pool.map(_tokenise_in_worker, batches), paths)
    finally:
        pool.shutdown(cancel_futures=True)


def _with_progress(
    tokenised: Iterable[list[NDArray[np.int32]]], paths: Sequence[Path]
) -> Iterator[NDArray[np.int32]]:
    articles = chain.from_iterable(tokenised)
    return iter(track(articles, "Tokenising articles", len(paths), console=Console(stderr=True)))


def _tokenise_articles(
    paths: Sequence[Path], encoder: TextEncoder, end: int
) -> list[NDArray[np.int32]]:
    encoded = encoder.encode([read_article(path) for path in paths])
    return [np.array([*ids, end] if ids else [], dtype=np.int32) for ids in encoded]


class _Worker(NamedTuple):
    encoder: TextEncoder
    end: int


_worker: _Worker  # set in the processes that tokenise, and only there


def _start_worker(encoder: TextEncoder, end: int) -> None:
    global _worker
    # Several processes with a thread for each core would be in each other's way.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process ends the others
    _worker = _Worker(encoder, end)


def _tokenise_in_worker(paths: Sequence[Path]) -> list[NDArray[np.int32]]:
    return _tokenise_articles(paths, *_worker)


def _rename(partial: Path, store: Path) -> None:
    try:
        partial.rename(store)
    except OSError:
        if not store.is_dir():  # else another process has just written the same store
            raise
