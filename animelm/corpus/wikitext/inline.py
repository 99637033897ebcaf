"""Replaces markup within running text: quotes, tags, external links."""

import re

from animelm.corpus.wikitext.strip_markers import BREAK, GONE

_QUOTES = re.compile("'''''|'''|''")
_MAGIC_WORD = re.compile(r"__[A-Z]{3,20}__|__(?:目次|目次強制|目次非表示|節編集非表示)__")
_EXTERNAL = re.compile(
    r"\[(?:https?:|ftps?:|mailto:|irc:|news:)?//?[^\s\[\]<>]*+[ \u3000]*+"
    r"((?:[^\[\]\n]|\[[^\[\]\n]*+\])*+)\]"
)
_HIDDEN = re.compile(r"<(span|div)\b[^<>]*\bdisplay:\s*none[^<>]*>[^<>]*</\1>", re.IGNORECASE)
_SCRIPT = re.compile(r"<su([bp])\b[^<>]*>([^<>\n]*)</su\1>", re.IGNORECASE)
_SUPERSCRIPTS = str.maketrans("0123456789+-−()n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁽⁾ⁿ")
_SUBSCRIPTS = str.maketrans("0123456789+-−()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₍₎")
_PLAIN_TAGS = (
    "abbr|b|bdi|bdo|big|cite|code|data|del|dfn|dl|em|font|i|includeonly|ins"
    "|kbd|mark|noinclude|nowiki|onlyinclude|poem|pre|q|rb|rbc|ref|references|rp|rtc|ruby|s|samp"
    "|section|small|source|span|strike|strong|sub|sup|syntaxhighlight|time|tt|u|var|wbr|math"
    "|gallery|timeline|inputbox|tbody|thead|tfoot|col|colgroup|score|img|a"
)
_TAG = re.compile(
    rf"<(/?)({_PLAIN_TAGS}|br|hr|p|ul|ol|li|dt|dd|rt|div|center|blockquote|h[1-6]|table|caption|tr|td|th)\b([^<>]*)>",
    re.IGNORECASE,
)
_UNCLOSED_REFERENCE = re.compile(
    r"""</?ref(?:\s*name\s*=\s*(?:"[^"\n<]*"|[^\s<>]+))?\s*/?>?""", re.I
)
_EMPTY_BRACKETS = re.compile(f"([(（])([\\s,;:、，；：{GONE}]*+)([)）]?)")
_BEFORE_BRACKET = re.compile(f"(?<![ ,;:、，；：{GONE}])([ ,;:、，；：{GONE}]++)(?=[)）])")
_GONE_ITEM = re.compile(f"([*#:;]++)[ .,;:、，。；：{GONE}]++")
# Of ". {{x}}." and of ", {{x}}." only the last sign is kept.
_AROUND_SIGNS = re.compile(f"(?:([.,;:、，。；：])|[,;、，；]) ?{GONE}++ ?(?(1)\\1|[.。])")
# A space is kept if a word follows the removed template.
_AROUND_GONE = re.compile(f" ?{GONE}++(?![A-Za-z0-9\"'(])|^ {GONE}++|{GONE}++")


def replace_inline(text: str) -> str:
    """The text without bold, tags and external links; entities are left for ``decode``.

    Line breaks become ``BREAK``; HTML tables, lists and headings become those of wikitext.
    """
    if "<" in text:
        text = _replace_tags(text)
    if "''" in text:
        text = _QUOTES.sub("", text)
    if "[" in text:
        text = _EXTERNAL.sub(r"\1", text)
        text = text.replace("[[", "").replace("]]", "")
    if "__" in text:
        text = _MAGIC_WORD.sub("", text)
    if GONE in text:
        lines = text.split("\n")
        text = "\n".join(_close_gaps(line) if GONE in line else line for line in lines)
    return text


def _close_gaps(line: str) -> str:
    """The line without the markers of removed templates, and without the signs around them."""
    if item := _GONE_ITEM.fullmatch(line):
        return item[1]
    line = _EMPTY_BRACKETS.sub(_close_bracket, line)
    line = _BEFORE_BRACKET.sub(lambda match: "" if GONE in match[1] else match[0], line)
    line = _AROUND_SIGNS.sub(lambda match: match[0][-1], line)
    return _AROUND_GONE.sub("", line)


def superscript(text: str) -> str:
    """A superscript: in its own characters where each has one; a single letter after a caret."""
    letter = text.strip()
    return _script(text, _SUPERSCRIPTS) or (f"^{letter}" if len(letter) == 1 else text)


def subscript(text: str) -> str:
    """A subscript: in its own characters where each has one, else as it is."""
    return _script(text, _SUBSCRIPTS) or text


def _script(text: str, table: dict[int, int]) -> str:
    signs = text.strip()
    return signs.translate(table) if all(ord(sign) in table for sign in signs) else ""


def _replace_tags(text: str) -> str:
    text = _HIDDEN.sub("", text)
    text = _SCRIPT.sub(
        lambda match: (
            (superscript if match[1] in "pP" else subscript)(match[2]) if match[2].strip() else ""
        ),
        text,
    )
    text = _TAG.sub(_tag, text)
    return _UNCLOSED_REFERENCE.sub("", text) if "ref" in text else text


def _tag(match: re.Match[str]) -> str:
    name = match[2].lower()
    if name == "br":
        return BREAK
    opens = not match[1]
    if name in _STRUCTURE:
        return _STRUCTURE[name][0 if opens else 1].format(attributes=match[3].strip())
    if name[0] == "h" and name[1:].isdecimal():
        equals = "=" * int(name[1])
        return f"\n{equals} " if opens else f" {equals}\n"
    return ""


# What the opening and the closing tag become.
_STRUCTURE = {
    "hr": ("\n", ""),
    "p": ("\n\n", "\n\n"),
    "li": ("\n* ", "\n"),
    "dt": ("\n; ", "\n"),
    "dd": ("\n: ", "\n"),
    "rt": ("（", "）"),
    "div": (BREAK, BREAK),
    "center": (BREAK, BREAK),
    "table": ("\n{{|{attributes}\n", "\n|}}\n"),
    "caption": ("\n|+", "\n"),
    "tr": ("\n|-\n", "\n"),
    "td": ("\n|{attributes}|", "\n"),
    "th": ("\n!{attributes}|", "\n"),
    "ul": ("\n", "\n"),
    "ol": ("\n", "\n"),
    "blockquote": ("\n\n", "\n\n"),
}


def _close_bracket(match: re.Match[str]) -> str:
    """Removes brackets that have become empty, and the signs before what is left in them."""
    if GONE not in match[2]:
        return match[0]
    return GONE if match[3] else match[1]
