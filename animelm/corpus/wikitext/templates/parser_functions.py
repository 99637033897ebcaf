"""Evaluates parser functions and magic words, as far as the page alone determines them.

Rules: https://www.mediawiki.org/wiki/Help:Extension:ParserFunctions and
https://www.mediawiki.org/wiki/Help:Magic_words.
"""

import re
from collections.abc import Callable, Sequence

from animelm.corpus.page_names import page_names
from animelm.corpus.wikitext.context import Context
from animelm.corpus.wikitext.strip_markers import GONE, decode
from animelm.corpus.wikitext.templates.dates import current_date
from animelm.corpus.wikitext.templates.expressions import ExpressionError, evaluate

_SPLIT = re.compile(r"\s*(#?[a-zA-Z]+)\s*[:：](.*)", re.DOTALL)
_DIGITS = re.compile(r"\d+")
# What PHP compares as a number.
_NUMERIC = re.compile(r"\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)
_LONGEST_NUMBER = 40
# MediaWiki shows a message; {{#iferror:}} knows it by the class.
_ERROR = f'<strong class="error"></strong>{GONE}'
_IS_ERROR = re.compile(r'<(?:strong|span|p|div)\s[^>]*class="(?:[^">]*\s)?error[\s"]')
_LONGEST_PADDING = 500


def call_function(arguments: Sequence[str], context: Context) -> str | None:
    """The value of a parser function or magic word; None if the call is neither.

    Args:
        arguments: the raw parts between the pipes; the first contains the name of the function.
        context: context of the page.
    """
    word = arguments[0].strip()
    if len(arguments) == 1 and (value := _variable(word, context)) is not None:
        return value
    match = _SPLIT.match(arguments[0])
    if match is None:
        return None
    name = match[1].lower()
    values = [match[2].strip(), *(argument.strip() for argument in arguments[1:])]
    if name in _COMPUTING and GONE in arguments[0]:
        return _ERROR  # a number is missing
    if function := _FUNCTIONS.get(name):
        return function(values)
    return "" if name.startswith("#") or name in _EMPTY_FUNCTIONS else None


def _variable(word: str, context: Context) -> str | None:
    """The value of a variable, empty if the page does not determine it; None for another word."""
    names = page_names(context.title)
    if word in names:
        return names[word]
    if context.today and (value := current_date(word, context.today, context.language)) is not None:
        return value
    return "" if word in _EMPTY_WORDS else None


def _part(values: Sequence[str], index: int) -> str:
    return values[index] if index < len(values) else ""


def _if(values: Sequence[str]) -> str:
    return _part(values, 1 if values[0] else 2)


def _is_same(left: str, right: str) -> bool:
    """Whether two texts are equal, as numbers if both are: ``01`` is ``1``, and ``1e3`` 1000."""
    left, right = decode(left).strip(), decode(right).strip()
    is_numeric = all(
        len(text) <= _LONGEST_NUMBER and _NUMERIC.fullmatch(text) for text in (left, right)
    )
    return left == right or (is_numeric and float(left) == float(right))


def _if_equal(values: Sequence[str]) -> str:
    return _part(values, 2 if _is_same(values[0], _part(values, 1)) else 3)


def _expression(values: Sequence[str]) -> str:
    try:
        return evaluate(values[0])
    except ExpressionError:
        return _ERROR


def _if_expression(values: Sequence[str]) -> str:
    try:
        value = evaluate(values[0])
    except ExpressionError:
        return _ERROR
    return _part(values, 1 if value and not _is_same(value, "0") else 2)


def _if_error(values: Sequence[str]) -> str:
    if _IS_ERROR.search(values[0]):
        return _part(values, 1)
    return values[2] if len(values) > 2 else values[0]


def _switch(values: Sequence[str]) -> str:
    """The branch of the value; a case without a branch has that of the next case with one.

    The default is the last case if it has no branch, else that of ``#default``.
    """
    is_found = is_default = False
    default, last = "", None
    for case in values[1:]:
        name, has_branch, branch = (part.strip() for part in case.partition("="))
        last = None if has_branch else case
        is_found = is_found or _is_same(name, values[0])
        is_default = is_default or name == "#default"
        if has_branch and is_found:
            return branch
        if has_branch and is_default:
            default, is_default = branch, False
    return default if last is None else last


def _tag(values: Sequence[str]) -> str:
    return "" if values[0].lower() in ("ref", "gallery", "references") else _part(values, 1)


def _grouped(values: Sequence[str]) -> str:
    """A number with its thousands separated."""
    if _part(values, 1).upper() == "R":
        return values[0].replace(",", "")
    whole, dot, fraction = values[0].partition(".")
    return (
        _DIGITS.sub(
            lambda match: f"{int(match[0]):,}" if len(match[0]) < _LONGEST_NUMBER else match[0],
            whole,
            count=1,
        )
        + dot
        + fraction
    )


def _padding(values: Sequence[str]) -> str:
    """What fills a text up to a length; without a third value, zeros."""
    length = _part(values, 1)
    filling = values[2] if len(values) > 2 else "0"
    if not (length.isdecimal() and len(length) <= 4 and filling):
        return ""
    missing = max(0, min(int(length), _LONGEST_PADDING) - len(values[0]))
    return (filling * missing)[:missing]


_FUNCTIONS: dict[str, Callable[[Sequence[str]], str]] = {
    "#if": _if,
    "#ifeq": _if_equal,
    "#switch": _switch,
    "#expr": _expression,
    "#ifexpr": _if_expression,
    "#iferror": _if_error,
    "#tag": _tag,
    # Whether a page exists is unknown: assumed to be so.
    "#ifexist": lambda values: _part(values, 1),
    "formatnum": _grouped,
    "lc": lambda values: values[0].lower(),
    "uc": lambda values: values[0].upper(),
    "ucfirst": lambda values: values[0][:1].upper() + values[0][1:],
    "lcfirst": lambda values: values[0][:1].lower() + values[0][1:],
    "padleft": lambda values: _padding(values) + values[0],
    "padright": lambda values: values[0] + _padding(values),
    "plural": lambda values: _part(values, 1 if _is_same(values[0], "1") else 2),
}
_COMPUTING = frozenset(("#expr", "#ifexpr"))
_EMPTY_FUNCTIONS = frozenset(
    ("defaultsort", "displaytitle", "anchorencode", "urlencode", "ns", "int", "fullurl",
     "localurl", "filepath", "canonicalurl", "gender", "grammar", "noexternallanglinks")
)  # fmt: skip
_EMPTY_WORDS = frozenset(
    ("CURRENTYEAR", "CURRENTMONTH", "CURRENTMONTH1", "CURRENTMONTH2", "CURRENTMONTHNAME",
     "CURRENTMONTHNAMEGEN", "CURRENTMONTHABBREV", "CURRENTDAY", "CURRENTDAY2", "CURRENTDOW",
     "CURRENTWEEK", "CURRENTDAYNAME", "CURRENTTIME", "CURRENTHOUR", "CURRENTTIMESTAMP",
     "LOCALYEAR", "LOCALMONTH", "LOCALMONTH1", "LOCALMONTH2", "LOCALMONTHNAME", "LOCALDAY",
     "LOCALDAY2", "LOCALDOW", "LOCALWEEK", "LOCALDAYNAME", "LOCALTIME", "LOCALHOUR",
     "LOCALTIMESTAMP", "NAMESPACE", "SITENAME", "SERVER", "REVISIONID", "NUMBEROFARTICLES")
)  # fmt: skip
