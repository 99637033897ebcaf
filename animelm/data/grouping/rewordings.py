"""Which questions with one key ask for the same fact in other words.

Two questions share a key by chance as well: many countries have one currency. What tells them apart
is what they are about. Japanese puts it first, so a part of a question weighs more the nearer to
the beginning it stands in all questions, and the fewer keys it is asked beside. Questions whose
heaviest parts are both missing in the other one are about two things.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import fmean

from animelm.data.grouping.text import asked_core, folded, is_word, key_of, units

ALIKE = 0.3
"""Similarity from which two questions with one key, on one thing, are rewordings."""

_ANYWHERE = 0.25  # weight of what stands at the end, where what stands first has 1.25
_FRONT = 1.5  # parts behind two thirds of a question weigh no more than those at its end
Part = str | tuple[str, str]
_WORDS = re.compile(r"[一-鿿々〆ヶ]+|[ァ-ヴヷ-ヺー]+|[a-z\u00c0-\u024f]+|\d+", re.IGNORECASE)
_ASKING = re.compile(
    r"質問|教|[何誰].*|what|who|whose|which|when|where|how|why|is|are|was|were|did|do|does|"
    r"the|an?|of|in|on|at|to|by|for|from|with|s",
    re.IGNORECASE,
)
_KANJI = re.compile(r"[一-鿿々〆]")
_SPACED = re.compile(r"[a-z]\s+[a-z]")


class Wordings:
    """Compares the words of questions, weighed by all questions of a file.

    Args:
        questions: the questions.
        keys: a short key of each, or its answer.
    """

    def __init__(self, questions: Sequence[str], keys: Sequence[str]) -> None:
        self._parts = [_parts(question) for question in questions]
        beside: defaultdict[Part, set[str]] = defaultdict(set)
        places: defaultdict[Part, list[float]] = defaultdict(list)
        for parts, key in zip(self._parts, map(key_of, keys), strict=True):
            for part, place in parts.items():
                beside[part].add(key)
                places[part].append(place)
        count = len(set(map(key_of, keys)))
        rarity = {part: math.log((count + 1) / (len(keys) + 0.5)) for part, keys in beside.items()}
        back = {part: min(1.0, _FRONT * fmean(found)) for part, found in places.items()}
        self._weights = {part: rarity[part] * (_ANYWHERE + 1 - back[part]) for part in rarity}
        self._relations = {part: share**2 for part, share in back.items()}
        self._texts = list(map(folded, questions))
        self._heaviest = [max(parts, key=self._weights.__getitem__) for parts in self._parts]
        self._first = list(map(_first_word, self._texts))
        self._subjects = [
            _word_around(part, text) for part, text in zip(self._heaviest, self._texts, strict=True)
        ]

    def similarity(self, one: int, other: int) -> float:
        """The weight of what two questions share, as a part of their mean weight, 0 to 1."""
        return self._shared(one, other, self._weights)

    def same_relation(self, one: int, other: int) -> float:
        """How much two questions ask the same of a thing, 0 to 1: what stands behind it counts."""
        return self._shared(one, other, self._relations)

    def on_one_thing(self, one: int, other: int) -> bool:
        """Whether each question holds the heaviest part of the other, in a whole word.

        One of the two is enough where the first word of one stands in the other as well.
        """
        found = self._holds_subject(one, other), self._holds_subject(other, one)
        return all(found) or (any(found) and self._share_first_word(one, other))

    def may_be_on_one_thing(self, one: int, other: int) -> bool:
        """Whether the first word of one question stands in the other, or most of its kanji."""
        first, second = (set(_KANJI.findall(self._first[number])) for number in (one, other))
        shorter = min(len(first), len(second))
        return self._share_first_word(one, other) or 2 * len(first & second) > shorter

    def pairs_on_one_thing(self, numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
        """The pairs of these questions of which ``on_one_thing`` holds."""
        having: defaultdict[Part, list[int]] = defaultdict(list)
        for number in numbers:
            for part in self._parts[number]:
                having[part].append(number)
        for number in numbers:
            for other in having[self._heaviest[number]]:
                if other != number and self.on_one_thing(number, other):
                    yield number, other

    def _share_first_word(self, one: int, other: int) -> bool:
        return self._first[one] in self._texts[other] or self._first[other] in self._texts[one]

    def _holds_subject(self, one: int, other: int) -> bool:
        return (
            self._heaviest[one] in self._parts[other] and self._subjects[one] in self._texts[other]
        )

    def _shared(self, one: int, other: int, weights: Mapping[Part, float]) -> float:
        first, second = self._parts[one], self._parts[other]
        whole = math.fsum(weights[part] for parts in (first, second) for part in parts)
        shared = math.fsum(weights[part] for part in first if part in second)
        return 2 * shared / whole if whole else 0.0


def _parts(question: str) -> dict[Part, float]:
    """Words, and pairs of other characters, each with its place: 0 is the beginning, 1 the end."""
    if _SPACED.search(folded(question)):
        return _spaced_parts(question)
    cut = units(asked_core(question))
    places: dict[Part, float] = {}
    for number, unit in enumerate(cut):
        if is_word(unit):
            places.setdefault(unit, number / len(cut))
    for number, (first, second) in enumerate(pairwise(cut)):
        if first.isalnum() and second.isalnum():
            places.setdefault((first, second), number / len(cut))
    return places or {"".join(cut): 0.0}


def _spaced_parts(question: str) -> dict[Part, float]:
    """The words of a language with spaces: a name is what it is about, wherever it stands."""
    found = _WORDS.finditer(question.strip())
    names = {folded(word[0]) for word in found if word.start() and word[0][0].isupper()}
    words = [word for word in units(question) if is_word(word) and not _ASKING.fullmatch(word)]
    return {word: 0.0 if word in names else 1.0 for word in words} or {folded(question): 0.0}


def _first_word(text: str) -> str:
    """The first word of a question that is no question word; empty without one."""
    return next((word for word in _WORDS.findall(text) if not _ASKING.fullmatch(word)), "")


def _word_around(part: Part, text: str) -> str:
    """The word of kanji, katakana, Latin letters or digits that a part of a text belongs to."""
    start = text.find("".join(part))
    words = (match for match in _WORDS.finditer(text) if match.end() > start)
    found = next(words, None)
    return found[0] if found and start >= 0 and found.start() < start + len("".join(part)) else ""
