"""What one template leaves behind; the package's docstring has the rules in order."""

import re
from collections.abc import Iterable, Sequence

from animelm.corpus.wikitext.calls import Call, read_call
from animelm.corpus.wikitext.context import Context
from animelm.corpus.wikitext.functions import call_function
from animelm.corpus.wikitext.infobox import infobox_table, is_look
from animelm.corpus.wikitext.inline import lowered, raised
from animelm.corpus.wikitext.known import (
    CONTAINERS,
    DATES,
    JOINED,
    PATTERNS,
    SIGNS,
    country_name,
    is_dropped,
    is_infobox,
    language_name,
)
from animelm.corpus.wikitext.marks import GONE

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
# Brackets and signs around an argument that was not given.
_HOLLOW = re.compile(r" ?[(（][, ]*[)）]|, *(?=[)）])|(?<=[(（]), *|-+$|[年月日]+(?=[年月日])")
_LANGUAGE = re.compile(r"lang-([a-z]{2,3}(?:-(?!short)[a-z]+)?)(-short)?$")
_SENTENCE = re.compile(r"[。！？]|[a-z]{2}[.!?](?: |$)")
# What a template makes an address of: "gov/123", "people_of_Rome".
_IDENTIFIER = re.compile(r"(?=[!-~]*[\d_/])[\w.:/-]{3,}", re.ASCII)
_FIELDS_OF_A_BOX = 3


def render_template(
    arguments: Sequence[str], begins_line: bool, alone: bool, context: Context
) -> str:
    """The wikitext that stands in the place of a template.

    Args:
        arguments: name and arguments as written, inner templates already replaced.
        begins_line: nothing but other templates stands before it in its line.
        alone: nothing but other templates shares its line.
        context: of the page.
    """
    value = call_function(arguments, context.title)
    if value is None:
        call = read_call(arguments, begins_line, alone)
        value = _known(call, context)
        if value is None:
            value = _unknown(call, context)
    if value:
        return value
    return "" if alone else GONE


def _known(call: Call, context: Context) -> str | None:
    """What a template known by its name leaves; None if it is not."""
    name = call.name
    if name in SIGNS:
        return SIGNS[name]
    if name in PATTERNS:
        return _fill(PATTERNS[name], call)
    if name in JOINED:
        return JOINED[name].join(filter(None, call.positional))
    if name in DATES:
        return "-".join(part.zfill(2) for part in call.positional[:3] if part)
    if name in CONTAINERS:
        return "\n\n".join(filter(None, (*call.positional, *_contents(call.named.values()))))
    if name in _CALLABLES:
        return _CALLABLES[name](call)
    if match := _LANGUAGE.match(name):
        language = language_name(match[1], context.language)
        text = call.text("1")
        return f"{language}: {text}" if language and text and not match[2] else text
    if name.startswith("ipa-"):
        return call.text("1")
    if is_dropped(name):
        return ""
    if not call.alone and (country := country_name(name, context.language)):
        return country
    if is_infobox(name):
        return infobox_table(call, context)
    return None


def _unknown(call: Call, context: Context) -> str:
    if call.begins_line and len(call.named) >= _FIELDS_OF_A_BOX:
        return infobox_table(call, context)
    if texts := _contents((*call.positional, *call.named.values())):
        return "\n\n".join(texts) if call.alone else " ".join(texts)
    if len(call.positional) != 1 or call.alone:
        return ""
    text = call.positional[0]
    return "" if is_look("", text) or _IDENTIFIER.fullmatch(text) else text


def _contents(arguments: Iterable[str]) -> list[str]:
    """The arguments that hold several lines or a sentence."""
    return [text for text in arguments if "\n" in text or _SENTENCE.search(text)]


def _fill(pattern: str, call: Call) -> str:
    """The pattern with its arguments; ``{1}|text`` falls back to the text."""
    pattern, _, fallback = pattern.partition("}|") if "}|" in pattern else (pattern, "", "")
    if fallback:
        return call.text("1") or fallback
    if pattern == "{1}":
        return call.text("1")
    given = False

    def argument(match: re.Match[str]) -> str:
        nonlocal given
        value = call.text(*match[1].split("|"))
        given = given or bool(value)
        return value

    text = _PLACEHOLDER.sub(argument, pattern)
    return _HOLLOW.sub("", text).strip() if given else ""


def _convert(call: Call) -> str:
    """A measure as it is written: ``{{convert|5|ft|6|in|m}}`` is "5 ft 6 in"."""
    parts = iter(filter(None, call.positional))
    text = _grouped(next(parts, ""))
    unit = ""
    for part in parts:
        if part in _RANGES:  # from one number to another
            text += _RANGES[part] + _grouped(next(parts, ""))
        elif not unit:
            unit = part
            text += f" {unit}"
        elif part[0].isdigit() and unit in _SMALLER_UNITS:
            text += f" {part} {next(parts, _SMALLER_UNITS[unit])}"
        else:  # the units to convert into, the precision
            break
    return text


def _grouped(number: str) -> str:
    return f"{int(number):,}" if number.isdecimal() and len(number) < _LONGEST_NUMBER else number


_LONGEST_NUMBER = 30
_RANGES = {"-": "–", "–": "–", "to": " to ", "and": " and ", "x": " × ", "by": " × ", "or": " or "}
_SMALLER_UNITS = {"ft": "in", "lb": "oz", "st": "lb", "mi": "yd", "yd": "ft"}


def _value(call: Call) -> str:
    """A number with its uncertainty, power of ten and unit."""
    number = call.text("1")
    if error := call.text("2"):
        number += f" ± {error}"
    if power := call.text("e"):
        number += f"×10^{power}"
    unit = call.text("u", "ul")
    return f"{number} {unit}" if unit else number


_CALLABLES = {
    "convert": _convert,
    "cvt": _convert,
    "val": _value,
    "sup": lambda call: raised(call.text("1")),
    "sub": lambda call: lowered(call.text("1")),
}
