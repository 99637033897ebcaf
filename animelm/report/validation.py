"""Prints the results of a validation on the held-out sets as tables."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from animelm.terminal import Terminal

_SCORES = {
    "questions": "questions",
    "accuracy": "accuracy",
    "loose_accuracy": "looser",
    "exact_match": "exact\nmatch",
    "character_f1": "character\nF1",
}


def print_validation(figures: Mapping[str, float], console: Console | None = None) -> None:
    """Prints scores by held-out set and direction, and the perplexity of held-out articles.

    Args:
        figures: by their names in the log: ``accuracy/<set>``, ``validation/<set>/<score>`` and
            ``validation_directions/<set>_<direction>/<score>``. Other names are ignored.
        console: where to print; None prints to the terminal.
    """
    console = console or Terminal()
    rows = _rows(figures)
    answered = {name: row for name, row in rows.items() if "questions" in row}
    if answered:
        table = Table("held-out set", *_SCORES.values(), title="Answers")
        for name, row in answered.items():
            table.add_row(name, f"{row['questions']:,.0f}", *_shares(row))
        console.print(table)
    measured = {name: row for name, row in rows.items() if "perplexity" in row}
    if measured:
        table = Table("held-out set", "loss", "perplexity", title="Articles")
        for name, row in measured.items():
            table.add_row(name, f"{row['loss']:.3f}", f"{row['perplexity']:,.2f}")
        console.print(table)


def _rows(figures: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """The figures of each set, followed by those of its directions."""
    rows: dict[str, dict[str, float]] = {}
    for name, value in figures.items():
        kind, _, rest = name.partition("/")
        held_out_set, _, score = rest.rpartition("/")
        if kind == "accuracy":
            held_out_set, score = rest, kind
        elif kind == "validation_directions":
            # Its last word is the direction; a set's own name may hold underscores.
            held_out_set = ", ".join(held_out_set.rsplit("_", 1))
        elif kind != "validation":
            continue
        rows.setdefault(held_out_set, {})[score] = float(value)
    return dict(sorted(rows.items()))


def _shares(row: Mapping[str, float]) -> list[str]:
    return [f"{row[score]:.3f}" for score in list(_SCORES)[1:]]
