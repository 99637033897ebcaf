"""The check of an export as a table for the terminal."""

from rich.table import Table

from animelm.export.check import CheckResult

_NOTHING = "–"


def check_table(result: CheckResult) -> Table:
    """Base, adapter and export side by side."""
    table = Table(title=f"{result.questions} questions, asked here and with {result.tool}")
    for name in ("", "base", "adapter", "export"):
        table.add_column(name, justify="left" if not name else "right")
    accuracies = (result.accuracy_base, result.accuracy_adapter, result.accuracy_export)
    table.add_row("key accuracy", *map(_share, accuracies))
    difference = result.largest_logit_difference
    for name, text in (
        ("same answers as the adapter", _share(result.same_answers)),
        ("largest difference of a logit", _NOTHING if difference is None else f"{difference:.2g}"),
        ("share of the gain in key accuracy", _share(result.gain_kept)),
        ("share of the gain in loss", _share(result.loss_gain_kept)),
    ):
        table.add_row(name, "", "", text)
    return table


def _share(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.3f}"
