"""The trainable parameters of each LoRA target as a table in the terminal."""

from rich.console import Console
from rich.table import Table

from animelm.model.lora.targets import TargetAudit
from animelm.terminal import Terminal


def print_audit(audit: TargetAudit, console: Console | None = None) -> None:
    """Prints what each requested LoRA target resolves to, and how many parameters it trains."""
    table = Table(title="LoRA targets")
    table.add_column("requested")
    table.add_column("resolved to")
    table.add_column("linear layers", justify="right")
    table.add_column("trainable parameters", justify="right")
    for row in audit.rows:
        note = f"{row.resolved} (fused)" if len(row.requested) > 1 else row.resolved
        table.add_row(
            ", ".join(row.requested), note, f"{row.modules:,}", f"{row.trainable_parameters:,}"
        )
    table.add_section()
    table.add_row("total", "", f"{sum(row.modules for row in audit.rows):,}", f"{audit.total:,}")
    (console or Terminal()).print(table)
