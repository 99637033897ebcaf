"""Dates that depend on the day on which a page is read, and ages."""

from collections.abc import Callable
from datetime import date

from babel.dates import get_month_names

from animelm.corpus.wikitext.templates.calls import Call

AGES = frozenset(
    ("age", "age in years", "age in years nts", "年数", "満年齢", "年齢", "現在の年齢", "年齢計算")
)
"""Names of templates that count the whole years between two dates, or since one."""

_YEAR_DIGITS, _MONTHS = 4, 12


def age(call: Call, today: date | None) -> str:
    """``{{age in years|1980|5|6|2010|5|5}}`` is 29.

    Args:
        call: its arguments are year, month and day of one date or two, or one year or two.
        today: the second date where it is not given; None gives an empty text.
    """
    parts = [part for part in call.positional if part]
    if not all(part.isdecimal() and len(part) <= _YEAR_DIGITS for part in parts):
        return ""
    numbers = tuple(map(int, parts))
    # Two numbers are years, or a year and a month.
    size = {1: 1, 2: 1, 3: 3, 6: 3}.get(len(numbers), 0)
    if len(numbers) == 2 and numbers[1] <= _MONTHS:
        size = 2
    if not size:
        return ""
    begin, end = numbers[:size], numbers[size:]
    if not end:
        if today is None:
            return ""
        end = (today.year, today.month, today.day)[:size]
    return str(end[0] - begin[0] - (end[1:] < begin[1:])) if begin <= end else ""


def current_date(word: str, today: date, language: str) -> str | None:
    """The value of a variable such as ``{{CURRENTYEAR}}``; None for another word.

    Args:
        word: name of the variable.
        today: the day.
        language: ``ja`` or ``en``, the language of names of months.
    """
    part = _PARTS.get(word.removeprefix("CURRENT").removeprefix("LOCAL"))
    return part(today, language) if part and word.startswith(("CURRENT", "LOCAL")) else None


# https://www.mediawiki.org/wiki/Help:Magic_words#Date_and_time
_PARTS: dict[str, Callable[[date, str], str]] = {
    "YEAR": lambda day, _: str(day.year),
    "MONTH": lambda day, _: f"{day.month:02}",
    "MONTH1": lambda day, _: str(day.month),
    "MONTH2": lambda day, _: f"{day.month:02}",
    "MONTHNAME": lambda day, language: get_month_names(locale=language)[day.month],
    "MONTHNAMEGEN": lambda day, language: get_month_names(locale=language)[day.month],
    "MONTHABBREV": lambda day, language: get_month_names("abbreviated", locale=language)[day.month],
    "DAY": lambda day, _: str(day.day),
    "DAY2": lambda day, _: f"{day.day:02}",
    "DOW": lambda day, _: str(day.isoweekday() % 7),
    "WEEK": lambda day, _: str(day.isocalendar().week),
}
