"""A comparison as tables for the terminal."""

from rich.console import Group
from rich.table import Table
from rich.text import Text

from animelm.data.held_out import (
    ONLY_READ,
    QUESTION_SETS,
    REHEARSED,
    TRAINED,
    UNREHEARSED,
    UNSEEN_FACT,
    UNSEEN_WORDING,
)
from animelm.evaluate.comparison.outcomes import OUTCOMES
from animelm.evaluate.summary import (
    Bounds,
    MeanScores,
    SetScores,
    Summary,
)
from animelm.report.page.findings import (
    asked_sets,
    few_works,
    questions_in,
    smallest_p,
    unit_of,
)

_NOTHING = "–"
_TITLES = {
    TRAINED: "anime,\ntrained",
    UNSEEN_WORDING: "anime,\nunseen wordings",
    ONLY_READ: "anime,\nonly read",
    UNSEEN_FACT: "anime,\nunseen facts",
    REHEARSED: "general,\nrehearsed",
    UNREHEARSED: "general, not\nrehearsed",
}
_CONTROL = "control"

MODEL_TITLES = {
    TRAINED: "anime,\ntrained",
    "base": "base",
    "cpt": "CPT",
    "sft_only": "SFT without CPT",
    "sft": "CPT + SFT",
    "retrieval": "retrieval",
}


def summary_tables(summary: Summary) -> Group:
    """What ``compare`` prints: scores, perplexities, directions, differences, and findings."""
    own = other_sets(summary)
    held_out = [
        comparison_table(summary),
        perplexity_table(summary),
        direction_table(summary),
        difference_table(summary),
    ]
    asked = not own or any(
        model.sets[name].n for model in summary.models.values() for name in QUESTION_SETS
    )
    return Group(
        *(held_out if asked else []),
        *([own_set_table(summary, own)] if own else []),
        *([outcome_table(summary)] if summary.differences else []),
        *findings(summary),
    )


def other_sets(summary: Summary) -> list[str]:
    """The sets of a comparison that are not the project's own."""
    names = [name for model in summary.models.values() for name in model.sets]
    return [name for name in dict.fromkeys(names) if name not in _TITLES]


def _own_sets(summary: Summary) -> list[str]:
    """The project's own sets: the four held-out ones, and others that were asked about."""
    asked = asked_sets(summary)
    return [name for name in _TITLES if name in QUESTION_SETS or name in asked]


def own_set_table(summary: Summary, sets: list[str]) -> Table:
    """Accuracy with 95 % interval, and F1, of each model on the sets that the user named."""
    table = Table(title="Other sets: accuracy [95 % interval, by work] / character F1")
    table.add_column("set")
    for name in summary.models:
        table.add_column(_title(name), justify="right")
    table.add_column(_CONTROL, justify="right")
    for name in sets:
        scores = [model.sets[name] for model in summary.models.values()]
        cells = [f"{_with_bounds(each)}\nF1 {_number(each.character_f1, 3)}" for each in scores]
        control = _number(scores[0].control_accuracy, 3)
        table.add_row(f"{name}\nn = {questions_in(summary, name)}", *cells, control)
    return table


def outcome_table(summary: Summary) -> Table:
    """What each model gained, kept, lost and never knew against each earlier one."""
    table = Table(title="Questions by what became of them")
    for heading in ("models", "set"):
        table.add_column(heading)
    for outcome in OUTCOMES:
        table.add_column(outcome.replace("_", " "), justify="right")
    table.add_column("p", justify="right")
    for pair, title in _pairs(summary).items():
        sets = summary.differences[pair]
        for row, (name, difference) in enumerate(sets.items()):
            counts = difference.outcomes
            table.add_row(
                title if row == 0 else "",
                _TITLES.get(name, name).replace("\n", " "),
                *(str(counts[each]) if counts else _NOTHING for each in OUTCOMES),
                _number(difference.p_value, 3),
            )
        table.add_section()
    return table


def comparison_table(summary: Summary) -> Table:
    """Accuracy with 95 % interval by model and held-out set, and that of the control."""
    seeds = ", ".join(map(str, summary.seeds))
    own = _own_sets(summary)
    table = Table(
        padding=_padding(own),
        title="Accuracy [95 % interval, by work]",
        caption=f"{summary.seconds:.0f} s, seed {seeds}; looser: other spellings count as equal",
    )
    table.add_column("model", overflow="fold")
    first = next(iter(summary.models.values()), None)
    for name in own:
        count, works = (questions_in(summary, name), first.sets[name].works) if first else (0, 0)
        named = counted(works, unit_of(name))
        table.add_column(f"{_TITLES[name]}\nn = {count}\n{named}", justify="right")
    for name, model in summary.models.items():
        table.add_row(_title(name), *(_with_bounds(model.sets[each]) for each in own))
    if first and any(each.control_accuracy is not None for each in first.sets.values()):
        table.add_section()
        controls = (first.sets[name].control_accuracy for name in own)
        table.add_row(_CONTROL, *(_number(each, 3) for each in controls))
    return table


def perplexity_table(summary: Summary) -> Table:
    """Perplexity on held-out articles by model."""
    table = Table(title="Perplexity on held-out articles")
    for heading in ("model", "anime", "general"):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    for name, model in summary.models.items():
        figures = (model.perplexity_anime, model.perplexity_general)
        table.add_row(_title(name), *(_number(figure, 2) for figure in figures))
    return table


def findings(summary: Summary) -> list[Text]:
    """What a reader must not miss: losses whose 95 % interval does not include 0, and few works."""
    losses = (
        ("sft", "cpt", ONLY_READ, "Fine-tuning lost what CPT had read"),
        ("cpt", "base", UNREHEARSED, "CPT lost general knowledge that nothing rehearsed"),
        ("sft", "base", UNREHEARSED, "CPT + SFT lost general knowledge that nothing rehearsed"),
    )
    found = []
    for later, earlier, name, words in losses:
        difference = summary.differences.get(f"{later}-{earlier}", {}).get(name)
        if difference and difference.ci95 and difference.ci95[1] < 0:
            figures = f"{difference.accuracy:+.3f} {_signed(difference.ci95)}"
            set_name = _TITLES[name].replace("\n", " ")
            found.append(Text(f'{words}: {figures} on "{set_name}".'))
    for name, works in few_works(summary).items():
        set_name = _TITLES.get(name, name).replace("\n", " ")
        found.append(
            Text(
                f'"{set_name}" rests on {counted(works, unit_of(name))}: its intervals are '
                f"unreliable, and no p-value can be below {smallest_p(works):.3g}."
            )
        )
    return found


def counted(number: int, plural: str) -> str:
    """A number with what it counts; ``plural`` ends in s."""
    return f"{number:,} {plural.removesuffix('s') if number == 1 else plural}"


def _padding(sets: list[str]) -> tuple[int, int]:
    """Space in the cells: none where more than four sets would be cut off at 80 characters."""
    return (0, 1) if len(sets) <= 4 else (0, 0)


def _title(model: str) -> str:
    return MODEL_TITLES.get(model, model)


def direction_table(summary: Summary) -> Table:
    """Scores by direction, since training on A→B does not teach B→A (arXiv 2309.12288)."""
    own = _own_sets(summary)
    between = " / " if _padding(own)[1] else "\n"
    title = "By direction: accuracy / exact match / character F1"
    table = Table(title=title, padding=_padding(own))
    table.add_column("model", overflow="fold")
    table.add_column("direction")
    for name in own:
        table.add_column(_TITLES[name], justify="right")
    for name, model in summary.models.items():
        found = {direction for scores in model.sets.values() for direction in scores.directions}
        for row, direction in enumerate(sorted(found)):
            cells = [
                _three(model.sets[held_out].directions.get(direction), between) for held_out in own
            ]
            table.add_row(_title(name) if row == 0 else "", direction, *cells)
        table.add_section()
    return table


def difference_table(summary: Summary) -> Table:
    """Differences in accuracy on the same questions, with paired 95 % intervals."""
    own = _own_sets(summary)
    title = "Differences in accuracy [95 % interval, paired, by work]"
    table = Table(title=title, padding=_padding(own))
    table.add_column("models", overflow="fold")
    for name in own:
        table.add_column(_TITLES[name], justify="right")
    for pair, title in _pairs(summary).items():
        sets = summary.differences[pair]
        cells = []
        for name in own:
            difference = sets.get(name)
            cells.append(
                _NOTHING
                if difference is None
                else f"{difference.accuracy:+.3f}\n{_signed(difference.ci95)}"
            )
        table.add_row(title, *cells)
    return table


def _pairs(summary: Summary) -> dict[str, str]:
    """The title of each difference by its name."""
    return {name: " − ".join(map(_title, models)) for name, models in summary.pairs().items()}


def _with_bounds(scores: SetScores) -> str:
    bounds = _NOTHING if scores.ci95 is None else f"{scores.ci95[0]:.3f}–{scores.ci95[1]:.3f}"
    looser = scores.loose_accuracy
    below = "" if looser is None else f"\nlooser {_number(looser, 3)}"
    return f"{_number(scores.accuracy, 3)}\n{bounds}{below}"


def _three(means: MeanScores | None, between: str) -> str:
    if means is None:
        return _NOTHING
    return between.join(
        _number(v, 2) for v in (means.accuracy, means.exact_match, means.character_f1)
    )


def _signed(bounds: Bounds | None) -> str:
    return _NOTHING if bounds is None else f"[{bounds[0]:+.3f}, {bounds[1]:+.3f}]"


def _number(value: float | None, digits: int) -> str:
    return _NOTHING if value is None else f"{value:.{digits}f}"
