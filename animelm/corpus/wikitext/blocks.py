"""Converts lines of wikitext without inline markup to Markdown blocks."""

import re

from animelm.corpus.wikitext.context import Context, TooDeepError
from animelm.corpus.wikitext.strip_markers import BLOCK, BREAK, decode, squeeze
from animelm.corpus.wikitext.tables import Table
from animelm.corpus.wikitext.templates.infobox import join_rows

_ITEM = re.compile(r"([*#:;]{1,12})[*#:;]* *(.*)")
_TERM_END = re.compile(r" +:+ *|:+ +")
_RULE = re.compile(r"-{4,} *")
_STRAY_TABLE = re.compile(r"\|[-+}][-+}| ]*|\{\|.*|[|!]+ *")
_DEEPEST_TABLE = 100
_CONTENT = 99  # deeper than any heading


def render_blocks(text: str, context: Context) -> str:
    """Markdown of a text whose templates, links and inline markup are already replaced.

    Headings without content are removed.
    """
    writer = _Blocks(context, closes_tables=_has_open_table(text))
    for line in text.split("\n"):
        writer.feed(line)
    return "\n\n".join(writer.finish())


def _has_open_table(text: str) -> bool:
    """Whether a table is never closed."""
    return ("\n" + text).count("\n{|") > ("\n" + text).count("\n|}")


class _Blocks:
    """Reads lines; holds the complete blocks and the lines of the current one."""

    def __init__(self, context: Context, closes_tables: bool) -> None:
        self._context = context
        self._closes_tables = closes_tables
        self._blocks: list[tuple[int, str]] = []  # level of a heading or _CONTENT, text
        self._lines: list[str] = []
        self._kind = ""
        self._counters: list[int] = []
        self._after_term = False
        self._tables: list[Table] = []

    def feed(self, line: str) -> None:
        """Reads the next line."""
        stripped = line.strip()
        # A table may be indented with colons, as a definition.
        if stripped.lstrip(": ").startswith("{|"):
            self._open_table()
        elif self._tables:
            self._feed_table(line, stripped)
        elif not stripped:
            self._end_block()
        else:
            self._feed_line(line, stripped)

    def finish(self) -> list[str]:
        """All blocks, without headings that have no content."""
        while self._tables:
            self._close_table()
        self._end_block()
        kept: list[str] = []
        below = 0  # level of the block that follows
        for level, text in reversed(self._blocks):
            if level == _CONTENT or below > level:
                kept.append(text)
                below = level
        return join_rows(reversed(kept), self._context)

    def _open_table(self) -> None:
        if len(self._tables) >= _DEEPEST_TABLE:
            raise TooDeepError(f"tables are nested more than {_DEEPEST_TABLE} deep")
        self._tables.append(Table())

    def _feed_table(self, line: str, stripped: str) -> None:
        if stripped.startswith("|}"):
            self._close_table()
            if rest := stripped[2:].strip():
                self.feed(rest)
        elif self._closes_tables and _heading(stripped):
            while self._tables:
                self._close_table()
            self.feed(line)
        else:
            self._tables[-1].feed(line)

    def _close_table(self) -> None:
        table = self._tables.pop()
        before = [*table.outside, *table.captions]
        if table.is_layout():
            body = "\n\n".join((*before, *table.texts()))
            markdown = decode(render_blocks(body, self._context))
        else:
            grid, inner = table.markdown()
            own = decode(render_blocks("\n".join(before), self._context))
            markdown = "\n\n".join(filter(None, (own, grid, *inner)))
        if not markdown:
            return
        mark = self._context.keep_block(markdown)
        if self._tables:
            self._tables[-1].feed(f" {mark}")
        else:
            self._add_block(mark)

    def _feed_line(self, line: str, stripped: str) -> None:
        if line[0] != " ":  # only in code do spaces count
            line = stripped = squeeze(stripped)
        if BLOCK.search(stripped):
            self._feed_marks(stripped)
        elif heading := _heading(stripped):
            self._end_block()
            self._blocks.append(heading)
        elif item := _ITEM.match(line.lstrip(BREAK)):
            self._feed_item(item[1], item[2])
        elif _RULE.match(stripped) or _STRAY_TABLE.fullmatch(stripped):
            self._end_block()
        else:
            self._feed_text(line, stripped)

    def _feed_marks(self, stripped: str) -> None:
        """Adds finished blocks, and the text between them if any."""
        position = 0
        for mark in BLOCK.finditer(stripped):
            if before := stripped[position : mark.start()].strip():
                self._feed_line(before, before)
            self._add_block(mark[0])
            position = mark.end()
        if after := stripped[position:].strip():
            self._feed_line(after, after)

    def _feed_text(self, line: str, stripped: str) -> None:
        kind = "indented" if line.startswith(" ") else "text"
        if self._kind != kind:
            self._end_block()
        self._kind = kind
        if kind == "indented":
            self._lines.append(line[1:].rstrip().replace(BREAK, " "))
        else:
            self._lines.extend(part.strip() for part in stripped.split(BREAK) if part.strip())

    def _feed_item(self, signs: str, text: str) -> None:
        text = text.strip(f" {BREAK}")
        if not text:
            return
        kind = signs[-1]
        if kind == ";":
            self._feed_term(signs, text)
            return
        if not self._after_term:
            signs = signs.lstrip(":")
            if not signs:  # a colon that only indents
                self._feed_text(text, text)
                return
        if self._kind != "list":
            self._end_block()
        self._kind = "list"
        depth = len(signs)
        del self._counters[depth:]
        self._counters.extend([0] * (depth - len(self._counters)))
        self._counters[-1] = self._counters[-1] + 1 if kind == "#" else 0
        marker = {"*": "- ", "#": f"{self._counters[-1]}. ", ":": ": "}[kind]
        if kind == ":" and signs[0] != ":":
            marker = ""  # continues the item above
        margin = "  " * (depth - 1)
        continuation = "\n" + margin + "  "
        self._lines.append(
            margin + marker + continuation.join(part.strip() for part in text.split(BREAK))
        )

    def _feed_term(self, signs: str, text: str) -> None:
        """Adds a term, with its definition if it is on the same line."""
        self._end_block()
        self._kind = "list"
        self._after_term = True
        end = _TERM_END.search(text)
        term = text[: end.start()] if end else text
        self._lines.append(term.replace(BREAK, " ").strip())
        if end and (definition := text[end.end() :].strip()):
            self._feed_item(signs[:-1] + ":", definition)

    def _add_block(self, markdown: str) -> None:
        self._end_block()
        self._blocks.append((_CONTENT, markdown))

    def _end_block(self) -> None:
        if self._lines:
            if self._kind == "indented":
                text = _indented(self._lines)
            else:
                text = "\n".join(filter(None, self._lines))
            if text:
                self._blocks.append((_CONTENT, text))
        self._lines = []
        self._kind = ""
        self._counters = []
        self._after_term = False


def _indented(lines: list[str]) -> str:
    """Two or more lines that begin with a space are code; a single one is a mistake."""
    if len(lines) == 1:
        return lines[0].strip()
    return "```\n" + "\n".join(lines).strip("\n") + "\n```"


def _heading(line: str) -> tuple[int, str] | None:
    """Level and Markdown of a heading; None for any other line."""
    if not (line.startswith("=") and line.endswith("=") and len(line) > 2):
        return None
    inner = line.strip("=")
    opening = len(line) - len(line.lstrip("="))
    closing = len(line) - len(line.rstrip("="))
    title = inner.replace(BREAK, " ").strip()
    if not title:
        return None
    level = max(2, min(opening, closing, 6))
    return level, f"{'#' * level} {title}"
