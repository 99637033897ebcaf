"""Router statistics in a CSV file."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from animelm.errors import UserError
from animelm.files import whole_file
from animelm.train.callbacks.router.window import RouterSummary

COLUMNS = (
    "step",
    "layer",
    "expert",
    "share",
    "tokens",
    "entropy",
    "chosen_mass",
    "imbalance",
    "dead_experts",
)


class RouterTable:
    """A CSV file with one row per step, layer and expert.

    A layer's own values are repeated in each of its rows.

    Args:
        path: the file; its folder is made when the first row is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def start(self, step: int) -> None:
        """Prepares the file for rows after ``step``.

        Rows of later steps were written by a run that was stopped after its last checkpoint and is
        now resumed. They are removed, as is a truncated last row. A new run (step 0) starts an
        empty table.

        Raises:
            UserError: the file holds another table.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = list(self._rows_until(step)) if self.path.exists() else []
        with (
            whole_file(self.path) as partial,
            partial.open("w", encoding="utf-8", newline="") as file,
        ):
            csv.writer(file).writerows([COLUMNS, *kept])

    def append(self, step: int, layers: Iterable[int], summary: RouterSummary) -> None:
        """Writes the rows of one window, which ended at optimizer step ``step``."""
        statistics = list(summary.per_layer().values())
        with self.path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            for row, layer in enumerate(layers):
                values = [f"{values[row].item():.6g}" for values in statistics]
                for expert, share in enumerate(summary.shares[row].tolist()):
                    writer.writerow([step, layer, expert, f"{share:.6g}", summary.tokens, *values])

    def _rows_until(self, step: int) -> Iterator[list[str]]:
        with self.path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            header = next(rows, list(COLUMNS))
            if header != list(COLUMNS):
                raise UserError(
                    f"{self.path}: line 1 is {','.join(header)!r}, expected the columns"
                    f" {','.join(COLUMNS)!r}; move the file away or choose another folder"
                )
            for row in rows:
                if len(row) == len(COLUMNS) and row[0].isdecimal() and int(row[0]) <= step:
                    yield row
