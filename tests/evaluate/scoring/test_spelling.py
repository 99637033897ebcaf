import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animelm.data.sources.qa import QARecord
from animelm.evaluate.scoring import Distractors, key_accuracy, loose_key_accuracy
from animelm.evaluate.scoring.spelling import one_spelling

PAGES = Path(__file__).parents[3] / "docs"
TEXTS = st.text(
    alphabet="龍竜邊辺髙高々佐一二十百千万〇0123456789年月話ヶヵケかカ所ヴァィバルフー・「」 ,.",
    max_size=12,
)


def rows(page: str) -> list[list[str]]:
    """The rows of a page's tables of spellings, which have four columns."""
    text = (PAGES / page).read_text(encoding="utf-8")
    lines = re.findall(r"^\| (.*) \|$", text, re.MULTILINE)
    cells = [[cell.strip() for cell in line.split(" | ")] for line in lines]
    return [row for row in cells if len(row) == 4 and row[2] in ("=", "≠")]


@pytest.mark.parametrize("page", ["scoring.md", "scoring.ja.md"])
def test_the_documented_table_holds(page: str) -> None:
    table = rows(page)
    assert len(table) > 15
    for first, second, stricter, looser in table:
        for key, output in ((first, second), (second, first)):
            said = f"{key} {output}"
            assert key_accuracy(output, [key], []) == float(stricter == "="), said
            assert loose_key_accuracy(output, [key], []) == float(looser == "="), said


def test_both_pages_have_the_same_table() -> None:
    assert rows("scoring.md") == rows("scoring.ja.md")


@given(TEXTS)
def test_a_second_respelling_changes_nothing(text: str) -> None:
    assert one_spelling(one_spelling(text)) == one_spelling(text)


@given(st.text(max_size=20))
def test_any_text_has_one_spelling(text: str) -> None:
    assert one_spelling(one_spelling(text)) == one_spelling(text)


@given(TEXTS)
def test_a_spelling_that_is_found_is_found_the_other_way_round(text: str) -> None:
    other = one_spelling(text)
    assert loose_key_accuracy(text, [other], []) == loose_key_accuracy(other, [text], [])


@given(TEXTS, TEXTS)
def test_the_looser_score_is_never_below_the_stricter(output: str, key: str) -> None:
    record = QARecord("0", "w", "w/r", "forward", "q", "anime", "?", (key or "a",), (key,))
    scores = Distractors([record]).score(output, record)
    assert scores.loose_accuracy >= scores.accuracy


def test_another_spelling_of_a_distractor_is_one_as_well() -> None:
    output = "竜か、それとも渡邊です"
    assert loose_key_accuracy("竜と渡邊です", ["竜"], ["渡辺"]) == 0.0
    assert loose_key_accuracy(output, ["龍"], ["渡辺"]) == 0.0


def test_a_number_that_cannot_be_read_stays() -> None:
    assert one_spelling("十十") == "十十"
    assert one_spelling("九" * 5000) == "九" * 5000
