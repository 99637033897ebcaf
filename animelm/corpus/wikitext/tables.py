"""Reads wikitext tables line by line."""

import re
from dataclasses import dataclass, field

from animelm.corpus.wikitext.grid import LONGEST_LABEL, Cell, markdown_table, unfold
from animelm.corpus.wikitext.strip_markers import BLOCK, BREAK, decode, squeeze

_SPAN = re.compile(r"\b(row|col)span\s*=\s*[\"']?\s*(\d{1,6})", re.IGNORECASE)
_ATTRIBUTES = re.compile(r"[^|]*=[^|]*|\s*(?:nowrap|scope|)\s*", re.IGNORECASE)
_BARE_ATTRIBUTES = re.compile(
    r"(?:\s*(?:rowspan|colspan|style|class|bgcolor|v?align|width|height|scope)\s*=\s*"
    r"(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s\"']+))+",
    re.IGNORECASE,
)
_LIST_SIGNS = re.compile(r"^[*#:;]+ *")
_SEPARATOR = " / "


def one_line(text: str) -> str:
    """The text of a cell on one line; lines and list items are separated by a slash."""
    text = squeeze(text.strip())
    if "\n" not in text and BREAK not in text:
        return _LIST_SIGNS.sub("", text) if text[:1] in "*#:;" and text[1:2] == " " else text
    joined: list[str] = [""]  # an empty text ends the one before
    for line in text.replace(BREAK, "\n\n").split("\n"):
        stripped = line.strip()
        item = _LIST_SIGNS.sub("", stripped)
        if not stripped:
            joined.append("")
        elif item != stripped:
            joined.extend((item, ""))
        elif not joined[-1]:
            joined.append(item)
        else:
            joined[-1] += f" {item}"
    return _SEPARATOR.join(filter(None, joined))


@dataclass
class _SourceCell:
    rows: int
    columns: int
    lines: list[str]


@dataclass
class Table:
    """A table that is being read.

    Attributes:
        captions: lines of its caption.
        outside: text before the first cell.
    """

    captions: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    _rows: list[list[_SourceCell]] = field(default_factory=list)
    _in_caption: bool = False

    def feed(self, line: str) -> None:
        """Takes one line between ``{|`` and ``|}``."""
        stripped = line.strip()
        if stripped.startswith("|-"):
            self._rows.append([])
            self._in_caption = False
        elif stripped.startswith("|+"):
            self.captions.append(_content(stripped[2:]))
            self._in_caption = True
        elif stripped[:1] in ("|", "!"):
            self._add_cells(stripped)
        elif self._in_caption:
            self.captions.append(stripped)
        elif self._rows and self._rows[-1]:
            self._rows[-1][-1].lines.append(line)
        elif stripped:
            self.outside.append(line)

    def _add_cells(self, line: str) -> None:
        self._in_caption = False
        if not self._rows:
            self._rows.append([])
        text = line[1:]
        if line[0] == "!":
            text = text.replace("!!", "||")
        for source in text.split("||"):
            attributes, bar, content = source.partition("|")
            if not bar:
                attributes, content = _leading_attributes(source)
            elif not _ATTRIBUTES.fullmatch(attributes):
                content = f"{attributes} {content}"
            spans = {kind.lower(): int(number) for kind, number in _SPAN.findall(attributes)}
            self._rows[-1].append(_SourceCell(spans.get("row", 1), spans.get("col", 1), [content]))

    def is_layout(self) -> bool:
        """Whether the table is only for layout: it has one row or one column.

        A row of short labels is data.
        """
        filled = [row for row in self._rows if row]
        if len(filled) == 1 and len(filled[0]) > 1:
            return not all(map(_is_label, filled[0]))
        return len(filled) <= 1 or max(map(len, filled)) == 1

    def texts(self) -> list[str]:
        """The wikitext of each cell, in order."""
        return ["\n".join(cell.lines) for row in self._rows for cell in row]

    def markdown(self) -> tuple[str, list[str]]:
        """The table, and the markers of the blocks that were in its cells."""
        blocks: list[str] = []
        rows: list[list[Cell]] = []
        for source_row in self._rows:
            row: list[Cell] = []
            for source in source_row:
                text = "\n".join(source.lines)
                if marks := [match[0] for match in BLOCK.finditer(text)]:
                    blocks.extend(marks)
                    text = BLOCK.sub("", text)
                row.append(Cell(one_line(decode(text)), source.rows, source.columns))
            if row:
                rows.append(row)
        return markdown_table(unfold(rows)), blocks


def _is_label(cell: _SourceCell) -> bool:
    """Whether a cell holds only a short text on its first line."""
    first, *others = cell.lines
    return (
        len(first) <= LONGEST_LABEL and not any(map(str.strip, others)) and not BLOCK.search(first)
    )


def _leading_attributes(source: str) -> tuple[str, str]:
    """Attributes and text of a cell without a bar, as before a template such as {{n/a}}."""
    if "=" not in source or (match := _BARE_ATTRIBUTES.match(source)) is None:
        return "", source
    return match[0], source[match.end() :]


def _content(text: str) -> str:
    """The text after the attributes, if there are any."""
    attributes, bar, content = text.partition("|")
    return content if bar and _ATTRIBUTES.fullmatch(attributes) else text
