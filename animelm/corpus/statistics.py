"""Statistics of a corpus: number and lengths of articles, categories, tokens."""

import hashlib
import heapq
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from animelm.corpus.cleaning.language import japanese_runs

LENGTH_EDGES = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
"""Bounds of the histogram's bars, in characters."""

_BATCH = 64  # articles that are encoded together
_MEASURED = 200  # articles on which tokens per Japanese character are measured


@dataclass(frozen=True)
class ArticleText:
    """An article.

    Attributes:
        title: its title.
        text: its Markdown without front matter.
        categories: its categories.
    """

    title: str
    text: str
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class Quartiles:
    """The smallest value, the quartiles, and the largest."""

    smallest: int
    lower: int
    median: int
    upper: int
    largest: int

    @classmethod
    def of(cls, values: NDArray[np.int64]) -> "Quartiles":
        """Those of one value or more, ``[N]``."""
        return cls(*(int(v) for v in np.quantile(values, (0, 0.25, 0.5, 0.75, 1), method="lower")))


@dataclass(frozen=True)
class TokenStatistics:
    """The corpus under a tokenizer.

    Attributes:
        tokens: number in all articles, without the end tokens that training adds.
        lengths: length of an article in tokens.
        per_character: tokens per character of all articles.
        per_japanese_character: tokens per kana or kanji; None if there is none. Every token that
            covers a kana or kanji, or a part of one, counts.
        measured_articles: number of randomly drawn articles that ``per_japanese_character`` was
            measured on.
    """

    tokens: int
    lengths: Quartiles
    per_character: float
    per_japanese_character: float | None
    measured_articles: int


@dataclass(frozen=True)
class CorpusStatistics:
    """Statistics of a corpus.

    Attributes:
        articles: number of articles.
        characters: number in all articles, without front matter.
        lengths: length of an article in characters.
        histogram: number of articles in each of the bars that ``LENGTH_EDGES`` separates.
        category_count: number of different categories.
        categories: the most frequent ones with their number of articles, most frequent first.
        samples: randomly drawn articles.
        tokens: the corpus under a tokenizer; None without one.
    """

    articles: int
    characters: int
    lengths: Quartiles
    histogram: tuple[int, ...]
    category_count: int
    categories: tuple[tuple[str, int], ...]
    samples: tuple[ArticleText, ...]
    tokens: TokenStatistics | None


def corpus_statistics(
    articles: Iterable[ArticleText],
    tokenizer: Tokenizer | None = None,
    categories: int = 20,
    samples: int = 5,
    seed: int = 0,
) -> CorpusStatistics:
    """Reads a corpus once; only some articles are in memory at a time.

    Args:
        articles: one or more.
        tokenizer: counts tokens, on all cores; None counts none.
        categories: number of the most frequent categories to return.
        samples: number of articles to draw, up to 200.
        seed: seed of the draw, which does not depend on the order of the articles.

    Raises:
        ValueError: there is no article.
    """
    characters, tokens = array("q"), array("q")
    histogram = [0] * (len(LENGTH_EDGES) + 1)
    frequencies: Counter[str] = Counter()
    draw = _Draw(_MEASURED, seed)
    for batch in _batches(articles):
        for article in batch:
            characters.append(len(article.text))
            histogram[bisect_right(LENGTH_EDGES, len(article.text))] += 1
            frequencies.update(set(article.categories))
            draw.offer(article)
        if tokenizer is not None:
            texts = [article.text for article in batch]
            encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
            tokens.extend(map(len, encodings))
    if not characters:
        raise ValueError("a corpus needs an article")
    drawn = draw.articles()
    return CorpusStatistics(
        articles=len(characters),
        characters=sum(characters),
        lengths=Quartiles.of(np.array(characters)),
        histogram=tuple(histogram),
        category_count=len(frequencies),
        # Ties are broken by name, so that the order of the files makes no difference.
        categories=tuple(sorted(frequencies.items(), key=lambda kv: (-kv[1], kv[0]))[:categories]),
        samples=tuple(drawn[:samples]),
        tokens=None
        if tokenizer is None
        else TokenStatistics(
            tokens=sum(tokens),
            lengths=Quartiles.of(np.array(tokens)),
            per_character=sum(tokens) / max(1, sum(characters)),
            per_japanese_character=_tokens_per_japanese_character(drawn, tokenizer),
            measured_articles=len(drawn),
        ),
    )


def _batches(articles: Iterable[ArticleText]) -> Iterator[list[ArticleText]]:
    iterator = iter(articles)
    while batch := list(islice(iterator, _BATCH)):
        yield batch


class _Draw:
    """Draws articles at random from a stream of unknown length."""

    def __init__(self, count: int, seed: int) -> None:
        self._count = count
        self._seed = seed
        self._drawn: list[tuple[int, int, ArticleText]] = []  # minus the hash, number, article
        self._offered = 0

    def offer(self, article: ArticleText) -> None:
        """Keeps the article if the hash of its title is among the smallest so far."""
        name = f"{self._seed}\n{article.title}".encode("utf-8", "surrogatepass")
        value = int.from_bytes(hashlib.blake2b(name, digest_size=8).digest())
        self._offered += 1
        heapq.heappush(self._drawn, (-value, self._offered, article))
        if len(self._drawn) > self._count:
            heapq.heappop(self._drawn)

    def articles(self) -> list[ArticleText]:
        """The drawn articles, in random order."""
        return [article for _, _, article in sorted(self._drawn, reverse=True)]


def _tokens_per_japanese_character(
    articles: Iterable[ArticleText], tokenizer: Tokenizer
) -> float | None:
    tokens = characters = 0
    for article in articles:
        # before[i]: kana and kanji among the first i characters.
        is_japanese = np.zeros(len(article.text) + 1, dtype=np.int64)
        for start, stop in japanese_runs(article.text):
            is_japanese[start + 1 : stop + 1] = 1
        before = np.cumsum(is_japanese)
        encoding = tokenizer.encode(article.text, add_special_tokens=False)
        spans = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
        tokens += int((before[spans[:, 1]] > before[spans[:, 0]]).sum())
        characters += int(before[-1])
    return tokens / characters if characters else None
