"""Finds passages of articles that contain questions of an evaluation."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import ahocorasick

from animelm.corpus.cleaning.text_key import text_key

SHORTEST = 8
"""Minimum letters of a question; a shorter one, such as "who is it?", is in many texts."""


@dataclass(frozen=True)
class Question:
    """A question of an evaluation.

    Attributes:
        id: identifies it, such as the id of its record.
        text: the question as it is asked.
    """

    id: str
    text: str


@dataclass(frozen=True)
class Contamination:
    """A passage that contains a question.

    Attributes:
        article: title of the article.
        line: number of the line where the question begins, from 1, in the article's Markdown
            without front matter.
        last_line: number of the line where it ends.
        question: id of the question.
        passage: these lines of the article.
    """

    article: str
    line: int
    last_line: int
    question: str
    passage: str


class QuestionSearch:
    """Finds questions in articles, all of them in one pass (Aho–Corasick).

    A question is found as a whole, also across line breaks; white space, punctuation, emphasis,
    case and width of letters are ignored.

    Args:
        questions: the questions; of several with the same letters, the first is reported.

    Attributes:
        ignored: ids of the questions with fewer than ``SHORTEST`` letters.
    """

    def __init__(self, questions: Iterable[Question]) -> None:
        self.ignored: list[str] = []
        self._automaton = ahocorasick.Automaton()
        for question in questions:
            key = text_key(question.text)
            if len(key) < SHORTEST:
                self.ignored.append(question.id)
            elif key not in self._automaton:
                self._automaton.add_word(key, (question.id, len(key)))
        self._empty = len(self._automaton) == 0
        self._automaton.make_automaton()

    def find(self, title: str, lines: Sequence[str], plain: Sequence[str]) -> list[Contamination]:
        """Every question in an article, sorted by the line where it begins.

        Args:
            title: title of the article.
            lines: its lines.
            plain: the letters of each line.
        """
        if self._empty:
            return []
        ends = list(accumulate(map(len, plain)))  # letters up to the end of each line
        found = []
        for last, (question, length) in self._automaton.iter("".join(plain)):
            first_line = bisect_right(ends, last - length + 1)
            last_line = bisect_right(ends, last)
            passage = "\n".join(lines[first_line : last_line + 1])
            found.append(Contamination(title, first_line + 1, last_line + 1, question, passage))
        return sorted(found, key=lambda one: (one.line, one.last_line, one.question))


def contaminated_lines(contaminations: Iterable[Contamination]) -> set[int]:
    """Numbers, from 1, of the lines of one article that contain questions."""
    return {number for one in contaminations for number in range(one.line, one.last_line + 1)}
