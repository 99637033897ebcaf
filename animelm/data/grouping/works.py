"""The work that each question is about: a title of the corpus, or a name in 「」 or 『』."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from animelm.data.grouping.names import Names
from animelm.data.grouping.text import (
    folded,
    key_of,
    occurs,
    quoted_names,
    unquoted,
    without_copula,
)
from animelm.data.grouping.unions import Unions

# Questions that ask for a work: what an answer then quotes is one.
_ASKS_FOR_A_WORK = (
    "作品",
    "アニメ",
    "映画",
    "漫画",
    "マンガ",
    "小説",
    "ゲーム",
    "番組",
    "ドラマ",
    "シリーズ",
    "タイトル",
    "題名",
    "国は",
    "国を",
)
# A name that is quoted beside so many others is what they share, such as a magazine; no work.
_SHARED_BY = 5
_SIDE_BY_SIDE = re.compile(r"\s*(?:と|や|か|、|,|・|&|/|および|または| and | or )\s*")


@dataclass(frozen=True)
class Texts:
    """What is known of one question.

    Attributes:
        question: the question.
        answers: its answers.
        work: the work that the file names; None where it names none.
    """

    question: str
    answers: tuple[str, ...]
    work: str | None = None


def find_works(asked: Sequence[Texts], titles: Names) -> list[str | None]:
    """The work of each question; None where nothing names one.

    Works that one question names together are one, so that no question on a work that training
    never asks about is asked beside another work. An answer says which work is meant only where its
    question names none; of several works in it all count if the question asks for works, else the
    first one does.

    Args:
        asked: the questions.
        titles: titles of the articles on the domain.
    """
    return _Works(asked, titles).found()


class _Works:
    def __init__(self, asked: Sequence[Texts], titles: Names) -> None:
        self._asked = asked
        self._titles = titles
        self._quoted = [quoted_names(each.question) for each in asked]
        self._titled = [self._titles_in(each.question) for each in asked]
        self._in_answers = [_common(map(quoted_names, each.answers)) for each in asked]
        partners: defaultdict[str, set[str]] = defaultdict(set)
        for names in (*self._quoted, *self._titled):
            for name in names:
                partners[key_of(name)].update(map(key_of, names))
        self._shared = {name for name, others in partners.items() if len(others) > _SHARED_BY}
        spelled = [
            *(each.work for each in asked if each.work),
            *(name for names in self._quoted for name in names),
            *(
                name
                for each, names in zip(asked, self._in_answers, strict=True)
                for name in names
                if occurs(name, each.question)
            ),
        ]
        self._known = Names(spelled)

    def found(self) -> list[str | None]:
        together: Unions[str] = Unions()
        mentioned = [self._works_of(number) for number in range(len(self._asked))]
        for names in mentioned:
            for name in names[1:]:
                together.join(key_of(names[0]), key_of(name))
        counts: Counter[str] = Counter(name for names in mentioned for name in names[:1])
        titles: dict[str, str] = {}
        for name, _ in counts.most_common():
            titles.setdefault(together.of(key_of(name)), name)
        return [titles[together.of(key_of(names[0]))] if names else None for names in mentioned]

    def _works_of(self, number: int) -> list[str]:
        """The works that a question is on, the first of which gives it its name."""
        each = self._asked[number]
        if each.work:
            return [each.work]
        quoted, titled = self._quoted[number], self._titled[number]
        if titled:
            return self._not_shared(titled)
        asks = any(word in each.question for word in _ASKS_FOR_A_WORK)
        if titles := [title for a in each.answers for title in self._titles_in(a)]:
            return titles if asks else titles[:1]
        if quoted:
            return self._not_shared(quoted)
        named = self._in_answers[number]
        for name in named:
            if occurs(name, each.question):
                return [name]
        if asks and named:
            return named
        for name in named:
            if name in self._known:
                return [name]
        if unmarked := self._known.longest_in(each.question):
            return [unmarked]
        replies = [unquoted(without_copula(answer)) for answer in each.answers]
        return [reply for reply in replies[:1] if reply in self._known]

    def _titles_in(self, text: str) -> list[str]:
        """Titles in a text: those in quotes, else the longest and those side by side with it."""
        if quoted := [name for name in quoted_names(text) if name in self._titles]:
            return quoted
        longest = self._titles.longest_in(text)
        if longest is None:
            return []
        beside = _SIDE_BY_SIDE.split(folded(text))
        others = [name for name in self._titles.separate_in(text) if name != longest]
        return [longest, *(name for name in others if _stands_beside(name, longest, beside))]

    def _not_shared(self, names: list[str]) -> list[str]:
        return [name for name in names if key_of(name) not in self._shared] or names[:1]


def _stands_beside(name: str, other: str, parts: Sequence[str]) -> bool:
    """Whether two names stand in neighboring parts of a text that is divided at と and the like."""
    first, second = folded(name), folded(other)
    return any(
        one.endswith(a) and next_one.startswith(b)
        for one, next_one in pairwise(parts)
        for a, b in ((first, second), (second, first))
    )


def _common(lists: Iterable[list[str]]) -> list[str]:
    """The names that all lists hold, in the order of the first."""
    first, *others = [*lists] or [[]]
    kept = [set(map(key_of, names)) for names in others]
    return [name for name in first if all(key_of(name) in names for names in kept)]
