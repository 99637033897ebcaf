"""The report's first sentences: what was learned and lost, with intervals."""

from typing import Literal

from animelm.data.held_out import (
    DOMAIN_SETS,
    ONLY_READ,
    REHEARSED,
    TRAINED,
    UNREHEARSED,
    UNSEEN_WORDING,
)
from animelm.evaluate.summary import Difference, SetScores, Summary
from animelm.report.page.exhibit import bounds, percent, signed_bounds, signed_points
from animelm.report.page.texts import Texts


def before_and_after_models(summary: Summary) -> tuple[str, str] | None:
    """The first model and the last trained one; None with fewer than two."""
    names = [name for name, model in summary.models.items() if not model.retrieval]
    return (names[0], names[-1]) if len(names) > 1 else None


def asked_sets(summary: Summary) -> list[str]:
    """The sets that some model was asked about, what was trained first, in their order."""
    names = dict.fromkeys(name for model in summary.models.values() for name in model.sets)
    asked = [
        name
        for name in names
        if any(name in model.sets and model.sets[name].n for model in summary.models.values())
    ]
    return sorted(asked, key=lambda name: name != TRAINED)


def learned_and_lost_sets(summary: Summary) -> tuple[str | None, str | None]:
    """The set that shows best what was learned, and the one that shows what was lost.

    Works that were only read, and subjects that nothing rehearsed, where they were asked about.
    Without the held-out sets, the sets with the largest gain and with the largest loss.
    """
    asked = asked_sets(summary)
    learned = next((name for name in (ONLY_READ, UNSEEN_WORDING) if name in asked), None)
    lost = next((name for name in (UNREHEARSED, REHEARSED) if name in asked), None)
    pair = before_and_after_models(summary)
    if pair and learned is None and lost is None:
        differences = summary.differences.get(f"{pair[1]}-{pair[0]}", {})
        order = sorted(differences, key=lambda name: differences[name].accuracy)
        return (order[-1], order[0] if len(order) > 1 else None) if order else (None, None)
    return learned, lost


FEW_WORKS = 8
"""Below so many works, intervals hold the true mean less often than they say."""


def few_works(summary: Summary) -> dict[str, int]:
    """The number of works of each set that was asked about too few of them."""
    scores = {name: _any_scores(summary, name) for name in asked_sets(summary)}
    return {name: each.works for name, each in scores.items() if each.works < FEW_WORKS}


def _any_scores(summary: Summary, name: str) -> SetScores:
    return next(model.sets[name] for model in summary.models.values() if name in model.sets)


def questions_in(summary: Summary, name: str) -> int:
    """The number of questions of a set; several adapters of a model answer each of them."""
    return min(model.sets[name].n for model in summary.models.values() if name in model.sets)


def smallest_p(works: int) -> float:
    """The smallest p-value that a sign-flip test by work can give, 2^(1 - works)."""
    return 2.0 ** (1 - works)


def unit_of(name: str) -> Literal["works", "subjects"]:
    """What the questions of a set are about."""
    return "works" if name in (TRAINED, *DOMAIN_SETS) else "subjects"


def cautions(summary: Summary | None, texts: Texts) -> list[str]:
    """One sentence on the sets whose figures rest on few works, if there are any."""
    sets = [
        texts(
            "headline.few_works_set",
            set=texts.name("sets", name),
            works=texts.count(unit_of(name), works),
            p=f"{smallest_p(works):.3g}",
        )
        for name, works in (few_works(summary) if summary else {}).items()
    ]
    if not sets:
        return []
    separator = "、" if texts("lang") == "ja" else ", "
    return [texts("headline.few_works", sets=separator.join(sets))]


def findings(summary: Summary | None, texts: Texts) -> list[str]:
    """One sentence on what was learned, and one on what was lost."""
    if summary is None:
        return [texts("headline.no_comparison")]
    pair = before_and_after_models(summary)
    if pair is None:
        name = next(iter(summary.models), "")
        return [texts("headline.one_model", model=texts.name("models", name))]
    before, after = pair
    differences = summary.differences.get(f"{after}-{before}", {})
    kinds = zip(("learned", "lost"), learned_and_lost_sets(summary), strict=True)
    return [
        _sentence(kind, name, summary, differences[name], pair, texts)
        for kind, name in kinds
        if name is not None and name in differences
    ]


def _sentence(
    kind: str,
    name: str,
    summary: Summary,
    difference: Difference,
    models: tuple[str, str],
    texts: Texts,
) -> str:
    scores = summary.models[models[1]].sets[name]
    change, interval = difference.accuracy, difference.ci95
    values: dict[str, object] = {
        "model": texts.name("models", models[1]),
        "base": texts.name("models", models[0]),
        "set": texts.name("sets", name),
        "questions": texts.count("questions", questions_in(summary, name)),
        "works": texts.count(unit_of(name), scores.works),
        "after": percent(scores.accuracy),
    }
    if interval is None or interval[0] <= 0 <= interval[1]:
        signed = {"signed": signed_points(change), "interval": signed_bounds(interval)}
        return texts(f"headline.{kind}_same", **values, **signed)
    # A loss is told as a positive number of points, and so is its interval.
    reach = interval if change > 0 else (-interval[1], -interval[0])
    values |= {"points": f"{100 * abs(change):.1f}", "interval": bounds(reach)}
    return texts(f"headline.{kind}_{'up' if change > 0 else 'down'}", **values)
