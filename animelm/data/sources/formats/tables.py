"""Tables in text files: values between commas or tabs, below a line with the columns' names."""

import csv
import io
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from animelm.data.sources.formats.asked import Row
from animelm.data.sources.formats.columns import Columns
from animelm.errors import UserError
from animelm.reading import read_utf8


def table_rows(path: Path, delimiter: str, columns: Columns) -> Iterator[Row]:
    """The rows of a table.

    Args:
        path: the file, UTF-8.
        delimiter: what stands between two values.
        columns: names the columns that must be there.

    Raises:
        UserError: not UTF-8, no such columns, two columns of one name, a value beyond the last
            column, or text in quotes that is not closed.
    """
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # the default refuses long answers
    reader = csv.reader(io.StringIO(read_utf8(path), newline=""), strict=True, delimiter=delimiter)
    names: list[str] | None = None
    last = 0
    try:
        for values in reader:
            where, last = f"{path}:{last + 1}", reader.line_num
            if not any(value.strip() for value in values):
                continue
            if names is None:
                names = _checked_names(values, where, columns)
                continue
            if beyond := [value for value in _beyond(names, values) if value.strip()]:
                raise UserError(
                    f"{where}: holds {beyond[0].strip()!r} beyond the {sum(map(bool, names))} "
                    "columns that the first line names; a text that holds the separator must stand "
                    'in double quotes ("…")'
                )
            cells = dict(zip(names, values + [""] * len(names), strict=False))
            yield Row(where, f"on line {where.rpartition(':')[2]}", cells)
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num}: not valid CSV: {error}") from error


def _checked_names(values: list[str], where: str, columns: Columns) -> list[str]:
    names = [value.strip() for value in values]
    doubled = [name for name, count in Counter(filter(None, names)).items() if count > 1]
    if doubled:
        raise UserError(f"{where}: two columns are named {doubled[0]!r}; rename one of them")
    try:
        columns.wanted(filter(None, names))
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    return names


def _beyond(names: list[str], values: list[str]) -> list[str]:
    """The values that no column's name stands above."""
    named = [bool(name) for name in names] + [False] * len(values)
    return [value for value, has_name in zip(values, named, strict=False) if not has_name]
