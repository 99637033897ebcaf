"""Reads pairs of a question and an answer from CSV and text files."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from animelm.data.text_files import read_utf8
from animelm.errors import UserError

NAMES = (("質問", "出力"), ("question", "answer"))
_LABEL = re.compile(r"\s*(質問|出力)\s*[::]\s*(.*)")


class Pair(NamedTuple):
    """A question and one of its answers."""

    question: str
    answer: str


def pair_names(present: Iterable[str]) -> tuple[str, str] | None:
    """The names of the question and the answer among ``present``; None without both."""
    present = set(present)
    return next((names for names in NAMES if present.issuperset(names)), None)


def pair_from(values: Mapping[str, Any], names: tuple[str, str], where: str) -> Pair:
    """The question and answer under ``names``, stripped.

    Raises:
        UserError: one of them is not a text, or is empty.
    """
    for name in names:
        if not isinstance(values[name], str) or not values[name].strip():
            raise UserError(f'{where}: "{name}" must be a non-empty text')
    return Pair(values[names[0]].strip(), values[names[1]].strip())


def read_csv(path: Path) -> list[Pair]:
    """Reads a CSV file whose first line names the columns.

    Raises:
        UserError: not UTF-8, no such header, or a row that is malformed.
    """
    reader = csv.DictReader(io.StringIO(read_utf8(path), newline=""), strict=True)
    pairs = []
    try:
        if not reader.fieldnames:
            return []
        names = pair_names(reader.fieldnames)
        if names is None:
            raise UserError(
                f"{path}:1: expected the columns 質問,出力 (or question,answer) in the first line, "
                f"found {','.join(reader.fieldnames)}"
            )
        for row in reader:
            pairs.append(pair_from(row, names, f"{path}:{reader.line_num}"))
    except csv.Error as error:
        # DictReader's own line_num is that of the row before when a row fails.
        raise UserError(f"{path}:{reader.reader.line_num}: not valid CSV: {error}") from error
    return pairs


def read_text(path: Path) -> list[Pair]:
    """Reads a text file with ``質問:`` and ``出力:`` lines (the colon may be full-width).

    Every ``出力`` answers the last ``質問`` before it. A line without a label continues the text
    above it; empty lines are ignored.

    Raises:
        UserError: not UTF-8, an answer without a question, or a question without an answer.
    """
    entries: list[tuple[int, str, str]] = []  # line number, label, text
    for number, line in enumerate(read_utf8(path).splitlines(), start=1):
        match = _LABEL.fullmatch(line)
        if match:
            entries.append((number, match[1], match[2].strip()))
        elif line.strip() and entries:
            first, label, text = entries.pop()
            entries.append((first, label, f"{text}\n{line.strip()}".strip()))
        elif line.strip():
            raise UserError(f"{path}:{number}: expected a line that begins with 質問:")
    return _pairs_of_entries(entries, path)


def _pairs_of_entries(entries: Sequence[tuple[int, str, str]], path: Path) -> list[Pair]:
    pairs: list[Pair] = []
    open_question: tuple[int, str] | None = None  # has no answer yet
    question: str | None = None
    for number, label, text in entries:
        if not text:
            raise UserError(f"{path}:{number}: expected a text after {label}:")
        if label == "出力":
            if question is None:
                raise UserError(f"{path}:{number}: 出力: without a 質問: before it")
            pairs.append(Pair(question, text))
            open_question = None
            continue
        if open_question:
            raise UserError(f"{path}:{open_question[0]}: 質問: without an 出力: after it")
        question, open_question = text, (number, text)
    if open_question:
        raise UserError(f"{path}:{open_question[0]}: 質問: without an 出力: after it")
    return pairs


def connected_facts(pairs: Sequence[Pair]) -> dict[str, str]:
    """Maps each question to the name of its fact: the first question that it is connected with.

    Two questions are connected when they share an answer, directly or through others.
    """
    parents: dict[str, str] = {}

    def root(question: str) -> str:
        while parents[question] != question:
            parents[question] = parents[parents[question]]
            question = parents[question]
        return question

    order = {question: i for i, question in enumerate(dict.fromkeys(p.question for p in pairs))}
    answered: dict[str, str] = {}
    for question, answer in pairs:
        parents.setdefault(question, question)
        one, other = root(question), root(answered.setdefault(answer, question))
        if order[one] < order[other]:
            one, other = other, one
        parents[one] = other
    return {question: root(question) for question in parents}
