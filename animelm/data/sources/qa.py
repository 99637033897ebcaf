"""Question-answer records, and reading them from several formats."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, cast

from animelm.data.sources import parquet, qa_formats
from animelm.data.sources.hub import local_copy
from animelm.data.sources.qa_formats import Pair
from animelm.data.text_files import json_lines
from animelm.errors import UserError

DIRECTIONS = ("forward", "reverse")
SUFFIXES = (".jsonl", ".csv", ".txt", parquet.SUFFIX)


@dataclass(frozen=True)
class QARecord:
    """One question about one fact, with every accepted answer.

    Attributes:
        id: unique in its file.
        work: the work (outside anime, the subject) that the fact belongs to.
        fact: the fact, such as ``鋼の錬金術師/protagonist``.
        direction: ``forward`` (work to value) or ``reverse`` (value to work).
        wording: the template of the question, shared by all works, as ``protagonist/forward/03``.
        domain: ``anime``, or another subject.
        question: the question.
        answers: accepted answers, each a full sentence.
        keys: short accepted answers; an answer that contains one of them is right.
    """

    id: str
    work: str
    fact: str
    direction: str
    wording: str
    domain: str
    question: str
    answers: tuple[str, ...]
    keys: tuple[str, ...]


_TEXTS = tuple(f.name for f in fields(QARecord) if f.name not in ("answers", "keys"))
_LISTS = ("answers", "keys")
_COLUMNS = frozenset((*_TEXTS, *_LISTS, *chain.from_iterable(qa_formats.NAMES)))


def read_qa(path: Path | str, domain: str = "anime") -> list[QARecord]:
    """Reads question-answer records.

    ========  ==================================================================================
    suffix    content
    ========  ==================================================================================
    .jsonl    one object a line: a full record (the fields of ``QARecord``), or a pair
              ``{"質問": …, "出力": …}`` or ``{"question": …, "answer": …}``
    .csv      columns ``質問,出力`` or ``question,answer``, named in the first line
    .txt      ``質問: …`` and ``出力: …`` lines; several ``出力`` may follow one ``質問``
    .parquet  the columns of .csv, or those of a full record; also a folder of such files
    ========  ==================================================================================

    Pairs do not name facts, so they are grouped: the answers of one question become one record, and
    questions that share an answer, directly or through others, are wordings of one fact. Its first
    question names the fact and the work. A short answer that many questions share joins them to one
    fact; a split may then hold out too little, but nothing that is held out is trained on.

    Args:
        path: the file, UTF-8 unless it is Parquet; or a folder of Parquet files, or a dataset on
            the hub (see ``local_copy``).
        domain: domain of records read from pairs.

    Returns:
        The records in the order of the file; at least one.

    Raises:
        UserError: the file is missing, empty, not UTF-8 or of another suffix, or a line or row is
            malformed; the message names the file and the line or row.
    """
    path = local_copy(Path(path))
    shards = parquet.find_shards(path)
    if path.is_dir() and not shards:
        raise UserError(f"{path}: is a folder without {parquet.SUFFIX} files; expected a file")
    if not path.exists():
        raise UserError(f"{path}: no such file; expected questions and answers")
    if not shards and path.suffix not in SUFFIXES:
        raise UserError(f"{path}: expected a file name that ends in {', '.join(SUFFIXES)}")
    if shards:
        records = _read_rows(_parquet_rows(shards), path, domain)
    elif path.suffix == ".jsonl":
        records = _read_rows(_json_rows(path), path, domain)
    elif path.suffix == ".csv":
        records = _group(qa_formats.read_csv(path), domain)
    else:
        records = _group(qa_formats.read_text(path), domain)
    if not records:
        raise UserError(f"{path}: holds no question; expected at least one question and its answer")
    return records


class _Row(NamedTuple):
    where: str  # this row, at the beginning of a message about it
    place: str  # this row, in a message about another row
    values: dict[str, Any]


def _json_rows(path: Path) -> Iterator[_Row]:
    for number, values in json_lines(path):
        yield _Row(f"{path}:{number}", f"on line {number}", values)


def _parquet_rows(shards: list[Path]) -> Iterator[_Row]:
    for shard in shards:
        found = parquet.column_names(shard)
        wanted = [name for name in found if name in _COLUMNS]
        if not (qa_formats.pair_names(wanted) or set(_TEXTS + _LISTS).issubset(wanted)):
            raise UserError(
                f"{shard}: expected the columns 質問 and 出力, or question and answer, or "
                f"{', '.join(_TEXTS + _LISTS)}; its columns are {', '.join(map(repr, found))}"
            )
        for row in parquet.read_rows(shard, wanted):
            yield _Row(row.where, f"in row {row.number} of {shard.name}", row.values)


def _read_rows(rows: Iterable[_Row], path: Path, domain: str) -> list[QARecord]:
    records: list[QARecord] = []
    pairs: list[Pair] = []
    seen: dict[str, str] = {}
    for where, place, values in rows:
        names = qa_formats.pair_names(values)
        if names and "answers" not in values:
            pairs.append(qa_formats.pair_from(values, names, where))
            continue
        record = _record_from(values, where)
        if record.id in seen:
            raise UserError(f"{where}: duplicate id {record.id!r}, first used {seen[record.id]}")
        seen[record.id] = place
        records.append(record)
    if records and pairs:
        raise UserError(f"{path}: holds both full records and pairs; keep them in two files")
    return records or _group(pairs, domain)


def _record_from(values: dict[str, Any], where: str) -> QARecord:
    missing = [name for name in (*_TEXTS, *_LISTS) if name not in values]
    if missing:
        raise UserError(
            f"{where}: missing {', '.join(map(repr, missing))}; expected a record with the keys "
            f"{', '.join((*_TEXTS, *_LISTS))}, or a pair 質問/出力 or question/answer"
        )
    for name in _TEXTS:
        if not isinstance(values[name], str) or not values[name].strip():
            raise UserError(f'{where}: "{name}" must be a non-empty text')
    for name in _LISTS:
        items = values[name]
        if not isinstance(items, list) or not items or not all(map(_is_text, items)):
            raise UserError(f'{where}: "{name}" must be a list of one or more texts')
    if values["direction"] not in DIRECTIONS:
        raise UserError(
            f'{where}: "direction" must be forward or reverse, not {values["direction"]!r}'
        )
    texts = {name: cast(str, values[name]) for name in _TEXTS}
    return QARecord(**texts, answers=tuple(values["answers"]), keys=tuple(values["keys"]))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _group(pairs: list[Pair], domain: str) -> list[QARecord]:
    answers: dict[str, dict[str, None]] = {}  # question to its answers, in order, each once
    for pair in pairs:
        answers.setdefault(pair.question, {})[pair.answer] = None
    facts = qa_formats.connected_facts(pairs)
    return [
        QARecord(
            id=f"pair-{number:06d}",
            work=facts[question],
            fact=facts[question],
            direction="forward",
            wording=question,
            domain=domain,
            question=question,
            answers=tuple(given),
            keys=tuple(given),
        )
        for number, (question, given) in enumerate(answers.items(), start=1)
    ]
