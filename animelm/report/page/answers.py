"""The answers as data for the page's table."""

from collections.abc import Sequence
from typing import Any

from animelm.data.sources.qa import QARecord
from animelm.data.split import hash_order
from animelm.evaluate.comparison.outcomes import relation_of
from animelm.evaluate.normalization import occurrences
from animelm.evaluate.results import Result
from animelm.evaluate.scoring import Distractors
from animelm.report.page.texts import Texts


def answer_data(
    results: Sequence[Result], models: Sequence[str], most: int, texts: Texts
) -> dict[str, Any]:
    """JSON values: a row for each question, with the answers of the models.

    Args:
        results: every answer. Of several adapters of a model, the first one's are shown.
        models: names of the models, in the order of the columns.
        most: largest number of questions, chosen by hash.
        texts: words of the page.
    """
    questions: dict[tuple[int, str, str], dict[str, Result]] = {}
    for result in results:
        key = (result.seed, result.held_out_set, result.id)
        questions.setdefault(key, {}).setdefault(result.model, result)
    names = {"\x1f".join(map(str, key)): key for key in questions}
    if len(names) > most:
        chosen = set(hash_order(names, 0)[:most])
        names = {name: key for name, key in names.items() if name in chosen}
    rivals = _Rivals(results)
    rows = [_row(questions[key], models, rivals) for key in names.values()]
    return {
        "models": [texts.name("models", name) for name in models],
        "sets": _titles(texts, "sets", (row["set"] for row in rows)),
        "directions": _titles(texts, "directions", (row["direction"] for row in rows)),
        "relations": _titles(texts, "relations", (row["relation"] for row in rows)),
        "all": len(questions),
        "rows": rows,
    }


def _titles(texts: Texts, kind: str, names: Any) -> dict[str, str]:
    return {name: texts.name(kind, name) for name in dict.fromkeys(names) if name}


def _row(answers: dict[str, Result], models: Sequence[str], rivals: "_Rivals") -> dict[str, Any]:
    first = next(iter(answers.values()))
    cells = [
        [answer.output, int(answer.accuracy >= 0.5), rivals.named(answer)]
        if (answer := answers.get(model))
        else None
        for model in models
    ]
    return {
        "set": first.held_out_set,
        "direction": first.direction,
        "relation": relation_of(first),
        "work": first.work,
        "question": first.question,
        "expected": first.answers[0],
        "keys": list(first.keys),
        "answers": cells,
    }


class _Rivals:
    """The wrong names in answers, among the keys of the same relation that were asked about."""

    def __init__(self, results: Sequence[Result]) -> None:
        records = {result.id: _record(result) for result in results}
        self._distractors = Distractors(records.values())

    def named(self, result: Result) -> list[str]:
        """The wrong keys that an answer names; none for a right one."""
        if result.accuracy >= 0.5 or not result.output:
            return []
        record = _record(result)
        harmless = (*record.keys, *self._distractors.context(record))
        return [
            name
            for name in self._distractors.of(record)
            if occurrences(name, result.output)
            and not any(occurrences(name, text) for text in harmless)
        ]


def _record(result: Result) -> QARecord:
    return QARecord(
        id=result.id,
        work=result.work,
        fact=result.fact,
        direction=result.direction,
        wording=result.wording,
        domain=result.domain,
        question=result.question,
        answers=result.answers,
        keys=result.keys,
    )
