"""Tokenized articles on disk, of which each is read when it is needed.

A store is a folder of three files: ``tokens.bin`` (int32, little-endian, article after article),
``offsets.npy`` (int64, the beginning of each, and the end) and ``names.json`` (name and title of
each). A fourth, ``sha256.json``, holds their hashes.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from animelm.data.batches.batch import Document
from animelm.errors import UserError

_TOKENS, _OFFSETS, _NAMES, _HASHES = "tokens.bin", "offsets.npy", "names.json", "sha256.json"
_TOKEN = np.dtype("<i4")


class Tokenized(NamedTuple):
    """An article's name, title and tokens, int32 ``[N]``."""

    name: str
    title: str
    tokens: NDArray[np.int32]


class TokenStore(Dataset[Document]):
    """The articles of a store; all tokens are supervised.

    Args:
        folder: the store, of which ``damage`` is None.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _TOKENS
        # Not mapped into memory: if the file is emptied under a run, a mapping ends it by a signal.
        self._file = self._path.open("rb", buffering=0)
        self._offsets = np.load(folder / _OFFSETS, allow_pickle=False)
        named: list[list[str]] = json.loads((folder / _NAMES).read_text("utf-8"))
        self.names = [name for name, _ in named]
        self.titles = [title for _, title in named]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each article, ``[N]``; 0 for one without text."""
        return np.diff(self._offsets)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Document:
        """The document of an article.

        Raises:
            UserError: the file of tokens has become shorter, or cannot be read.
        """
        begin, end = (int(self._offsets[i]) * _TOKEN.itemsize for i in (index, index + 1))
        try:
            content = os.pread(self._file.fileno(), end - begin, begin)
        except OSError as error:
            raise UserError(f"{self._path}: cannot be read: {error.strerror}") from error
        if len(content) < end - begin:
            raise UserError(
                f"{self._path}: became shorter while it was in use; run the same command again, "
                "which tokenizes the articles again"
            )
        tokens = np.frombuffer(content, dtype=_TOKEN)
        # A view of one value: a long article is read once for each of its pieces.
        supervised = np.broadcast_to(np.True_, tokens.shape)
        return Document(tokens, supervised, self.names[index])


def write_store(folder: Path, articles: Iterable[Tokenized]) -> int:
    """Writes a store into an empty folder, article after article.

    Returns:
        Number of tokens.
    """
    names: list[tuple[str, str]] = []
    lengths: list[int] = []
    with (folder / _TOKENS).open("wb") as file:
        for name, title, tokens in articles:
            file.write(tokens.astype(_TOKEN).tobytes())
            names.append((name, title))
            lengths.append(len(tokens))
    np.save(folder / _OFFSETS, np.cumsum([0, *lengths], dtype=np.int64))
    (folder / _NAMES).write_text(json.dumps(names), encoding="utf-8")
    hashes = {name: _hash(folder / name) for name in (_TOKENS, _OFFSETS, _NAMES)}
    (folder / _HASHES).write_text(json.dumps(hashes), encoding="utf-8")
    return sum(lengths)


def damage(folder: Path) -> str | None:
    """What is wrong with a store; None if every file is as it was written.

    A disk that fails, or a copy that was interrupted, must not become training data.
    """
    try:
        hashes = json.loads((folder / _HASHES).read_text("utf-8"))
        for name in (_TOKENS, _OFFSETS, _NAMES):
            if hashes[name] != _hash(folder / name):
                return f"{name} has changed since it was written"
    except OSError as error:
        return f"{Path(error.filename or folder).name}: {error.strerror}"
    except (ValueError, KeyError, TypeError):
        return f"{_HASHES} is not what was written"
    return None


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
