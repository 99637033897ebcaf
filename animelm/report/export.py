"""The check of an export as a table for the terminal."""

from rich.table import Table

from animelm.export.check import CheckResult


def check_table(result: CheckResult) -> Table:
    """Base, adapter and export side by side."""
    table = Table(title=f"{result.questions} questions, asked here and with {result.tool}")
    for name in ("", "base", "adapter", "export"):
        table.add_column(name, justify="left" if not name else "right")
    accuracies = (result.accuracy_base, result.accuracy_adapter, result.accuracy_export)
    table.add_row("key accuracy", *(f"{value:.3f}" for value in accuracies))
    table.add_row("same answers as the adapter", "", "", f"{result.same_answers:.3f}")
    difference = f"{result.largest_logit_difference:.2g}"
    table.add_row("largest difference of a logit", "", "", difference)
    for name, share in (
        ("share of the gain in key accuracy", result.gain_kept),
        ("share of the gain in loss", result.loss_gain_kept),
    ):
        table.add_row(name, "", "", "–" if share is None else f"{share:.3f}")
    return table
