"""The Result format: JSON Lines, one record per question and model, schema version 1.

Whatever reports on answers reads these files and nothing else.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from animelm.data.text_files import json_lines
from animelm.errors import UserError
from animelm.evaluate.generate import Answer
from animelm.evaluate.scoring import Scores
from animelm.files import write_whole

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Result:
    """One model's answer to one question.

    Attributes:
        model: base, cpt or sft.
        held_out_set: anime_unseen_wording, anime_only_read or general.
        id, domain, work, fact, direction, wording, question, answers, keys: of the record that was
            asked.
        output: what the model wrote.
        reached_end: whether it ended the answer itself.
        reached_final: whether it began an answer at all; where not, output is empty and all scores
            are 0. Results written before this key was are read as true.
        accuracy, exact_match, character_f1: scores from 0 to 1; accuracy is the key accuracy.
        seed: of the split that held the question out.
        schema_version: of this format.
    """

    model: str
    held_out_set: str
    id: str
    domain: str
    work: str
    fact: str
    direction: str
    wording: str
    question: str
    answers: tuple[str, ...]
    keys: tuple[str, ...]
    output: str
    reached_end: bool
    accuracy: float
    exact_match: float
    character_f1: float
    seed: int
    reached_final: bool = True
    schema_version: int = SCHEMA_VERSION


def make_result(model: str, answer: Answer, scores: Scores, seed: int) -> Result:
    """The result of an answer and its scores."""
    record = answer.record
    return Result(
        model=model,
        held_out_set=answer.held_out_set,
        id=record.id,
        domain=record.domain,
        work=record.work,
        fact=record.fact,
        direction=record.direction,
        wording=record.wording,
        question=record.question,
        answers=tuple(record.answers),
        keys=tuple(record.keys),
        output=answer.output,
        reached_end=answer.reached_end,
        **asdict(scores),
        seed=seed,
        reached_final=answer.reached_final,
    )


def write_results(path: Path, results: Iterable[Result]) -> None:
    """Writes one JSON object a line; the file appears whole or not at all.

    Raises:
        UserError: it cannot be written.
    """
    lines = (json.dumps(asdict(result), ensure_ascii=False, allow_nan=False) for result in results)
    write_whole(path, "".join(f"{line}\n" for line in lines))


def read_results(path: Path) -> list[Result]:
    """Reads what ``write_results`` wrote.

    Raises:
        UserError: the file cannot be read, or a line is not a result of this schema version; the
            message names the file, the line and the key.
    """
    return [_parse(f"{path}:{number}", values) for number, values in json_lines(path)]


def _parse(where: str, values: Mapping[str, Any]) -> Result:
    found = values.get("schema_version")
    if found != SCHEMA_VERSION:
        raise UserError(f"{where}: schema_version is {found!r}; expected {SCHEMA_VERSION}")
    values = {"reached_final": True, **values}
    return Result(
        **{field.name: _value(where, field.name, field.type, values) for field in fields(Result)}
    )


def _value(where: str, key: str, kind: Any, values: Mapping[str, Any]) -> Any:
    if key not in values:
        raise UserError(f"{where}: key {key!r} is missing")
    value = values[key]
    if kind in (str, bool, int) and type(value) is kind:
        return value
    if kind is float and type(value) in (int, float):
        return float(value)
    if kind == tuple[str, ...] and isinstance(value, list) and all(type(v) is str for v in value):
        return tuple(value)
    expected = "list of strings" if kind == tuple[str, ...] else kind.__name__
    raise UserError(f"{where}: key {key!r} is {value!r}; expected {expected}")
