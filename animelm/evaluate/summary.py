"""The summary of a comparison, as written to summary.json."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from animelm.data.held_out import QUESTION_SETS
from animelm.errors import UserError
from animelm.evaluate.bootstrap import Interval, bootstrap_interval, paired_difference
from animelm.evaluate.perplexity import Perplexity
from animelm.evaluate.results import Result
from animelm.files import write_whole

Bounds = tuple[float, float]


@dataclass(frozen=True)
class MeanScores:
    """Means over ``n`` questions, 0 to 1, None if n is 0; ``accuracy`` is the key accuracy."""

    n: int
    accuracy: float | None
    exact_match: float | None
    character_f1: float | None


@dataclass(frozen=True)
class SetScores(MeanScores):
    """The scores of one held-out set.

    Attributes:
        works: number of works that the questions are about.
        ci95: 95 % interval of ``accuracy``, bootstrapped by work; None with fewer than two works.
        directions: the means by direction.
    """

    works: int
    ci95: Bounds | None
    directions: dict[str, MeanScores]


@dataclass(frozen=True)
class ModelSummary:
    """One model: scores by held-out set, and perplexities (None if not measured)."""

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
        models: base, cpt, sft_only (SFT without CPT), sft (CPT, then SFT) and retrieval, in this
            order, without those that were not compared.
        differences: by pair of models ("sft-base": sft minus base) and held-out set.
        seconds: duration.
        trainable_parameters_per_target: number of parameters of the last adapter by target.
        seeds: seeds of the split and of the bootstrap.
    """

    models: dict[str, ModelSummary]
    differences: dict[str, dict[str, Difference]]
    seconds: float
    trainable_parameters_per_target: dict[str, int] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)

    def to_json(self) -> dict[str, Any]:
        """The object of summary.json, in which held-out sets are keys of their model."""
        values = asdict(self)
        for model in values["models"].values():
            model.update(model.pop("sets"))
        return values

    @staticmethod
    def from_json(values: dict[str, Any]) -> "Summary":
        """The comparison that ``to_json`` gave.

        Raises:
            AttributeError, KeyError, TypeError: it is not one.
        """
        models = {
            name: ModelSummary(
                {each: _read_scores(model[each]) for each in QUESTION_SETS},
                model["perplexity_anime"],
                model["perplexity_general"],
            )
            for name, model in values["models"].items()
        }
        differences = {
            pair: {
                name: Difference(each["accuracy"], _read_bounds(each["ci95"]))
                for name, each in sets.items()
            }
            for pair, sets in values["differences"].items()
        }
        return Summary(
            models,
            differences,
            values["seconds"],
            values["trainable_parameters_per_target"],
            tuple(values["seeds"]),
        )


def _read_scores(values: dict[str, Any]) -> SetScores:
    directions = {name: MeanScores(**each) for name, each in values["directions"].items()}
    return SetScores(**{**values, "ci95": _read_bounds(values["ci95"]), "directions": directions})


def _read_bounds(values: list[float] | None) -> Bounds | None:
    return None if values is None else (values[0], values[1])


def read_summary(path: Path) -> Summary:
    """Reads summary.json.

    Raises:
        UserError: it cannot be read, or is not the summary of a comparison.
    """
    try:
        return Summary.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not the summary of a comparison ({error!r})") from error


def pool_summaries(summaries: Sequence[Summary], results: Sequence[Result]) -> Summary:
    """One comparison out of several with other seeds.

    Scores and intervals are taken over the answers of all of them, and perplexities are means.

    Args:
        summaries: one per seed; all compare the same models.
        results: the answers of all seeds.
    """
    seeds = tuple(seed for summary in summaries for seed in summary.seeds)
    by_model = {
        name: [result for result in results if result.model == name] for name in summaries[0].models
    }
    models = {
        name: replace(
            summarize_model(rows, seeds[0], None, None),
            perplexity_anime=_mean([s.models[name].perplexity_anime for s in summaries]),
            perplexity_general=_mean([s.models[name].perplexity_general for s in summaries]),
        )
        for name, rows in by_model.items()
    }
    return Summary(
        models,
        paired_differences(by_model, seeds[0]),
        math.fsum(summary.seconds for summary in summaries),
        summaries[0].trainable_parameters_per_target,
        seeds,
    )


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean; None where one of the values is, which may have been infinite."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if len(known) == len(values) else None


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
    """Summarizes the results of one model by held-out set, and adds its perplexities."""
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
        works=len({result.work for result in results}),
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
