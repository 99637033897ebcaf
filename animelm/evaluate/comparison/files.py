"""The files of a comparison beside summary.json."""

import csv
import io
import json
import time
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from animelm.evaluate.comparison.environment import describe_environment
from animelm.evaluate.comparison.outcomes import (
    GROUPS,
    OUTCOMES,
    Change,
    by_set,
    changes,
    count_outcomes,
    grouped,
    relation_of,
)
from animelm.evaluate.results import Result, write_results
from animelm.evaluate.settings import CompareSettings
from animelm.files import write_whole

RESULTS, OUTCOME_LIST, OUTCOME_COUNTS = "results.jsonl", "outcomes.csv", "outcome_counts.csv"
ROUTERS, MADE = "routers.json", "comparison.json"
FILES = (RESULTS, OUTCOME_LIST, OUTCOME_COUNTS, ROUTERS, MADE)


def write_comparison(
    settings: CompareSettings,
    identity: Mapping[str, Any],
    results: Mapping[str, Sequence[Result]],
    measured: Mapping[tuple[str, int], Mapping[str, Any]],
    seconds: float,
) -> None:
    """Writes every answer, what was gained and lost, the routers' choices, and how it was made.

    Raises:
        UserError: a file cannot be written. Each appears whole or not at all.
    """
    folder = settings.output
    write_results(folder / RESULTS, (result for rows in results.values() for result in rows))
    write_outcomes(folder, results)
    routers = {name: values["routers"] for (name, run), values in measured.items() if run == 0}
    _write_json(folder / ROUTERS, {"models": routers})
    made = {
        "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": seconds,
        **identity,
        **describe_environment(),
    }
    _write_json(folder / MADE, made)


def write_outcomes(folder: Path, results: Mapping[str, Sequence[Result]]) -> None:
    """Writes what each pair of models gained, kept, lost and never knew, listed and counted."""
    pairs = {
        (earlier, later): changes(results[earlier], results[later])
        for earlier, later in combinations(results, 2)
    }
    listed = [
        (later, earlier, change.outcome, *_question(change))
        for (earlier, later), found in pairs.items()
        for change in found
    ]
    _write_table(folder / OUTCOME_LIST, (*_PAIR, "outcome", *_QUESTION), listed)
    counted = [
        (later, earlier, name, kind, group, *count_outcomes(members).values())
        for (earlier, later), found in pairs.items()
        for name, asked in by_set(found).items()
        for kind, groups in _groups(asked)
        for group, members in groups.items()
    ]
    _write_table(folder / OUTCOME_COUNTS, (*_PAIR, "set", "kind", "group", *OUTCOMES), counted)


_PAIR = ("model", "against")
_QUESTION = ("seed", "set", "id", "work", "relation", "direction", "wording", "question")


def _question(change: Change) -> tuple[str | int, ...]:
    asked = change.question
    return (
        asked.seed,
        asked.held_out_set,
        asked.id,
        asked.work,
        relation_of(asked),
        asked.direction,
        asked.wording,
        asked.question,
    )


def _groups(asked: list[Change]) -> list[tuple[str, dict[str, list[Change]]]]:
    return [("all", {"all": asked}), *((kind, grouped(asked, kind)) for kind in GROUPS)]


def _write_table(path: Path, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    write_whole(path, text.getvalue())


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    text = json.dumps(values, ensure_ascii=False, indent=1, default=str, allow_nan=False)
    write_whole(path, text + "\n")
