"""Elements whose content is not wikitext: comments, references, code, formulas."""

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


def remove_extension_tags(text: str, context: Context) -> str:
    """Removes comments, references and galleries, and makes code and formulas literal.

    Of an unclosed element only the tag is removed, since the article may follow it.
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
        # If no end tag was found once, there is none further on: not searched for again.
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
    """Where the text continues after ``<ref>``: after its end tag, or at once if it has none.

    Another opening tag before the end tag means that the first one was never closed.
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
        # A space between braces does not change a formula, but "{{" would begin a template.
        formula = " ".join(content.split()).replace("{{", "{ {").replace("{{", "{ {")
        return literal(f"${formula}$") if formula else ""
    if "inline" in attributes:
        return literal(" ".join(content.split()))
    code = decode(content).strip("\n").rstrip()
    if not code.strip():
        return ""
    mark = context.keep_block(f"```\n{code}\n```")
    return f"\n{mark}\n"
