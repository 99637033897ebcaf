"""A made-up case whose counts are known by hand."""

import csv
from pathlib import Path

import pytest

from animelm.evaluate.comparison.files import write_outcomes
from animelm.evaluate.comparison.outcomes import changes, count_outcomes, grouped
from animelm.evaluate.results import Result
from animelm.evaluate.summary import paired_differences

# Work, relation, direction; right before and right after.
CASE = [
    ("鷹", "hero", "forward", 0, 1),
    ("鷹", "hero", "reverse", 0, 1),
    ("鷹", "year", "forward", 1, 1),
    ("鶴", "hero", "forward", 1, 0),
    ("鶴", "year", "forward", 0, 0),
    ("鶴", "year", "reverse", 0, 0),
    ("亀", "hero", "forward", 0, 1),
]
COUNTS = {"gained": 3, "kept": 1, "lost": 1, "never_known": 2}


def answers(model: str, column: int, run: int = 0) -> list[Result]:
    return [
        Result(
            model, "anime_only_read", f"q{number}", "anime", work, f"{work}/{relation}",
            direction, f"{relation}/{direction}/00", "問?", ("答。",), ("答",), "", True,
            float(row[column]), 0.0, 0.0, 0, run=run,
        )
        for number, row in enumerate(CASE)
        for work, relation, direction in [row[:3]]
    ]  # fmt: skip


def test_outcomes_are_those_counted_by_hand() -> None:
    found = changes(answers("base", 3), answers("sft", 4))
    assert count_outcomes(found) == COUNTS
    by_relation = {name: count_outcomes(each) for name, each in grouped(found, "relation").items()}
    assert by_relation == {
        "hero": {"gained": 3, "kept": 0, "lost": 1, "never_known": 0},
        "year": {"gained": 0, "kept": 1, "lost": 0, "never_known": 2},
    }
    assert count_outcomes(grouped(found, "direction")["reverse"]) == {
        "gained": 1, "kept": 0, "lost": 0, "never_known": 1,
    }  # fmt: skip
    assert set(grouped(found, "work")) == {"鷹", "鶴", "亀"}
    assert len(grouped(found, "wording")["hero/forward/00"]) == 3


def test_the_summary_holds_the_same_counts_and_a_test() -> None:
    results = {"base": answers("base", 3), "sft": answers("sft", 4)}
    difference = paired_differences(results, 0)["sft-base"]["anime_only_read"]
    assert difference.outcomes == COUNTS
    assert difference.accuracy == pytest.approx(2 / 7)
    # By work +2, -1 and +1. Of their 8 sign patterns 6 have a sum of 2 or more either way.
    assert difference.p_value == pytest.approx(6 / 8)


def test_several_adapters_are_one_row_and_half_of_them_make_a_question_known() -> None:
    two = [*answers("sft", 4), *answers("sft", 3, run=1)]
    found = changes(answers("base", 3), two)
    # Each question that one of two runs knows counts as known, with half a point.
    assert count_outcomes(found) == {"gained": 3, "kept": 2, "lost": 0, "never_known": 2}
    assert [change.difference for change in found] == [0.5, 0.5, 0.0, -0.5, 0.0, 0.0, 0.5]


def test_models_asked_differently_are_refused() -> None:
    with pytest.raises(ValueError, match="same questions"):
        changes(answers("base", 3)[1:], answers("sft", 4))


def test_every_question_is_listed_and_every_group_is_counted(tmp_path: Path) -> None:
    write_outcomes(tmp_path, {"base": answers("base", 3), "sft": answers("sft", 4)})
    listed = list(csv.DictReader((tmp_path / "outcomes.csv").open(encoding="utf-8")))
    assert len(listed) == len(CASE)
    assert [row["id"] for row in listed if row["outcome"] == "lost"] == ["q3"]
    counted = list(csv.DictReader((tmp_path / "outcome_counts.csv").open(encoding="utf-8")))
    whole = next(row for row in counted if row["kind"] == "all")
    assert {name: int(whole[name]) for name in COUNTS} == COUNTS
    assert {row["kind"] for row in counted} == {"all", "direction", "relation", "wording", "work"}
