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
_COLONS = ":\uff1a\ufe55\ufe13\ufe30\u2236\ua789\u02d0"
_QUESTION, _ANSWERS = "質問", ("出力", "回答")


class _Entry(NamedTuple):
    line: int
    label: str
    text: str


def read_labelled(path: Path, columns: Columns) -> Iterator[Asked]:
    """The questions of a file, each with the answer of one 出力 (or 回答) line.

    Every answer belongs to the last question before it. A line without a label continues the text
    above it; empty lines are ignored. Columns that are named are labels as well, and hold for the
    question before them.

    Raises:
        UserError: not UTF-8, an answer without a question, or a question without an answer.
    """
    question = columns.question or _QUESTION
    answers = (columns.answer,) if columns.answer else _ANSWERS
    others = {
        name: field for field, name in columns.named.items() if field not in ("question", "answer")
    }
    entries = _entries(path, (question, *answers, *others))
    block: list[_Entry] = []
    for entry in entries:
        if not entry.text:
            raise UserError(f"{path}:{entry.line}: expected a text after {entry.label}:")
        if entry.label == question:
            yield from _asked(path, block, answers, others)
            block = []
        elif not block:
            raise UserError(f"{path}:{entry.line}: {entry.label}: without a {question}: before it")
        block.append(entry)
    yield from _asked(path, block, answers, others)


def _asked(
    path: Path, block: list[_Entry], answers: tuple[str, ...], others: dict[str, str]
) -> Iterator[Asked]:
    if not block:
        return
    (line, label, question), *rest = block
    where, place = f"{path}:{line}", f"on line {line}"
    values: dict[str, Any] = {others[e.label]: e.text for e in rest if e.label in others}
    given = given_fields(Row(where, place, values))
    replies = [entry for entry in rest if entry.label in answers]
    if not replies:
        raise UserError(f"{where}: {label}: without an {answers[0]}: after it")
    for reply in replies:
        yield Asked(where, place, question, (reply.text,), given=given)


def _entries(path: Path, labels: tuple[str, ...]) -> list[_Entry]:
    names = "|".join(map(re.escape, sorted(labels, key=len, reverse=True)))
    label = re.compile(rf"\s*({names})\s*[{_COLONS}]\s*(.*)", re.DOTALL)
    entries: list[_Entry] = []
    for number, line in enumerate(read_utf8(path).split("\n"), start=1):
        if match := label.fullmatch(line):
            entries.append(_Entry(number, match[1], match[2].strip()))
        elif line.strip() and entries:
            last = entries.pop()
            entries.append(last._replace(text=f"{last.text}\n{line.strip()}".strip()))
        elif line.strip():
            raise UserError(f"{path}:{number}: expected a line that begins with {labels[0]}:")
    return entries
