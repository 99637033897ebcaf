"""Renders infoboxes as tables of fields and values."""

import re
from collections.abc import Iterable
from itertools import groupby

from animelm.corpus.wikitext.context import Box, Context
from animelm.corpus.wikitext.grid import markdown_table
from animelm.corpus.wikitext.inline import replace_inline
from animelm.corpus.wikitext.strip_markers import BLOCK, decode
from animelm.corpus.wikitext.tables import one_line
from animelm.corpus.wikitext.templates.calls import Call
from animelm.corpus.wikitext.templates.template_rules import BOX_KINDS, is_infobox

HEADERS = {"ja": ("項目", "内容"), "en": ("Field", "Value")}
"""The first row of the table that an infobox becomes, by language."""
_KIND = {"ja": "種類", "en": "kind"}
# Files, sizes and colors concern only the look of a box.
_LOOK = re.compile(
    r"(?:[^|\n]*\.(?:svg|jpe?g|png|gif|webp|tiff?|og[gvag]|webm|mp[34]))"
    r"|(?:\d+(?:x\d*)?|x\d+)\s*px|#[0-9a-f]{3,8}|1[ _]E\d+",
    re.IGNORECASE,
)
_PLACE = re.compile(r"left|right|center|none", re.IGNORECASE)
_LOOK_FIELD = re.compile(
    r"(?:width|size|colou?r|style|alt|align[-\w]*|thumb|upright|float|image[ _]?map|幅|サイズ|色"
    r"|背景)[ _]?\d*$",
    re.IGNORECASE,
)
_LOOK_LENGTH = 12


def infobox_table(call: Call, context: Context) -> str:
    """Stores the template as a table and returns its marker; an empty string if no field has text.

    Tables within a value follow as tables of their own.
    """
    facts: list[tuple[str, str]] = []
    inner: list[str] = []
    for field, value in call.named.items():
        for block in BLOCK.finditer(value):
            inner.append(f"\n{block[0]}\n")
        text = one_line(decode(replace_inline(BLOCK.sub("", value))))
        if text and not is_look(field, text):
            facts.append((" ".join(decode(field).replace("_", " ").split()), text))
    if not facts:
        return "\n".join(inner)
    kind = BOX_KINDS.get(call.name.rpartition("/")[2]) if "/" in call.name else None
    if kind:
        facts.insert(0, (_KIND[context.language], kind))
    table = markdown_table([HEADERS[context.language], *facts])
    mark = context.keep_block(table)
    if not is_infobox(call.name):
        context.boxes[mark] = Box(call.name, tuple(facts))
    return f"\n{mark}\n{''.join(inner)}"


def join_rows(blocks: Iterable[str], context: Context) -> list[str]:
    """The blocks, with consecutive boxes of one template joined to one table, a row per box."""
    joined: list[str] = []
    for box_name, group in groupby(blocks, lambda block: _box_name(block, context)):
        run = list(group)
        if box_name and len(run) > 1:
            rows = [dict(context.boxes[mark].facts) for mark in run]
            fields = list(dict.fromkeys(field for row in rows for field in row))
            cells = [[row.get(field, "") for field in fields] for row in rows]
            run = [context.keep_block(markdown_table([fields, *cells]))]
        joined.extend(run)
    return joined


def _box_name(block: str, context: Context) -> str:
    return context.boxes[block].name if block in context.boxes else ""


def is_look(field: str, value: str) -> bool:
    """Whether a field concerns only the look: a file, a size, a color; ``field`` may be empty."""
    if _LOOK.fullmatch(value) or (not field and _PLACE.fullmatch(value)):
        return True
    return len(value) <= _LOOK_LENGTH and _LOOK_FIELD.search(field) is not None
