"""Normalizes answers for comparison, and finds names and numbers in them as whole words.

Japanese has no spaces between words, so a "whole word" here does not divide a run of katakana, of
Latin letters or of digits. キラ is found in キラとラクス and in キラ・ヤマト, not in キラキラ; 1月
not in 11月; H not in He.

A name without any letter or digit (◎, !?) is found among the symbols of a text.
"""

import re
import unicodedata
from functools import lru_cache

_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_DECIMAL_POINT = re.compile(r"(?<=\d)\.(?=\d)")
_POINT = "\ufdd0"  # a noncharacter that replaces decimal points while punctuation is removed
_SPACE_OUTSIDE_NUMBERS = re.compile(r"(?<!\d) | (?!\d)")
# Mathematical symbols in Unicode, but punctuation in names: tilde, equals, minus, slash, bar.
_SEPARATING_SIGNS = frozenset("~=−⁄|")
_BRACKETS = ("Ps", "Pe", "Pi", "Pf")
_QUOTES = "\"'"
_SENTENCE_MARKS = frozenset("!?.,、。・…")
# Voicing marks that stand alone become those that join the kana before them.
_VOICING = str.maketrans("゛゜", "\u3099\u309a")

_KATAKANA = "ァ-ヴヷ-ヺ"
_LATIN = "a-z\u00df-\u024f"
_NUMBER = "0-9.〇一二三四五六七八九十百千万億兆"
# (first or last character of the name, what may not precede it, what may not follow it)
_BOUNDARIES = (
    (
        re.compile(f"[{_KATAKANA}ー]"),
        f"(?<![{_KATAKANA}])(?<![{_KATAKANA}]ー)",
        f"(?![{_KATAKANA}ー])",
    ),
    (re.compile(f"[{_LATIN}]"), f"(?<![{_LATIN}])", f"(?![{_LATIN}])"),
    (re.compile(f"[{_NUMBER}]"), f"(?<![{_NUMBER}])", f"(?![{_NUMBER}])"),
)


@lru_cache(maxsize=1 << 16)
def words(text: str) -> str:
    """NFKC and case folding; runs of brackets, punctuation, decoration and spaces become one space.

    Decimal points are kept and thousands separators removed, so that 1,000.5 remains one number.
    """
    folded = _DECIMAL_POINT.sub(_POINT, _THOUSANDS.sub("", _folded(text)))
    spaced = "".join(" " if _separates(character) else character for character in folded)
    return " ".join(spaced.replace(_POINT, ".").split())


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text.translate(_VOICING)).casefold()
    return unicodedata.normalize("NFKC", plain)


def _separates(character: str) -> bool:
    if character == _POINT:
        return False
    category = unicodedata.category(character)
    return category[0] in "PZC" or category == "So" or character in _SEPARATING_SIGNS


@lru_cache(maxsize=1 << 16)
def normalize(text: str) -> str:
    """NFKC and case folding, without brackets, punctuation, decoration (☆) and spaces.

    A space between two numbers is kept: 「1、2」 becomes "1 2", not "12". A text without any letter
    or digit keeps its symbols, so that ◎ and !? differ.
    """
    return _SPACE_OUTSIDE_NUMBERS.sub("", words(text)) or _symbols(text)


@lru_cache(maxsize=1 << 16)
def compact(text: str) -> str:
    """``normalize`` without any space. A text with a name contains its compact form."""
    return words(text).replace(" ", "")


@lru_cache(maxsize=1 << 16)
def searchable(text: str) -> str:
    """What ``occurrences`` searches: ``words(text)``, and below it the text with its symbols."""
    return f"{words(text)}\n{_with_symbols(text)}"


def _with_symbols(text: str) -> str:
    return "".join(each for each in _folded(text) if unicodedata.category(each)[0] not in "ZC")


def _symbols(text: str) -> str:
    """A text without letters and digits, without spaces, and without brackets around it."""
    symbols = _with_symbols(text)
    start, end = 0, len(symbols)
    while start < end and _encloses(symbols[start]):
        start += 1
    while start < end and _encloses(symbols[end - 1]):
        end -= 1
    return symbols[start:end]


def _encloses(character: str) -> bool:
    return character in _QUOTES or unicodedata.category(character) in _BRACKETS


def occurrences(name: str, text: str) -> list[tuple[int, int]]:
    """Where ``name`` occurs as a whole word in ``text``: (start, end) in ``searchable(text)``.

    Separators inside the name or the text are ignored (レベッカ 宮本 is レベッカ宮本), except
    between digits. Kanji numerals count as digits: 一月 is not found in 十一月. A name of symbols
    stands apart from other symbols (! is not in !!); one of punctuation ends no sentence.
    """
    wanted = compact(name)
    if not wanted:
        return _symbol_occurrences(_symbols(name), text)
    if wanted not in compact(text):
        return []
    return [match.span() for match in _whole_word(words(name)).finditer(words(text))]


def _symbol_occurrences(name: str, text: str) -> list[tuple[int, int]]:
    if not name:
        return []
    whole = searchable(text)
    first = len(words(text)) + 1
    starts = (found.start() for found in re.finditer(re.escape(name), whole[first:]))
    spans = ((first + start, first + start + len(name)) for start in starts)
    return [span for span in spans if _stands_alone(name, whole[: span[0]], whole[span[1] :])]


def _stands_alone(name: str, before: str, after: str) -> bool:
    """Whether symbols belong to no longer run, and to no sentence or name that they end."""
    last, first = before[-1:], after[:1]
    if any(_is_symbol(each) for each in (last, first) if each and each not in "。、.,\n"):
        return False
    return not (_SENTENCE_MARKS.issuperset(name) and last.isalnum() and last != "は")


def _is_symbol(character: str) -> bool:
    return unicodedata.category(character)[0] in "PS" and not _encloses(character)


@lru_cache(maxsize=1 << 14)
def _whole_word(name: str) -> re.Pattern[str]:
    pattern, previous, parted = "", "", False
    for character in name:
        if character == " ":
            parted = True
            continue
        if previous:
            between_digits = previous.isdigit() and character.isdigit()
            pattern += (" " if parted else "") if between_digits else " ?"
        pattern += re.escape(character)
        previous, parted = character, False
    return re.compile(_boundary(name[0], before=True) + pattern + _boundary(name[-1], before=False))


def _boundary(character: str, before: bool) -> str:
    for kind, not_before, not_after in _BOUNDARIES:
        if kind.match(character):
            return not_before if before else not_after
    return ""
