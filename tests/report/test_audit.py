import io

from rich.console import Console

from animelm.model.lora.targets import TargetAudit, TargetRow
from animelm.report.audit import print_audit

AUDIT = TargetAudit(
    (
        TargetRow(("q_proj",), "q_proj", 24, 1_234_567),
        TargetRow(("gate_proj", "up_proj"), "gate_up_projs", 768, 2_000_000),
    )
)


def printed(audit: TargetAudit) -> list[list[str]]:
    """The table's rows, cell by cell."""
    console = Console(file=io.StringIO(), width=120)
    print_audit(audit, console)
    lines = console.file.getvalue().splitlines()
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]


def test_each_request_stands_beside_what_it_reached_and_trains() -> None:
    rows = printed(AUDIT)
    assert rows[0] == ["q_proj", "q_proj", "24", "1,234,567"]
    assert rows[1] == ["gate_proj, up_proj", "gate_up_projs (fused)", "768", "2,000,000"]


def test_the_last_row_sums_up() -> None:
    assert printed(AUDIT)[-1] == ["total", "", "792", "3,234,567"]
