"""An inspected model as a table in the terminal; equal modules of all layers share a row."""

import re

from rich.console import Console
from rich.table import Table

from animelm.model.inspection import Inspection, ModuleRow
from animelm.report.audit import print_audit
from animelm.terminal import Terminal

_PIPE_WIDTH = 160


def print_inspection(inspection: Inspection, console: Console | None = None) -> None:
    """Prints the modules, then the trainable parameters of each LoRA target."""
    console = console or _console()
    table = Table(title=f"{inspection.parameters:,} parameters")
    for heading in ("module", "type"):
        # Cropped names that differ only at their ends would look the same.
        table.add_column(heading, overflow="fold")
    for heading in ("count", "in", "out", "bias", "bits"):
        table.add_column(heading, justify="right", no_wrap=True)
    for rows in _group_equal(inspection.modules):
        row = rows[0]
        figures = (
            f"{len(rows):,}",
            f"{row.in_features:,}",
            f"{row.out_features:,}",
            "yes" if row.bias else "no",
            str(row.bits),
        )
        table.add_row(_pattern(row), row.type, *figures)
    console.print(table)
    if inspection.audit:
        print_audit(inspection.audit, console)
    else:
        console.print("All parameters are trained.")


def _console() -> Console:
    """The terminal; a file or a pipe gets a fixed width, so that each row stays on one line."""
    console = Terminal()
    return console if console.is_terminal else Terminal(width=max(console.width, _PIPE_WIDTH))


def _group_equal(modules: tuple[ModuleRow, ...]) -> list[list[ModuleRow]]:
    groups: dict[tuple, list[ModuleRow]] = {}
    for row in modules:
        key = (_pattern(row), row.type, row.in_features, row.out_features, row.bias, row.bits)
        groups.setdefault(key, []).append(row)
    return list(groups.values())


def _pattern(row: ModuleRow) -> str:
    return re.sub(r"\.\d+(?=\.|$)", ".*", row.name)
