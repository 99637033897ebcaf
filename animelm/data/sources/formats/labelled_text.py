"""Text files whose lines begin with 質問: or 出力:."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from animelm.data.sources.formats.asked import Asked, Row
from animelm.data.sources.formats.columns import Columns, given_fields
from animelm.errors import UserError
from animelm.reading import read_utf8

# The colon, and what looks like it: full-width, small, vertical, ratio, modifier letter.
_FULL_WIDTH = {code: code + 0xFEE0 for code in range(ord("!"), ord("~") + 1)}
_Family = tuple[tuple[str, ...], tuple[str, ...]]
_STOPS = ".．"
_COLONS = ":\uff1a\ufe55\ufe13\ufe30\u2236\ua789\u02d0"
# Labels of questions, with those of their answers.
_FAMILIES = (
    (("質問",), ("出力", "回答", "答え")),
    (("問題", "問い", "問"), ("解答", "答え", "答")),
    (("Question",), ("Answer",)),
    (("Q",), ("A",)),
)
# These may have a number, and a full stop for the colon: Q1. …
_NUMBERED = ("Q", "A", "問", "答")


class _Entry(NamedTuple):
    line: int
    label: str
    text: str
    asks: bool


def read_labelled(path: Path, columns: Columns) -> Iterator[Asked]:
    """The questions of a file, each with the answer of one 出力 (or 回答) line.

    Lines may also begin with Q: and A:, Question: and Answer:, or 問: and 答:. Every answer belongs
    to the last question before it. A line without a label continues the text above it, and so does
    a label of another kind than the question's, unless it is a question's and follows an empty
    line. Empty lines are ignored otherwise. Columns that are named are labels as well, and hold for
    the question before them.

    Raises:
        UserError: not UTF-8, an answer without a question, or a question without an answer.
    """
    others = {
        name: field for field, name in columns.named.items() if field not in ("question", "answer")
    }
    families = _families(columns)
    block: list[_Entry] = []
    for entry in _entries(path, families, tuple(others)):
        if not entry.text:
            raise UserError(f"{path}:{entry.line}: expected a text after {entry.label}:")
        if entry.asks:
            yield from _asked(path, block, families, others)
            block = []
        elif not block:
            question = families[0][0][0]
            raise UserError(f"{path}:{entry.line}: {entry.label}: without a {question}: before it")
        block.append(entry)
    yield from _asked(path, block, families, others)


def _families(columns: Columns) -> tuple[_Family, ...]:
    """The labels of questions and of their answers; a named column stands for all of its kind."""
    question, answer = columns.question, columns.answer
    if question and answer:
        return (((question,), (answer,)),)
    if question:
        return (((question,), tuple(dict.fromkeys(a for _, many in _FAMILIES for a in many))),)
    if answer:
        return tuple((many, (answer,)) for many, _ in _FAMILIES)
    return _FAMILIES


def _asked(
    path: Path, block: list[_Entry], families: tuple[_Family, ...], others: dict[str, str]
) -> Iterator[Asked]:
    if not block:
        return
    (line, label, question, _), *rest = block
    where, place = f"{path}:{line}", f"on line {line}"
    values: dict[str, Any] = {others[e.label]: e.text for e in rest if e.label in others}
    given = given_fields(Row(where, place, values))
    replies = [entry for entry in rest if entry.label not in others]
    expected = next(answers for questions, answers in families if label in questions)
    if not replies:
        raise UserError(f"{where}: {label}: without an {expected[0]}: after it")
    for reply in replies:
        yield Asked(where, place, question, (reply.text,), given=given)


def _entries(path: Path, families: tuple[_Family, ...], others: tuple[str, ...]) -> list[_Entry]:
    asking = [_Labels(questions) for questions, _ in families]
    replying = [_Labels((*answers, *others)) for _, answers in families]
    entries: list[_Entry] = []
    known: list[int] = []  # the family of the last question
    after_empty = True
    for number, line in enumerate(read_utf8(path).split("\n"), start=1):
        questions = known if known and not after_empty else range(len(families))
        asked = [(i, found) for i in questions if (found := asking[i].read(line))]
        told = (replying[i].read(line) for i in known or range(len(families)))
        if asked:
            known = [asked[0][0]]
            entries.append(_Entry(number, *asked[0][1], asks=True))
        elif reply := next(filter(None, told), None):
            entries.append(_Entry(number, *reply, asks=False))
        elif line.strip() and entries:
            last = entries.pop()
            entries.append(last._replace(text=f"{last.text}\n{line.strip()}".strip()))
        elif line.strip():
            question = families[0][0][0]
            raise UserError(f"{path}:{number}: expected a line that begins with {question}:")
        after_empty = not line.strip()
    return entries


class _Labels:
    """Labels, one of which a line may begin with, whatever their case and width."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        wide = {label.translate(_FULL_WIDTH): label for label in labels}
        spelled = {**wide, **dict(zip(labels, labels, strict=True))}
        self._labels = {spelling.casefold(): label for spelling, label in spelled.items()}
        names = "|".join(map(re.escape, sorted(spelled, key=len, reverse=True)))
        numbered = "|".join(s for s, label in spelled.items() if label in _NUMBERED) or "(?!)"
        self._line = re.compile(
            rf"\s*(?:({names})\s*[{_COLONS}]|({numbered})\s*\d*\s*[{_COLONS}{_STOPS}])\s*(.*)",
            re.DOTALL | re.IGNORECASE,
        )

    def read(self, line: str) -> tuple[str, str] | None:
        """The label of a line and the text behind it; None without a label."""
        match = self._line.fullmatch(line)
        if match is None:
            return None
        return self._labels[(match[1] or match[2]).casefold()], match[3].strip()
