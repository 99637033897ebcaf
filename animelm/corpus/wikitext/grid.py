"""Expands cells with row and column spans, and writes Markdown tables."""

from collections.abc import Sequence
from dataclasses import dataclass

# Spans repeat text. Beyond this factor they are a mistake or an attack, and are not expanded.
_REPETITION = 20
_ALWAYS_AFFORDED = 50_000
LONGEST_LABEL = 40
"""In characters; a longer cell is running text, and across a whole row a note."""
_WIDEST = 1_000  # HTML's limit for colspan


@dataclass(frozen=True)
class Cell:
    """One cell, its text on one line, that spans ``rows`` × ``columns`` places of the grid."""

    text: str
    rows: int = 1
    columns: int = 1


def unfold(rows: Sequence[Sequence[Cell]]) -> list[list[str]]:
    """The texts of a table row by row, with a cell's text in every place that it spans.

    Columns in which no cell begins, and rows and columns without text are left out. Spans end at
    the last row. A note across the whole table is written once. If spans would repeat far too much
    text, they are ignored.
    """
    clipped = [
        [
            Cell(cell.text, min(cell.rows, len(rows) - index), min(cell.columns, _WIDEST))
            for cell in row
        ]
        for index, row in enumerate(rows)
    ]
    lines = _placed(clipped) if _is_affordable(clipped) else None
    if lines is None:
        lines = [[cell.text for cell in row] for row in rows]
    return [_note_once(line) for line in lines if any(line)]


def _note_once(line: list[str]) -> list[str]:
    if len(line[0]) > LONGEST_LABEL and len(set(line)) == 1:
        return [line[0], *([""] * (len(line) - 1))]
    return line


def _is_affordable(rows: Sequence[Sequence[Cell]]) -> bool:
    """Whether expanding all spans keeps the size of the table within bounds."""
    cells = characters = places = unfolded = 0
    for row in rows:
        for cell in row:
            area = max(cell.rows, 1) * max(cell.columns, 1)
            cells += 1
            characters += len(cell.text)
            places += area
            unfolded += area * len(cell.text)
    return (
        places <= _REPETITION * cells + _ALWAYS_AFFORDED
        and unfolded <= _REPETITION * characters + _ALWAYS_AFFORDED
    )


def _placed(rows: Sequence[Sequence[Cell]]) -> list[list[str]] | None:
    """The texts on their grid; None if rows differ so much that the grid is mostly empty."""
    lines: list[dict[int, str]] = []
    starts: set[int] = set()
    carried: dict[int, tuple[int, str]] = {}  # column: rows still to fill, text
    cells = 0
    for row in rows:
        line = {column: text for column, (_, text) in carried.items()}
        below = {column: (left - 1, text) for column, (left, text) in carried.items() if left > 1}
        column = 0
        for cell in row:
            while column in line:
                column += 1
            starts.add(column)
            for place in range(column, column + max(cell.columns, 1)):
                if place in line:
                    break
                line[place] = cell.text
                if cell.rows > 1:
                    below[place] = (cell.rows - 1, cell.text)
            column += max(cell.columns, 1)
        cells += len(line)
        carried = below
        # A row of cells that all continue below is left out, as in a browser.
        if not line.keys() <= below.keys():
            lines.append(line)
    if len(lines) * len(starts) > _REPETITION * cells + _ALWAYS_AFFORDED:
        return None
    columns = [column for column in sorted(starts) if any(line.get(column) for line in lines)]
    return [[line.get(column, "") for column in columns] for line in lines]


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its first row the header; an empty string without rows."""
    if not rows:
        return ""
    escaped = [[text.replace("|", "\\|") for text in row] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in escaped]
    lines.insert(1, "|" + " --- |" * len(rows[0]))
    return "\n".join(lines)
