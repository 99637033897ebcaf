import re

from animelm.corpus.wikitext.templates.template_functions import COMPUTED
from animelm.corpus.wikitext.templates.template_rules import (
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


def test_names_are_written_as_calls_are_normalized():
    for name in (*PATTERNS, *JOINED, *SIGNS, *CONTAINERS, *DATES, *COMPUTED):
        assert name == " ".join(name.split()).lower(), name


def test_no_name_stands_in_two_tables():
    names = [*PATTERNS, *JOINED, *SIGNS, *CONTAINERS, *DATES, *COMPUTED]
    assert sorted(names) == sorted(set(names))
    assert not [name for name in names if name in SIGNS and is_infobox(name)]


def test_patterns_name_their_arguments():
    for pattern in PATTERNS.values():
        assert re.search(r"\{[^{}]+\}", pattern), pattern


def test_names_of_navigation_and_citation_are_dropped():
    for name in ("cite web", "navbox", "main", "u.s.-stub", "節stub", "sfn", "en icon"):
        assert is_dropped(name), name
    for name in ("ruby", "infobox film", "読み仮名", "基礎情報 国"):
        assert not is_dropped(name), name


def test_codes_have_names_in_both_languages():
    assert country_name("jpn", "ja") == "日本"
    assert country_name("usa", "en") == "United States"
    assert country_name("oic", "ja") == country_name("cat", "en") == ""
    assert language_name("fr", "ja") == "フランス語"
    assert language_name("fry", "en") == language_name("fy", "en") == "Western Frisian"
    assert language_name("zz", "en") == ""
