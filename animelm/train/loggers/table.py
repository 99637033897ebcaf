"""Tables of texts, as TensorBoard's Markdown."""

import string
from collections.abc import Sequence
from dataclasses import dataclass

Cell = str | Sequence[str]
_ESCAPES = {ord(sign): f"&#{ord(sign)};" for sign in string.punctuation}


@dataclass(frozen=True)
class LogTable:
    """A table for a logger.

    Attributes:
        columns: their names.
        rows: a cell for each column; a cell of several texts has several lines.
        ends_in_remark: whether the last column holds a word or two on the one before it. In
            Markdown they stand above its texts: TensorBoard breaks words in narrow columns.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    ends_in_remark: bool = False

    def texts(self) -> list[list[str]]:
        """The rows, with one text for each cell."""
        return [
            [cell if isinstance(cell, str) else "\n".join(cell) for cell in row]
            for row in self.rows
        ]

    def markdown(self) -> str:
        """A Markdown table in which no text is read as HTML or Markdown."""
        names = [*map(escape, self.columns)]
        shown = len(names) - self.ends_in_remark
        lines = [names[:shown], ["---"] * shown]
        for row in self.rows:
            cells = [[cell] if isinstance(cell, str) else [*cell] for cell in row]
            if self.ends_in_remark:
                cells[-2:] = [[*cells[-1], *cells[-2]]]
            lines.append(["<br>".join(map(escape, texts)) for texts in cells])
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def escape(text: str) -> str:
    """Escapes a text so that Markdown renders it literally and on one line.

    ASCII punctuation becomes numeric character references. Characters that cannot be printed, such
    as control characters and direction marks, become U+FFFD.
    """
    line = " ".join(text.split())
    line = "".join(sign if sign.isprintable() else "\ufffd" for sign in line)
    return line.translate(_ESCAPES)
