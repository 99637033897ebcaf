from collections.abc import Callable
from dataclasses import replace

import pytest

from animelm.data.sources.qa import QARecord
from animelm.evaluate.comparison.control import control_accuracy
from animelm.evaluate.generate import Answer
from animelm.evaluate.results import Result, make_result
from animelm.evaluate.scoring import Scores

Make = Callable[..., QARecord]


def _asked(make_record: Make, *keys: tuple[str, ...]) -> list[Result]:
    return [
        make_result(
            "base",
            Answer(make_record(id=str(number), keys=each), "own", "", reached_end=True),
            Scores(0.0, 0.0, 0.0, 0.0),
            seed=0,
        )
        for number, each in enumerate(keys)
    ]


def test_the_answer_that_is_most_often_right_is_the_control(make_record: Make) -> None:
    results = _asked(make_record, ("はい",), ("はい。", "ええ"), ("いいえ",), ("はい", "はい!"))
    assert control_accuracy(results) == 0.75
    # A second adapter is asked the same questions.
    assert control_accuracy([*results, *(replace(r, run=1) for r in results)]) == 0.75


def test_of_a_multiple_choice_the_control_is_chance(make_record: Make) -> None:
    results = [replace(r, choices=5) for r in _asked(make_record, ("魚",), ("魚",))]
    assert control_accuracy(results) == pytest.approx(0.2)


def test_without_questions_there_is_no_control() -> None:
    assert control_accuracy([]) is None
