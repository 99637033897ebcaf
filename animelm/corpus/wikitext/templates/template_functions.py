"""Templates whose text is computed from their arguments: measures, dates, pronunciations."""

import re
from collections.abc import Callable
from decimal import Decimal

from babel.dates import get_month_names

from animelm.corpus.wikitext.inline import subscript, superscript
from animelm.corpus.wikitext.templates.calls import Call
from animelm.corpus.wikitext.templates.japanese_names import NAMES, japanese_name

_LONGEST_NUMBER = 30
# Together at most the 28 digits of Python's default decimal precision.
_NUMBER = re.compile(r"[+-]?\d{1,14}(?:\.\d{1,14})?", re.ASCII)
_RANGES = {"-": "–", "–": "–", "to": " to ", "and": " and ", "x": " × ", "by": " × ", "or": " or "}
_SMALLER_UNITS = {"ft": "in", "lb": "oz", "st": "lb", "mi": "yd", "yd": "ft"}
# How the code of a unit is displayed.
_UNITS = {"C": "°C", "F": "°F", "sqmi": "sq mi", "sqft": "sq ft", "cuft": "cu ft", "cuyd": "cu yd"}
_POWER = re.compile(r"(?<=[a-z])[23]$")
_MONTHS = get_month_names(locale="en")
# Captions of a button that plays a recording.
_LISTEN = frozenset(
    (
        "発音",
        "聞く",
        "音声",
        "再生",
        "listen",
        "pronunciation",
        "pronounced",
        "audio",
        "help",
        "info",
    )
)
_IPA_LABELS = frozenset(("icon", "pron", "lang", "local", "also", "ipa", "lc", "audio"))
_ACCENTS = {"uk": "UK ", "us": "US ", "uklang": "UK ", "uslang": "US "}
_IPA_SIGNS = {"_": " ", ",": ", ", ",_": ", "}
_SOUND = re.compile(r"\.(?:og[gav]|wav|mp3|flac)$", re.IGNORECASE)


def _convert(call: Call) -> str:
    """A measure before conversion: ``{{convert|5|ft|6|in|m}}`` is "5 ft 6 in"."""
    parts = iter(filter(None, call.positional))
    text = _grouped(next(parts, ""))
    unit = ""
    for part in parts:
        if part in _RANGES:  # from one number to another
            text += _RANGES[part] + _grouped(next(parts, ""))
        elif not unit:
            unit = part
            text += f" {_unit(unit)}"
        elif part[0].isdigit() and unit in _SMALLER_UNITS:
            text += f" {part} {next(parts, _SMALLER_UNITS[unit])}"
        else:  # the units to convert into, the precision
            break
    return text


def _unit(code: str) -> str:
    return _UNITS.get(code) or _POWER.sub(lambda match: superscript(match[0]), code)


def _grouped(number: str) -> str:
    return f"{int(number):,}" if number.isdecimal() and len(number) < _LONGEST_NUMBER else number


def _value(call: Call) -> str:
    """A number with its uncertainty, power of ten and unit."""
    number = call.text("1")
    if error := call.text("2"):
        number += f" ± {error}"
    if power := call.text("e"):
        number += f"×10^{power}"
    unit = call.text("u", "ul")
    return f"{number} {unit}" if unit else number


def _rounded(call: Call) -> str:
    """A number rounded to some decimals; text that is not a number is unchanged."""
    return _to_decimals(call.text("1"), call.text("2") or "0", significant=False)


def _significant(call: Call) -> str:
    """A number rounded to some significant digits."""
    return _to_decimals(call.text("1"), call.text("2"), significant=True)


def _to_decimals(text: str, digits: str, significant: bool) -> str:
    number = text.replace(",", "")
    if not (_NUMBER.fullmatch(number) and re.fullmatch(r"-?\d", digits, re.ASCII)):
        return text
    places = int(digits) - (1 + Decimal(number).adjusted() if significant else 0)
    if len(number.partition(".")[2]) <= places:  # nothing to round
        return text
    return f"{round(Decimal(number), places):,f}"


def _as_of(call: Call) -> str:
    """``{{as of|2010|7|12}}``: "As of 12 July 2010"."""
    if text := call.text("alt"):
        return text
    year, month, day = (call.text(place) for place in "123")
    if month.isdecimal():
        month = _MONTHS.get(int(month[:_LONGEST_NUMBER]), month)
    word = "Since" if call.text("since") else "As of"
    if call.text("lc"):
        word = word.lower()
    return " ".join(filter(None, (word, day, month, year))) if year else ""


def _audio(call: Call) -> str:
    """The text beside the button of a recording, unless it is only its caption."""
    label = call.text("2")
    if label and label.lower() not in _LISTEN:
        return label
    spelled, reading = call.text("4"), call.text("5")
    return f"{spelled}（{reading}）" if spelled and reading else spelled


def _phonemes(call: Call) -> str:
    """``{{IPAc-en|US|b|r|ə}}``: "US /brə/"."""
    accent = text = ""
    for sign in call.positional:
        if sign.lower() in _ACCENTS:
            accent = _ACCENTS[sign.lower()]
        elif sign.lower() not in _IPA_LABELS and not _SOUND.search(sign):
            text += _IPA_SIGNS.get(sign, sign)
    opening, closing = "//" if call.name == "ipac-en" else "[]"
    return f"{accent}{opening}{text.strip()}{closing}" if text.strip() else ""


COMPUTED: dict[str, Callable[[Call], str]] = {
    "convert": _convert,
    "cvt": _convert,
    "val": _value,
    "round": _rounded,
    "rnd": _rounded,
    "sigfig": _significant,
    "significant figures": _significant,
    "as of": _as_of,
    "audio": _audio,
    "pronunciation": _audio,
    "ipac-en": _phonemes,
    "ipac-es": _phonemes,
    "ipac-pl": _phonemes,
    "sup": lambda call: superscript(call.text("1")),
    "sub": lambda call: subscript(call.text("1")),
    **dict.fromkeys(NAMES, japanese_name),
}
"""Name of a template: the function that computes its text."""
