"""The format of results.jsonl: JSON Lines, one record per question and model, schema version 1."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args

from animelm.errors import UserError
from animelm.evaluate.generate import Answer
from animelm.evaluate.scoring import Scores
from animelm.files import write_whole
from animelm.reading import json_lines

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Result:
    """One model's answer to one question.

    Attributes:
        model: name of the model, such as base, cpt, sft_only, sft or retrieval.
        held_out_set: name of the set, in ``QUESTION_SETS`` or of the comparison's own sets.
        id, domain, work, fact, direction, wording, question, answers, keys: fields of the record of
            the question.
        output: the answer of the model.
        reached_end: whether it ended the answer itself.
        reached_final: whether it began an answer at all; if not, output is empty and all scores are
            0. True for older results without this key.
        accuracy, exact_match, character_f1: scores from 0 to 1; accuracy is the stricter key
            accuracy, or what the field scores a standard set by.
        loose_accuracy: the looser key accuracy; None in older results.
        seed: seed of the split that held out the question.
        schema_version: version of this format.
        run: number of the adapter among several of one model, from 0.
        likeliest: the key or choice that the model finds likeliest; None if not measured.
        confidence: probability of ``likeliest`` among the choices.
        key_probability: probability of the right one among them.
        choices: number of choices of a multiple choice; None for other questions.
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
    run: int = 0
    likeliest: str | None = None
    confidence: float | None = None
    key_probability: float | None = None
    choices: int | None = None
    loose_accuracy: float | None = None


def make_result(model: str, answer: Answer, scores: Scores, seed: int, run: int = 0) -> Result:
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
        run=run,
    )


def write_results(path: Path, results: Iterable[Result]) -> None:
    """Writes one JSON object per line; the file appears whole or not at all.

    Raises:
        UserError: it cannot be written.
    """
    write_whole(path, "".join(f"{result_line(result)}\n" for result in results))


def result_line(result: Result) -> str:
    """The result as one line of JSON."""
    return json.dumps(asdict(result), ensure_ascii=False, allow_nan=False)


def read_results(path: Path) -> list[Result]:
    """Reads results that ``write_results`` wrote.

    Raises:
        UserError: the file cannot be read, or a line is not a result of this schema version; the
            message names the file, the line and the key.
    """
    return [parse_result(f"{path}:{number}", values) for number, values in json_lines(path)]


def parse_result(where: str, values: Mapping[str, Any]) -> Result:
    """The result that a line holds.

    Args:
        where: the line, for messages.
        values: its object. What older versions did not write has its default.

    Raises:
        UserError: it is not a result of this schema version.
    """
    found = values.get("schema_version")
    if found != SCHEMA_VERSION:
        raise UserError(f"{where}: schema_version is {found!r}; expected {SCHEMA_VERSION}")
    defaults = {each.name: each.default for each in fields(Result) if each.default is not MISSING}
    values = {**defaults, **values}
    return Result(
        **{field.name: _value(where, field.name, field.type, values) for field in fields(Result)}
    )


def _value(where: str, key: str, kind: Any, values: Mapping[str, Any]) -> Any:
    if key not in values:
        raise UserError(f"{where}: key {key!r} is missing")
    value = values[key]
    if isinstance(kind, UnionType):
        if value is None:
            return None
        [kind] = (each for each in get_args(kind) if each is not NoneType)
    if kind in (str, bool, int) and type(value) is kind:
        return value
    if kind is float and type(value) in (int, float):
        return float(value)
    if kind == tuple[str, ...] and isinstance(value, list) and all(type(v) is str for v in value):
        return tuple(value)
    expected = "list of strings" if kind == tuple[str, ...] else kind.__name__
    raise UserError(f"{where}: key {key!r} is {value!r}; expected {expected}")
