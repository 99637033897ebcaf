"""Texts that were seen before, letter for letter or nearly so."""

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
    """The text that another one repeats.

    Attributes:
        title: of the text that came first.
        exact: True for the same letters; False for nearly the same.
    """

    title: str
    exact: bool


class Duplicates:
    """Remembers texts and recognizes what repeats one of them.

    Texts are nearly the same when the sets of their runs of five letters have an estimated Jaccard
    similarity of at least ``threshold`` (MinHash, with locality-sensitive hashing; a pair close to
    the threshold may be missed). About two kilobytes are kept of each text.

    Args:
        threshold: similarity above 0 and up to 1; 1 looks for the same letters only.
    """

    def __init__(self, threshold: float) -> None:
        self._titles: list[str] = []
        self._exact: dict[bytes, int] = {}
        self._near = (
            RMinHashDeduplicator(threshold, _PERMUTATIONS, use_lsh=True, seed=_SEED)
            if threshold < 1
            else None
        )

    def add(self, title: str, letters: str) -> Duplicate | None:
        """The earlier text that this one repeats; None, and it is remembered, where there is none.

        The result depends on the texts added before and their order alone.

        Args:
            title: names the text.
            letters: what ``animelm.corpus.cleaning.text_key`` leaves of it.
        """
        content = letters.encode("utf-32-le", "surrogatepass")
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
    """A hash of every run of five characters of a UTF-32 text, in bytes that the sketch takes.

    The library hashes strings as well, but cutting them takes four times as long as this.
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
