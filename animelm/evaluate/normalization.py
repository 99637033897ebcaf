"""The forms in which answers are compared, and finding a name or number as a whole word in one.

Japanese writes no spaces, so "whole word" means here: a run of katakana, of Latin letters or of
digits is not cut in two. キラ is found in キラとラクス and in キラ・ヤマト, not in キラキラ; 1月
not in 11月; H not in He.
"""

import re
import unicodedata
from functools import lru_cache

_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_DECIMAL_POINT = re.compile(r"(?<=\d)\.(?=\d)")
_POINT = "\ufdd0"  # a noncharacter: stands for a decimal point while punctuation is removed
_SPACE_OUTSIDE_NUMBERS = re.compile(r"(?<!\d) | (?!\d)")
# Mathematical signs to Unicode, punctuation in names: tilde, equals, minus, fraction slash, bar.
_SEPARATING_SIGNS = frozenset("~=−⁄|")

_KATAKANA = "ァ-ヴヷ-ヺ"
_LATIN = "a-z\u00df-\u024f"
_NUMBER = "0-9.〇一二三四五六七八九十百千万億兆"
# (first or last character of the name, what may not stand before it, what may not stand after it)
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
    """NFKC, case folded, every run of brackets, punctuation, decoration and spaces made one space.

    Decimal points stay and thousands separators go, so that 1,000.5 remains one number.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    folded = _DECIMAL_POINT.sub(_POINT, _THOUSANDS.sub("", folded))
    spaced = "".join(" " if _separates(character) else character for character in folded)
    return " ".join(spaced.replace(_POINT, ".").split())


def _separates(character: str) -> bool:
    if character == _POINT:
        return False
    category = unicodedata.category(character)
    return category[0] in "PZC" or category == "So" or character in _SEPARATING_SIGNS


@lru_cache(maxsize=1 << 16)
def normalize(text: str) -> str:
    """NFKC, case folded, without brackets, punctuation, decoration (☆) and spaces.

    One space stays where two numbers would otherwise run together: 「1、2」 becomes "1 2", not
        "12".
    """
    return _SPACE_OUTSIDE_NUMBERS.sub("", words(text))


@lru_cache(maxsize=1 << 16)
def compact(text: str) -> str:
    """``normalize`` without any space. A text that names something holds its compact form."""
    return words(text).replace(" ", "")


def occurrences(name: str, text: str) -> list[tuple[int, int]]:
    """Where ``name`` stands as a whole word in ``text``: (start, end) in ``words(text)``.

    Separators inside the name or the text make no difference (レベッカ 宮本 is レベッカ宮本),
    except between digits. Kanji numerals bound numbers too: 一月 is not found in 十一月. A name
    without a letter or digit is found nowhere.
    """
    wanted = compact(name)
    if not wanted or wanted not in compact(text):
        return []
    return [match.span() for match in _whole_word(words(name)).finditer(words(text))]


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
