"""What a section of the report shows: pictures with their numbers, and tables."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from animelm.evaluate.summary import Bounds


@dataclass(frozen=True)
class PageTable:
    """A table of texts; the first cell of a row names it."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Exhibit:
    """A picture with the numbers behind it, or a table alone.

    Attributes:
        name: short, unique on the page, of ASCII letters and hyphens.
        title: what it shows.
        note: how to read it.
        table: the numbers.
        figure: the picture; None for a table alone.
    """

    name: str
    title: str
    note: str
    table: PageTable
    figure: Figure | None = None


NOTHING = "–"


def percent(value: float | None) -> str:
    """A share in percent with one decimal."""
    return NOTHING if value is None else f"{100 * value:.1f}%"


def bounds(value: Bounds | None) -> str:
    """An interval of shares in percent."""
    return NOTHING if value is None else f"[{100 * value[0]:.1f}, {100 * value[1]:.1f}]"


def signed_points(value: float) -> str:
    """A difference of shares in points, with its sign."""
    return f"{100 * value:+.1f}".replace("-", "−")


def signed_bounds(value: Bounds | None) -> str:
    """The interval of a difference in points."""
    return NOTHING if value is None else f"[{', '.join(map(signed_points, value))}]"


def number(value: float | None, digits: int) -> str:
    """A number with thousands separators."""
    return NOTHING if value is None else f"{value:,.{digits}f}"


def duration(seconds: float, japanese: bool) -> str:
    """A time in hours, minutes and seconds."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    units = ("時間", "分", "秒") if japanese else (" h", " min", " s")
    parts = [
        f"{value}{unit}"
        for value, unit in zip((hours, minutes, rest), units, strict=True)
        if value or (unit == units[2] and not whole)
    ]
    return ("" if japanese else " ").join(parts)
