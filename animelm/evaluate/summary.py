"""The comparison of models in numbers: what summary.json holds."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from animelm.data.held_out import QUESTION_SETS
from animelm.evaluate.bootstrap import Interval, bootstrap_interval, paired_difference
from animelm.evaluate.perplexity import Perplexity
from animelm.evaluate.results import Result
from animelm.files import write_whole

Bounds = tuple[float, float]


@dataclass(frozen=True)
class MeanScores:
    """Means over ``n`` questions, 0 to 1, None without any; ``accuracy`` is the key accuracy."""

    n: int
    accuracy: float | None
    exact_match: float | None
    character_f1: float | None


@dataclass(frozen=True)
class SetScores(MeanScores):
    """The scores of one held-out set.

    Attributes:
        ci95: 95 % interval of ``accuracy``, bootstrapped by work; None with fewer than two works.
        directions: the means of each direction.
    """

    ci95: Bounds | None
    directions: dict[str, MeanScores]


@dataclass(frozen=True)
class ModelSummary:
    """One model: its scores per held-out set, its perplexity (None where not measured)."""

    sets: dict[str, SetScores]
    perplexity_anime: float | None = None
    perplexity_general: float | None = None


@dataclass(frozen=True)
class Difference:
    """Mean difference in accuracy on the same questions, and its paired 95 % interval by work."""

    accuracy: float
    ci95: Bounds | None


@dataclass(frozen=True)
class Summary:
    """A comparison.

    Attributes:
        models: base, cpt, sft, in this order, as far as they were compared.
        differences: per pair of models ("sft-base": sft minus base) and held-out set.
        seconds: how long it took.
        trainable_parameters_per_target: of the last adapter compared.
        seed: of the split and of the bootstrap.
    """

    models: dict[str, ModelSummary]
    differences: dict[str, dict[str, Difference]]
    seconds: float
    trainable_parameters_per_target: dict[str, int] = field(default_factory=dict)
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """The object written to summary.json; each held-out set stands directly under its model."""
        values = asdict(self)
        for model in values["models"].values():
            model.update(model.pop("sets"))
        return values


def write_summary(path: Path, summary: Summary) -> None:
    """Writes summary.json; it appears whole or not at all.

    Raises:
        UserError: it cannot be written.
    """
    text = json.dumps(summary.to_json(), ensure_ascii=False, indent=2, allow_nan=False)
    write_whole(path, text + "\n")


def summarize_model(
    results: Sequence[Result], seed: int, anime: Perplexity | None, general: Perplexity | None
) -> ModelSummary:
    """Scores per held-out set from one model's results, beside its perplexities."""
    sets = {
        name: _set_scores([result for result in results if result.held_out_set == name], seed)
        for name in QUESTION_SETS
    }
    return ModelSummary(sets, _finite(anime), _finite(general))


def _finite(measured: Perplexity | None) -> float | None:
    # JSON has no infinity.
    return measured.value if measured is not None and math.isfinite(measured.value) else None


def _set_scores(results: Sequence[Result], seed: int) -> SetScores:
    directions = sorted({result.direction for result in results})
    interval = (
        bootstrap_interval([r.accuracy for r in results], [r.work for r in results], seed=seed)
        if results
        else None
    )
    return SetScores(
        **asdict(_means(results)),
        ci95=_bounds(interval),
        directions={
            name: _means([result for result in results if result.direction == name])
            for name in directions
        },
    )


def _means(results: Sequence[Result]) -> MeanScores:
    def mean(score: str) -> float | None:
        return math.fsum(getattr(r, score) for r in results) / len(results) if results else None

    return MeanScores(len(results), mean("accuracy"), mean("exact_match"), mean("character_f1"))


def _bounds(interval: Interval | None) -> Bounds | None:
    return None if interval is None or math.isnan(interval.low) else (interval.low, interval.high)


def paired_differences(
    results: dict[str, list[Result]], seed: int
) -> dict[str, dict[str, Difference]]:
    """Every later model minus every earlier one, on the questions of each held-out set.

    Raises:
        ValueError: two models did not answer the same questions in the same order.
    """
    differences: dict[str, dict[str, Difference]] = {}
    for (earlier, references), (later, answers) in combinations(results.items(), 2):
        if [(r.held_out_set, r.id) for r in references] != [
            (r.held_out_set, r.id) for r in answers
        ]:
            raise ValueError(
                f"{later} and {earlier} did not answer the same questions in the same order"
            )
        pairs = list(zip(answers, references, strict=True))
        by_set = {
            name: [pair for pair in pairs if pair[0].held_out_set == name] for name in QUESTION_SETS
        }
        differences[f"{later}-{earlier}"] = {
            name: _difference(members, seed) for name, members in by_set.items() if members
        }
    return differences


def _difference(pairs: Sequence[tuple[Result, Result]], seed: int) -> Difference:
    interval = paired_difference(
        [answer.accuracy for answer, _ in pairs],
        [reference.accuracy for _, reference in pairs],
        [answer.work for answer, _ in pairs],
        seed=seed,
    )
    return Difference(interval.mean, _bounds(interval))
