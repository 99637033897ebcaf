"""Shows statistics of a corpus in the terminal and as an HTML page."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from rich.bar import Bar
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from animelm.corpus.statistics import LENGTH_EDGES, ArticleText, CorpusStatistics, Quartiles
from animelm.terminal import Terminal

_SAMPLE_CHARACTERS = 400
_BAR_WIDTH = 40
_QUARTILES = ("minimum", "25 %", "median", "75 %", "maximum")


@dataclass(frozen=True)
class Row:
    """A row with a bar: name, number of articles, and its ratio to the largest number."""

    name: str
    count: int
    share: float


@dataclass(frozen=True)
class Lengths:
    """A row of the table of lengths: the unit, and the quartiles."""

    unit: str
    values: Sequence[int]


def print_statistics(
    statistics: CorpusStatistics, name: str, console: Console | None = None
) -> None:
    """Prints the figures, the histogram, the categories and the samples.

    Args:
        statistics: the statistics.
        name: name of the corpus.
        console: the console to print to; None for the terminal.
    """
    parts: list[RenderableType] = [Text(name, style="bold")]
    parts += [_figure_table(statistics), _length_table(statistics)]
    parts.append(_bar_table("Articles by length in characters", histogram_rows(statistics)))
    if statistics.categories:
        parts.append(_bar_table(_category_title(statistics), category_rows(statistics)))
    # Text, not markup: an article may hold [brackets].
    parts += [Panel(Text(_beginning(s)), title=Text(s.title)) for s in statistics.samples]
    (console or Terminal()).print(Group(*parts))


def statistics_page(statistics: CorpusStatistics, name: str) -> str:
    """The same as an HTML page without other files; text of articles is escaped.

    Args:
        statistics: the statistics.
        name: name of the corpus.
    """
    return _template().render(
        name=name,
        figures=figures(statistics),
        quartile_names=_QUARTILES,
        lengths=length_rows(statistics),
        histogram=histogram_rows(statistics),
        category_title=_category_title(statistics),
        categories=category_rows(statistics),
        samples=[(sample, _beginning(sample)) for sample in statistics.samples],
    )


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True,
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("corpus_stats.html.j2")


def figures(statistics: CorpusStatistics) -> list[tuple[str, str]]:
    """Names and values of the single numbers."""
    found = [
        ("articles", f"{statistics.articles:,}"),
        ("characters", f"{statistics.characters:,}"),
    ]
    if tokens := statistics.tokens:
        found += [
            ("tokens", f"{tokens.tokens:,}"),
            ("tokens per character", f"{tokens.per_character:.3f}"),
        ]
        if tokens.per_japanese_character is not None:
            ratio = f"{tokens.per_japanese_character:.3f}"
            found.append(
                (f"tokens per kana or kanji ({tokens.measured_articles:,} articles)", ratio)
            )
    return found


def length_rows(statistics: CorpusStatistics) -> list[Lengths]:
    """Quartiles of the lengths of articles, in characters and, if counted, in tokens."""
    rows = [Lengths("characters", _values(statistics.lengths))]
    if statistics.tokens:
        rows.append(Lengths("tokens", _values(statistics.tokens.lengths)))
    return rows


def _values(quartiles: Quartiles) -> tuple[int, ...]:
    q = quartiles
    return (q.smallest, q.lower, q.median, q.upper, q.largest)


def histogram_rows(statistics: CorpusStatistics) -> list[Row]:
    """A row for each range of lengths, without empty ranges at both ends."""
    names = [
        f"under {LENGTH_EDGES[0]:,}",
        *(f"{a:,} to {b - 1:,}" for a, b in pairwise(LENGTH_EDGES)),
        f"{LENGTH_EDGES[-1]:,} and more",
    ]
    filled = [number for number, count in enumerate(statistics.histogram) if count]
    shown = slice(filled[0], filled[-1] + 1)
    return _rows(list(zip(names, statistics.histogram, strict=True))[shown])


def category_rows(statistics: CorpusStatistics) -> list[Row]:
    """A row for each of the most frequent categories."""
    return _rows(statistics.categories)


def _rows(counts: Sequence[tuple[str, int]]) -> list[Row]:
    largest = max((count for _, count in counts), default=1)
    return [Row(name, count, count / largest) for name, count in counts]


def _category_title(statistics: CorpusStatistics) -> str:
    shown, count = len(statistics.categories), statistics.category_count
    return (
        f"Articles by category ({shown} of {count:,})" if count > shown else "Articles by category"
    )


def _beginning(sample: ArticleText) -> str:
    text = sample.text
    return text if len(text) <= _SAMPLE_CHARACTERS else text[:_SAMPLE_CHARACTERS] + " …"


def _figure_table(statistics: CorpusStatistics) -> Table:
    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for figure, value in figures(statistics):
        table.add_row(figure, value)
    return table


def _length_table(statistics: CorpusStatistics) -> Table:
    table = Table("", title="Length of an article")
    for quartile in _QUARTILES:
        table.add_column(quartile, justify="right")
    for row in length_rows(statistics):
        table.add_row(row.unit, *(f"{value:,}" for value in row.values))
    return table


def _bar_table(title: str, rows: Sequence[Row]) -> Table:
    table = Table(title=title, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(min_width=_BAR_WIDTH)
    for row in rows:
        table.add_row(Text(row.name), f"{row.count:,}", Bar(1, 0, row.share, width=_BAR_WIDTH))
    return table
