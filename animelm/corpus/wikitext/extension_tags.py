"""Elements whose content is no wikitext: comments, references, code, formulas."""

import re

from animelm.corpus.wikitext.context import Context
from animelm.corpus.wikitext.strip_markers import decode, literal

_DROPPED = (
    "gallery|timeline|score|imagemap|hiero|includeonly|templatedata|templatestyles|graph|mapframe"
    "|maplink|rp"
)
_LITERAL = "nowiki|pre|math|chem|ce|syntaxhighlight|source"
_OPENING = re.compile(rf"<!--|<({_DROPPED}|{_LITERAL}|ref)\b([^<>]*)>", re.IGNORECASE)
_CLOSING = {
    name: re.compile(rf"</{name}\s*>", re.IGNORECASE)
    for name in f"{_DROPPED}|{_LITERAL}".split("|")
}
_CLOSING["!"] = re.compile("-->")
_REFERENCE = re.compile(r"<(/?)ref\b[^<>]*?(/?)>", re.IGNORECASE)
_DROPPED_NAMES = frozenset(_DROPPED.split("|"))


def cut_opaque(text: str, context: Context) -> str:
    """The text without comments, references and galleries, code and formulas made literal.

    Of an element that is not closed only the tag goes: what follows may be the article.
    """
    pieces: list[str] = []
    unclosed: set[str] = set()
    position = 0
    while opening := _OPENING.search(text, position):
        pieces.append(text[position : opening.start()])
        position = opening.end()
        name = (opening[1] or "!").lower()
        if (opening[2] or "").endswith("/"):
            continue
        if name == "ref":
            position = _end_of_reference(text, position)
            continue
        # An end that was missing once is missing for all that follow: no second search for it.
        closing = None if name in unclosed else _CLOSING[name].search(text, position)
        if closing is None:
            unclosed.add(name)
            continue
        if name != "!" and name not in _DROPPED_NAMES:
            pieces.append(_kept(name, opening[2], text[position : closing.start()], context))
        position = closing.end()
    pieces.append(text[position:])
    return "".join(pieces)


def _end_of_reference(text: str, position: int) -> int:
    """Where the text goes on after ``<ref>``: behind its end, or where it is if it has none.

    A reference that opens before the end comes shows that the first one was never closed.
    """
    while tag := _REFERENCE.search(text, position):
        if tag[1]:
            return tag.end()
        if not tag[2]:
            break
        position = tag.end()
    return position


def _kept(name: str, attributes: str, content: str, context: Context) -> str:
    if name == "nowiki":
        return literal(decode(content))
    if name in ("math", "chem", "ce"):
        # A space between braces changes no formula, and "{{" cannot be taken for a template.
        formula = " ".join(content.split()).replace("{{", "{ {").replace("{{", "{ {")
        return literal(f"${formula}$") if formula else ""
    if "inline" in attributes:
        return literal(" ".join(content.split()))
    code = decode(content).strip("\n").rstrip()
    if not code.strip():
        return ""
    mark = context.keep_block(f"```\n{code}\n```")
    return f"\n{mark}\n"
