"""Tables in text files: values between commas or tabs, below a line with the columns' names."""

import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from animelm.data.sources.formats.asked import Row
from animelm.data.sources.formats.columns import Columns
from animelm.errors import UserError
from animelm.reading import read_utf8

_DELIMITERS = (",", ";", "\t")
_SEPARATOR = re.compile(r"\Asep=.\n", re.IGNORECASE)  # a hint that Excel writes


def table_rows(path: Path, delimiter: str, columns: Columns) -> Iterator[Row]:
    """The rows of a table.

    Spreadsheets write semicolons or tabs into .csv files as well: where the first line names the
    columns between these alone, they are taken. A first column without a name may hold the numbers
    of the rows, and a first line ``sep=…`` is left out.

    Args:
        path: the file, UTF-8.
        delimiter: what should stand between two values.
        columns: names the columns that must be there.

    Raises:
        UserError: not UTF-8, no such columns, two columns of one name, a value beyond the last
            column, or text in quotes that is not closed.
    """
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # the default refuses long answers
    text = _SEPARATOR.sub("\n", read_utf8(path), count=1)
    delimiter = _delimiter(text, delimiter, columns)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
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
            if not names[0] and values[0].strip().isdecimal():
                values[0] = ""
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


def _delimiter(text: str, expected: str, columns: Columns) -> str:
    """The separator between which the first line names the columns; the expected one if none."""
    first = next((line for line in text.split("\n") if line.strip()), "")
    for delimiter in dict.fromkeys((expected, *_DELIMITERS)):
        try:
            [names] = csv.reader([first], delimiter=delimiter)
            columns.wanted(filter(None, map(str.strip, names)))
        except (UserError, ValueError, csv.Error):
            continue
        return delimiter
    return expected


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
