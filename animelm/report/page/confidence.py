"""The report's exhibits on how likely a model finds the right key, and how well it knows it."""

from collections.abc import Sequence

from animelm.evaluate.comparison.likelihood import reliability
from animelm.evaluate.results import Result
from animelm.evaluate.summary import Summary
from animelm.report.page.drawing.calibration import calibration_curves
from animelm.report.page.exhibit import Exhibit, PageTable, number, percent
from animelm.report.page.findings import asked_sets
from animelm.report.page.texts import Texts

_MEASURED = ("key_probability", "calibration_error")


def confidence_exhibits(summary: Summary, results: Sequence[Result], texts: Texts) -> list[Exhibit]:
    """The likelihood of the right key by model and set, and calibration; none where unmeasured."""
    head = [texts("main_table.model"), texts("tables.outcomes.set")]
    head += [texts(f"tables.likelihood.{name}") for name in _MEASURED]
    rows = [
        [
            texts.name("models", model),
            texts.name("sets", name),
            *(number(getattr(scores, each), 3) for each in _MEASURED),
        ]
        for model, figures in summary.models.items()
        for name in asked_sets(summary)
        if (scores := figures.sets.get(name)) and scores.key_probability is not None
    ]
    if not rows:
        return []
    title, note = texts("tables.likelihood.title"), texts("tables.likelihood.note")
    likelihood = Exhibit("likelihood", title, note, PageTable(head, rows))
    return [likelihood, *_calibration(summary, results, texts)]


def _calibration(summary: Summary, results: Sequence[Result], texts: Texts) -> list[Exhibit]:
    bins = {
        texts.name("models", model): reliability(r for r in results if r.model == model)
        for model in summary.models
    }
    if not any(bins.values()):
        return []
    axes = (texts("pictures.calibration.x"), texts("pictures.calibration.y"))
    head = [texts("main_table.model"), *axes, texts("pictures.calibration.n")]
    rows = [
        [title, percent(sure), percent(right), f"{count:,}"]
        for title, found in bins.items()
        for sure, right, count in found
    ]
    figure = calibration_curves(bins, axes, texts("pictures.calibration.ideal"))
    title, note = texts("pictures.calibration.title"), texts("pictures.calibration.note")
    return [Exhibit("calibration", title, note, PageTable(head, rows), figure)]
