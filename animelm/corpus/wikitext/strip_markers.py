"""Control characters that carry meaning from one step to the next.

``sanitize`` takes every control character out of the source first, so none of these can be forged.
Python counts the first two as white space: a text that holds nothing else is blank to ``strip``.
"""

import html
import re

BREAK = "\x1e"
"""A line break within a paragraph, a list item or a cell."""

GONE = "\x1f"
"""An inline template that left nothing: brackets and spaces around it may have to go too."""

BLOCK_OPEN = "\x01"
BLOCK_CLOSE = "\x02"

BLOCK = re.compile(f"{BLOCK_OPEN}(\\d+){BLOCK_CLOSE}")
"""Stands for a finished block, a table or code, that no later step may touch."""

NO_BREAK = "\xa0"

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufeff]")
# At most as many digits as a character's number can have: int() refuses a number of thousands.
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_SPACES = re.compile(f"[ {NO_BREAK}]{{2,}}")
_MARKUP = re.compile(r"[\[\]{}|'*#:;=<>!&\-]")


def sanitize(text: str) -> str:
    """The text with ``\\n`` as its only control character, and without lone surrogates.

    The entity of the no-break space becomes the character: those who cut lines see a space in it.
    """
    text = text.replace("\r\n", "\n").replace("\t", " ").replace("&nbsp;", NO_BREAK)
    return _CONTROLS.sub("", text)


def squeeze(text: str) -> str:
    """The text with one space for several."""
    return _SPACES.sub(" ", text) if "  " in text or NO_BREAK in text else text


def literal(text: str) -> str:
    """The text with its markup written as character entities, which ``decode`` turns back."""
    return _MARKUP.sub(lambda match: f"&#{ord(match[0])};", text)


def decode(text: str) -> str:
    """The text with character entities decoded; none of them becomes a control character."""
    return _ENTITY.sub(_character, text) if "&" in text else text


def _character(match: re.Match[str]) -> str:
    return _CONTROLS.sub("", html.unescape(match[0]).replace("\n", " ").replace("\t", " "))
