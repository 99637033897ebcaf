"""The summary of a comparison, as written to summary.json."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from animelm.data.held_out import QUESTION_SETS
from animelm.errors import UserError
from animelm.evaluate.bootstrap import (
    Interval,
    bootstrap_interval,
    paired_difference,
    sign_flip_test,
)
from animelm.evaluate.comparison.control import control_accuracy
from animelm.evaluate.comparison.likelihood import calibration_error
from animelm.evaluate.comparison.models import RETRIEVAL
from animelm.evaluate.comparison.outcomes import Change, by_set, changes, count_outcomes
from animelm.evaluate.results import Result
from animelm.files import write_whole
from animelm.reading import read_json

Bounds = tuple[float, float]


@dataclass(frozen=True)
class MeanScores:
    """Means over ``n`` answers, 0 to 1, None if n is 0.

    ``accuracy`` is the stricter key accuracy, or what the field scores a standard set by.
    ``loose_accuracy`` is the looser one, which counts more spellings as equal; None in older files.
    ``key_probability`` is that of the right key among its rivals; None if it was not measured.
    """

    n: int
    accuracy: float | None
    exact_match: float | None
    character_f1: float | None
    key_probability: float | None = field(default=None, kw_only=True)
    loose_accuracy: float | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class SetScores(MeanScores):
    """The scores of one held-out set.

    Attributes:
        works: number of works that the questions are about.
        ci95: 95 % interval of ``accuracy``, bootstrapped by work; None with fewer than two works.
        directions: the means by direction.
        spread: standard deviation of ``accuracy`` over seeds and adapters; None with one.
        calibration_error: how far the model's confidence in keys is from its accuracy; None if it
            was not measured.
        control_accuracy: accuracy of the answer that is most often right, given to every question,
            or of choosing by chance; None in older files.
    """

    works: int
    ci95: Bounds | None
    directions: dict[str, MeanScores]
    spread: float | None = None
    calibration_error: float | None = None
    control_accuracy: float | None = None


@dataclass(frozen=True)
class ModelSummary:
    """One model: scores by held-out set, and perplexities (None if not measured).

    ``retrieval`` says whether the right article stood in its prompts.
    """

    sets: dict[str, SetScores]
    perplexity_anime: float | None = None
    perplexity_general: float | None = None
    retrieval: bool = False


@dataclass(frozen=True)
class Difference:
    """How two models differ on the same questions.

    Attributes:
        accuracy: mean difference in accuracy.
        ci95: its paired 95 % interval by work; None with fewer than two works.
        p_value: of the sign-flip test by work; None in older files.
        outcomes: number of questions gained, kept, lost and never known; empty in older files.
    """

    accuracy: float
    ci95: Bounds | None
    p_value: float | None = None
    outcomes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Summary:
    """A comparison.

    Attributes:
        models: by name, in the order of the comparison: base, cpt, sft_only (SFT without CPT), sft
            (CPT, then SFT) and retrieval, without those that were not compared; or the names that
            the user gave.
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

    def pairs(self) -> dict[str, tuple[str, str]]:
        """The later and the earlier model of each difference, by its name."""
        return {
            name: (later, earlier)
            for earlier, later in combinations(self.models, 2)
            if (name := f"{later}-{earlier}") in self.differences
        }

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
                {
                    each: _read_scores(scores)
                    for each, scores in _in_order(model).items()
                    if isinstance(scores, dict)
                },
                model["perplexity_anime"],
                model["perplexity_general"],
                model.get("retrieval", name == RETRIEVAL),
            )
            for name, model in values["models"].items()
        }
        differences = {
            pair: {
                name: Difference(**{**each, "ci95": _read_bounds(each["ci95"])})
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


def _in_order(model: dict[str, Any]) -> dict[str, Any]:
    """The values of a model, the four held-out sets first.

    Raises:
        KeyError: one of the four is missing.
    """
    return {**{name: model[name] for name in QUESTION_SETS}, **model}


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
        summary = Summary.from_json(read_json(path))
        if not summary.models or not _is_plain(summary):
            raise ValueError("no models, or values of other types")
        return summary
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not the summary of a comparison ({error!r:.200})") from error


def _is_plain(summary: Summary) -> bool:
    """Whether a summary that was read has numbers where they are expected."""
    has_seeds = bool(summary.seeds) and all(type(seed) is int for seed in summary.seeds)
    return has_seeds and summary.seconds is not None and _holds_numbers(asdict(summary))


def _holds_numbers(value: object) -> bool:
    """Whether a value is a finite number, none, or a collection of such."""
    if isinstance(value, dict):
        return all(map(_holds_numbers, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_holds_numbers, value))
    return value is None or (isinstance(value, int | float) and math.isfinite(value))


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
            retrieval=summaries[0].models[name].retrieval,
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
    results: Sequence[Result], seed: int, anime: float | None, general: float | None
) -> ModelSummary:
    """Summarizes the results of one model by set, and adds its perplexities.

    The four held-out sets come first, also where nothing of them was asked.
    """
    members: dict[str, list[Result]] = {name: [] for name in QUESTION_SETS}
    for result in results:
        members.setdefault(result.held_out_set, []).append(result)
    sets = {name: _set_scores(rows, seed) for name, rows in members.items()}
    return ModelSummary(sets, _finite(anime), _finite(general))


def _finite(value: float | None) -> float | None:
    # JSON has no infinity.
    return value if value is not None and math.isfinite(value) else None


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
        spread=_spread(results),
        calibration_error=calibration_error(results),
        control_accuracy=control_accuracy(results),
    )


def _spread(results: Sequence[Result]) -> float | None:
    """Standard deviation of the accuracy over seeds and adapters."""
    runs: dict[tuple[int, int], list[float]] = {}
    for result in results:
        runs.setdefault((result.seed, result.run), []).append(result.accuracy)
    return stdev(map(fmean, runs.values())) if len(runs) > 1 else None


def _means(results: Sequence[Result]) -> MeanScores:
    def mean(score: str) -> float | None:
        values = [value for r in results if (value := getattr(r, score)) is not None]
        return fmean(values) if values else None

    return MeanScores(
        len(results),
        mean("accuracy"),
        mean("exact_match"),
        mean("character_f1"),
        key_probability=mean("key_probability"),
        loose_accuracy=mean("loose_accuracy"),
    )


def _bounds(interval: Interval | None) -> Bounds | None:
    return None if interval is None or math.isnan(interval.low) else (interval.low, interval.high)


def paired_differences(
    results: dict[str, list[Result]], seed: int
) -> dict[str, dict[str, Difference]]:
    """Every later model minus every earlier one, on the questions of each set.

    Raises:
        ValueError: two models did not answer the same questions.
    """
    return {
        f"{later}-{earlier}": {
            name: _difference(members, seed) for name, members in by_set(found).items()
        }
        for (earlier, references), (later, answers) in combinations(results.items(), 2)
        for found in [changes(references, answers)]
    }


def _difference(found: Sequence[Change], seed: int) -> Difference:
    differences = [change.difference for change in found]
    works = [change.question.work for change in found]
    interval = paired_difference(differences, [0.0] * len(found), works, seed=seed)
    return Difference(
        interval.mean,
        _bounds(interval),
        sign_flip_test(differences, works, seed=seed),
        {str(name): count for name, count in count_outcomes(found).items()},
    )
