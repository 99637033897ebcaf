"""Control characters that serve as markers between the rendering steps.

``sanitize`` first removes every control character of the source, so a page cannot forge a marker.
Python treats the first two as white space: ``strip`` removes them.
"""

import html
import re

BREAK = "\x1e"
"""A line break within a paragraph, a list item or a cell."""

GONE = "\x1f"
"""An inline template that was removed: brackets and spaces around it may be removed as well."""

BLOCK_OPEN = "\x01"
BLOCK_CLOSE = "\x02"

BLOCK = re.compile(f"{BLOCK_OPEN}(\\d+){BLOCK_CLOSE}")
"""Represents a finished block, a table or code, which later steps leave unchanged."""

NO_BREAK = "\xa0"

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufeff]")
# Limited to the digits that a code point can have: int() refuses numbers of thousands of digits.
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_SPACES = re.compile(f"[ {NO_BREAK}]{{2,}}")
_MARKUP = re.compile(r"[\[\]{}|'*#:;=<>!&\-]")


def sanitize(text: str) -> str:
    """The text with ``\\n`` as its only control character, and without lone surrogates.

    ``&nbsp;`` becomes the no-break space.
    """
    text = text.replace("\r\n", "\n").replace("\t", " ").replace("&nbsp;", NO_BREAK)
    return _CONTROLS.sub("", text)


def squeeze(text: str) -> str:
    """The text with runs of spaces replaced by one space."""
    return _SPACES.sub(" ", text) if "  " in text or NO_BREAK in text else text


def literal(text: str) -> str:
    """The text with its markup as character entities, which ``decode`` reverses."""
    return _MARKUP.sub(lambda match: f"&#{ord(match[0])};", text)


def decode(text: str) -> str:
    """The text with character entities decoded; none of them becomes a control character."""
    return _ENTITY.sub(_character, text) if "&" in text else text


def _character(match: re.Match[str]) -> str:
    return _CONTROLS.sub("", html.unescape(match[0]).replace("\n", " ").replace("\t", " "))
