"""Evaluates parser functions and magic words, as far as the page alone determines them."""

import re
from collections.abc import Callable, Sequence

_SPLIT = re.compile(r"\s*(#?[a-zA-Z]+)\s*[:：](.*)", re.DOTALL)
_DIGITS = re.compile(r"\d+")


def call_function(arguments: Sequence[str], title: str) -> str | None:
    """The value of a parser function or magic word; None if the call is neither.

    Args:
        arguments: the raw parts between the pipes; the first contains the name of the function.
        title: the page's title.
    """
    word = arguments[0].strip()
    if word in _TITLES:
        return _TITLES[word](title)
    if word in _EMPTY_WORDS:
        return ""
    match = _SPLIT.match(arguments[0])
    if match is None:
        return None
    name = match[1].lower()
    values = [match[2].strip(), *(argument.strip() for argument in arguments[1:])]
    if function := _FUNCTIONS.get(name):
        return function(values)
    return "" if name.startswith("#") or name in _EMPTY_FUNCTIONS else None


def _part(values: Sequence[str], index: int) -> str:
    return values[index] if index < len(values) else ""


def _if(values: Sequence[str]) -> str:
    return _part(values, 1 if values[0] else 2)


def _if_equal(values: Sequence[str]) -> str:
    return _part(values, 2 if values[0] == _part(values, 1) else 3)


def _switch(values: Sequence[str]) -> str:
    """The branch of the value; a case without a branch has that of the next case."""
    matched = False
    default = ""
    for case in values[1:]:
        name, sign, branch = (part.strip() for part in case.partition("="))
        matched = matched or name == values[0]
        if sign and matched:
            return branch
        if name == "#default":
            default = branch
    last = values[-1] if len(values) > 1 else ""
    return default or ("" if "=" in last else last)


def _tag(values: Sequence[str]) -> str:
    return "" if values[0].lower() in ("ref", "gallery", "references") else _part(values, 1)


def _grouped(values: Sequence[str]) -> str:
    """A number with its thousands separated."""
    if _part(values, 1).upper() == "R":
        return values[0].replace(",", "")
    whole, dot, fraction = values[0].partition(".")
    return (
        _DIGITS.sub(
            lambda match: f"{int(match[0]):,}" if len(match[0]) < 40 else match[0], whole, count=1
        )
        + dot
        + fraction
    )


_FUNCTIONS: dict[str, Callable[[Sequence[str]], str]] = {
    "#if": _if,
    "#ifeq": _if_equal,
    "#switch": _switch,
    "#tag": _tag,
    # Whether a page exists, or an expression is true, is unknown: assumed to be so.
    "#ifexist": lambda values: _part(values, 1),
    "#ifexpr": lambda values: _part(values, 1),
    "#iferror": lambda values: _part(values, 2) or values[0],
    "formatnum": _grouped,
    "lc": lambda values: values[0].lower(),
    "uc": lambda values: values[0].upper(),
    "ucfirst": lambda values: values[0][:1].upper() + values[0][1:],
    "lcfirst": lambda values: values[0][:1].lower() + values[0][1:],
    "padleft": lambda values: values[0],
    "padright": lambda values: values[0],
    "plural": lambda values: _part(values, 1 if values[0] == "1" else 2),
}
_EMPTY_FUNCTIONS = frozenset(
    ("defaultsort", "displaytitle", "anchorencode", "urlencode", "ns", "int", "fullurl",
     "localurl", "filepath", "canonicalurl", "gender", "grammar", "noexternallanglinks")
)  # fmt: skip
_TITLES: dict[str, Callable[[str], str]] = {
    "PAGENAME": lambda title: title.partition(":")[2] or title,
    "FULLPAGENAME": lambda title: title,
    "BASEPAGENAME": lambda title: title.rpartition("/")[0] or title,
    "SUBPAGENAME": lambda title: title.rpartition("/")[2],
    "ARTICLEPAGENAME": lambda title: title,
    "ROOTPAGENAME": lambda title: title.partition("/")[0],
}
_EMPTY_WORDS = frozenset(
    ("CURRENTYEAR", "CURRENTMONTH", "CURRENTDAY", "CURRENTMONTHNAME", "CURRENTTIMESTAMP",
     "LOCALYEAR", "LOCALMONTH", "LOCALDAY", "NAMESPACE", "SITENAME", "SERVER", "REVISIONID",
     "NUMBEROFARTICLES")
)  # fmt: skip
