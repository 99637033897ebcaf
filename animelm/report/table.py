"""A comparison as tables for the terminal."""

from rich.console import Group
from rich.table import Table

from animelm.data.held_out import GENERAL, ONLY_READ, QUESTION_SETS, UNSEEN_WORDING
from animelm.evaluate.summary import (
    Bounds,
    MeanScores,
    ModelSummary,
    SetScores,
    Summary,
)

_NOTHING = "–"
_TITLES = {
    UNSEEN_WORDING: "anime,\nunseen wordings",
    ONLY_READ: "anime,\nonly read",
    GENERAL: "general,\nunseen wordings",
}


def summary_tables(summary: Summary) -> Group:
    """What ``compare`` prints: the comparison, each direction, and the models' differences."""
    return Group(comparison_table(summary), direction_table(summary), difference_table(summary))


def comparison_table(summary: Summary) -> Table:
    """Key accuracy with its 95 % interval per model and held-out set, and the perplexities."""
    table = Table(
        title="Key accuracy [95 % interval by work], and perplexity on held-out articles",
        caption=f"{summary.seconds:.0f} s, seed {summary.seed}",
    )
    table.add_column("model")
    first = next(iter(summary.models.values()), None)
    for name in QUESTION_SETS:
        count = first.sets[name].n if first else 0
        table.add_column(f"{_TITLES[name]}\nn = {count}", justify="right")
    table.add_column("perplexity,\nanime", justify="right")
    table.add_column("perplexity,\ngeneral", justify="right")
    for name, model in summary.models.items():
        table.add_row(name, *_cells(model))
    return table


def _cells(model: ModelSummary) -> list[str]:
    scores = [_with_bounds(model.sets[name]) for name in QUESTION_SETS]
    return [*scores, _number(model.perplexity_anime, 2), _number(model.perplexity_general, 2)]


def direction_table(summary: Summary) -> Table:
    """Scores of each direction, since learning A→B does not teach B→A (arXiv 2309.12288)."""
    table = Table(title="By direction: key accuracy / exact match / character F1")
    table.add_column("model")
    table.add_column("direction")
    for name in QUESTION_SETS:
        table.add_column(_TITLES[name], justify="right")
    for name, model in summary.models.items():
        found = {direction for scores in model.sets.values() for direction in scores.directions}
        for row, direction in enumerate(sorted(found)):
            cells = [
                _three(model.sets[held_out].directions.get(direction)) for held_out in QUESTION_SETS
            ]
            table.add_row(name if row == 0 else "", direction, *cells)
        table.add_section()
    return table


def difference_table(summary: Summary) -> Table:
    """Differences in key accuracy on the same questions, with paired 95 % intervals."""
    table = Table(title="Differences in key accuracy [95 % interval, paired, by work]")
    table.add_column("models")
    for name in QUESTION_SETS:
        table.add_column(_TITLES[name], justify="right")
    for pair, sets in summary.differences.items():
        cells = []
        for name in QUESTION_SETS:
            difference = sets.get(name)
            cells.append(
                _NOTHING
                if difference is None
                else f"{difference.accuracy:+.3f}\n{_signed(difference.ci95)}"
            )
        table.add_row(pair.replace("-", " − "), *cells)
    return table


def _with_bounds(scores: SetScores) -> str:
    bounds = _NOTHING if scores.ci95 is None else f"{scores.ci95[0]:.3f}–{scores.ci95[1]:.3f}"
    return f"{_number(scores.accuracy, 3)}\n{bounds}"


def _three(means: MeanScores | None) -> str:
    if means is None:
        return _NOTHING
    return " / ".join(
        _number(v, 2) for v in (means.accuracy, means.exact_match, means.character_f1)
    )


def _signed(bounds: Bounds | None) -> str:
    return _NOTHING if bounds is None else f"[{bounds[0]:+.3f}, {bounds[1]:+.3f}]"


def _number(value: float | None, digits: int) -> str:
    return _NOTHING if value is None else f"{value:.{digits}f}"
