"""Templates known by name, from ``templates.yaml``."""

import re
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from babel import Locale
from babel.core import get_global

_SEPARATOR = re.compile(r"\s+/\s+")


def _by_name(groups: dict[str, str]) -> dict[str, str]:
    """Text by template name, from names by text."""
    return {
        name: text for text, names in groups.items() for name in _SEPARATOR.split(names.strip())
    }


def _any_of(expressions: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{expression})" for expression in expressions))


_TABLES: dict[str, Any] = yaml.safe_load(
    files(__package__).joinpath("templates.yaml").read_text(encoding="utf-8")
)

PATTERNS = _by_name(_TABLES["patterns"])
"""Name: pattern with arguments in braces."""

JOINED = _by_name(_TABLES["joined"])
"""Name: the separator of its positional arguments."""

SIGNS = _by_name(_TABLES["signs"])
"""Name: fixed text."""

BOX_KINDS: dict[str, str] = _TABLES["box_kinds"]
"""The part after the slash of an infobox's name: what it describes."""

DATES = frozenset(_SEPARATOR.split(_TABLES["dates"].strip()))
"""Names of dates whose arguments are year, month and day."""

CONTAINERS = frozenset(_SEPARATOR.split(_TABLES["containers"].strip()))
"""Names of frames around blocks of text."""

_SHORT_LANGUAGES: dict[str, str] = _TABLES["short_languages"]
_NOTES = _any_of(_TABLES["notes"])
_DROPPED = frozenset(_SEPARATOR.split(_TABLES["dropped"].strip()))
_DROPPED_PATTERN = _any_of(_TABLES["dropped_patterns"])
_INFOBOX_PATTERN = _any_of(_TABLES["infoboxes"])


@cache
def is_dropped(name: str) -> bool:
    """Whether a template is removed: navigation, maintenance, notes, citations."""
    if name in _DROPPED or _NOTES.fullmatch(name):
        return True
    return _DROPPED_PATTERN.search(name) is not None


@cache
def is_infobox(name: str) -> bool:
    """Whether the name is that of an infobox."""
    return _INFOBOX_PATTERN.search(name) is not None


@cache
def country_name(code: str, language: str) -> str:
    """The name of a country by its ISO 3166 alpha-3 code, in ``ja`` or ``en``; empty if none."""
    if len(code) != 3:
        return ""
    codes = get_global("territory_aliases").get(code.upper(), ())
    return Locale(language).territories.get(codes[0], "") if codes else ""


@cache
def language_name(code: str, language: str) -> str:
    """The name of a language by its code, in ``ja`` or ``en``; empty if none."""
    code = get_global("language_aliases").get(code, code)  # "fry" is "fy"
    return Locale(language).languages.get(code.replace("-", "_"), "")


def language_label(code: str, language: str, is_short: bool = False) -> str:
    """The label before a foreign word; empty if the language is not known.

    Args:
        code: code of the foreign language.
        language: ``ja`` or ``en``, the language of the label.
        is_short: whether the label is abbreviated, as by ``{{lang-en-short}}``.
    """
    short = _SHORT_LANGUAGES.get(code) if is_short and language == "ja" else None
    return short or language_name(code, language)
