"""Finds texts that repeat an earlier one, exactly or nearly."""

import hashlib
from dataclasses import dataclass

import numpy as np
from rensa import RMinHash, RMinHashDeduplicator

# Japanese is written without spaces, so the shingles are runs of characters. Runs of five are rare
# enough that two texts on different subjects share few of them.
_SHINGLE = 5
# The standard error of an estimated similarity of 0.8 is then 0.035.
_PERMUTATIONS = 128
_SEED = 1
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio, odd


@dataclass(frozen=True)
class Duplicate:
    """The earlier text that a text repeats.

    Attributes:
        title: title of the earlier text.
        exact: True if the letters are the same; False if nearly the same.
    """

    title: str
    exact: bool


class Duplicates:
    """Stores texts and finds those that repeat an earlier one.

    Texts are nearly the same when the sets of their runs of five letters have an estimated Jaccard
    similarity of at least ``threshold`` (MinHash, with locality-sensitive hashing; a pair close to
    the threshold may be missed). Each text takes about two kilobytes.

    Args:
        threshold: similarity, above 0 and up to 1; 1 finds identical letters only.
    """

    def __init__(self, threshold: float) -> None:
        self._titles: list[str] = []
        self._exact: dict[bytes, int] = {}
        self._near = (
            RMinHashDeduplicator(threshold, _PERMUTATIONS, use_lsh=True, seed=_SEED)
            if threshold < 1
            else None
        )

    def add(self, title: str, key: str) -> Duplicate | None:
        """Returns the earlier text that this one repeats; if there is none, stores it.

        The result depends only on the texts added before and their order.

        Args:
            title: title of the text.
            key: its letters, see ``text_key``.
        """
        content = key.encode("utf-32-le", "surrogatepass")
        digest = hashlib.blake2b(content, digest_size=16).digest()
        if digest in self._exact:
            return Duplicate(self._titles[self._exact[digest]], exact=True)
        number = len(self._titles)
        if self._near is not None:
            sketch = RMinHash(_PERMUTATIONS, _SEED)
            sketch.update(_shingles(content))
            if not self._near.add(str(number), sketch):
                first = min(map(int, self._near.get_duplicates(sketch)))
                return Duplicate(self._titles[first], exact=False)
        self._exact[digest] = number
        self._titles.append(title)
        return None


def _shingles(content: bytes) -> list[bytes]:
    """A hash of every run of five characters of a UTF-32 text, as bytes.

    The library hashes strings as well, but slicing them takes four times as long.
    """
    characters = np.frombuffer(content, dtype="<u4").astype(np.uint64)
    count = max(1, len(characters) - _SHINGLE + 1)
    hashes = np.zeros(count, dtype=np.uint64)
    for start in range(_SHINGLE):
        following = characters[start : start + count]
        hashes *= _MULTIPLIER
        hashes[: len(following)] += following
    hashes ^= hashes >> np.uint64(29)  # the high bits are the well-mixed ones
    return hashes.view("S8").tolist()
