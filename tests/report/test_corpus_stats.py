import dataclasses
import io
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from animelm.corpus.statistics import (
    ArticleText,
    CorpusStatistics,
    Quartiles,
    TokenStatistics,
    corpus_statistics,
)
from animelm.report.corpus_stats import histogram_rows, print_statistics, statistics_page

STATISTICS = CorpusStatistics(
    articles=18_000,
    characters=90_000_000,
    lengths=Quartiles(40, 1_500, 3_000, 6_000, 120_000),
    histogram=(0, 5, 0, 10, 0, 0, 0, 0, 0, 0, 0),
    category_count=321,
    categories=(("日本のアニメ", 12_000), ("[映画]", 3_000)),
    samples=(ArticleText("[星の海]", "本文[bold]です " + "長" * 500, ("日本のアニメ",)),),
    tokens=TokenStatistics(
        70_000_000, Quartiles(30, 1_200, 2_500, 4_700, 90_000), 0.7777, 0.8444, 200
    ),
)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data):
        self.text += data


def parse(page: str) -> _Tags:
    parser = _Tags()
    parser.feed(page)
    parser.close()
    return parser


def printed(statistics: CorpusStatistics) -> str:
    console = Console(width=100, record=True, file=io.StringIO())
    print_statistics(statistics, "corpus", console)
    return console.export_text()


@pytest.mark.parametrize("render", [printed, lambda s: parse(statistics_page(s, "corpus")).text])
def test_figures_categories_and_samples_are_shown_as_they_are(render):
    text = render(STATISTICS)
    for figure in ("18,000", "90,000,000", "70,000,000", "0.778", "0.844", "2,500", "120,000"):
        assert figure in text
    for name in ("日本のアニメ", "[映画]", "12,000", "2 of 321", "[星の海]", "本文[bold]です"):
        assert name in text
    assert 350 < text.count("長") < 500


def test_a_corpus_without_tokens_and_categories_is_shown_too():
    bare = dataclasses.replace(STATISTICS, tokens=None, categories=(), samples=())
    for text in (printed(bare), parse(statistics_page(bare, "corpus")).text):
        assert "tokens" not in text and "by category" not in text and "Samples" not in text


def test_empty_bars_are_shown_only_between_others():
    rows = histogram_rows(STATISTICS)
    assert [(row.name, row.count, row.share) for row in rows] == [
        ("100 to 199", 5, 0.5),
        ("200 to 499", 0, 0.0),
        ("500 to 999", 10, 1.0),
    ]


HARMLESS = parse(statistics_page(corpus_statistics([ArticleText("a", "b", ("c",))]), "d"))
HOSTILE = st.text(alphabet="<>\"'&/=abs{}%# \n海", max_size=30) | st.sampled_from(
    ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</div></body>", "{{ 7 * 7 }}"]
)


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
def test_nothing_in_an_article_becomes_part_of_the_page(title, text, category, name):
    hostile = corpus_statistics([ArticleText(title, text, (category,))])
    found = parse(statistics_page(hostile, name))
    assert found.tags == HARMLESS.tags and found.attributes == HARMLESS.attributes
    for part in (title, text, category, name):
        assert part.strip() in found.text


def test_the_page_needs_no_other_file():
    page = statistics_page(STATISTICS, "corpus")
    assert page.startswith("<!DOCTYPE html>") and '<meta charset="utf-8">' in page
    assert not re.search(r"https?://|<script|<link|src=|@import|url\(", page)
