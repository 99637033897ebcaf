from dataclasses import replace
from pathlib import Path

import pytest

from animelm.errors import UserError
from animelm.provenance.check import (
    recorded_split,
    require_same_base,
    require_same_data,
    require_same_split,
)
from animelm.provenance.record import BaseRecord, DataRecord, TrainingStep

ADAPTER = Path("runs/sft/adapter")
BASE = BaseRecord("checkpoints/small", "c" * 64, "w" * 64)
QUESTIONS = DataRecord("questions", "qa.jsonl", "q" * 64)
STEP = TrainingStep("sft", "0.1.0", 3, BASE, (QUESTIONS,), {"seed": 0, "held_out_works": 0.25})


def test_the_base_of_the_training_fits_under_another_name() -> None:
    require_same_base(ADAPTER, [STEP], replace(BASE, name="elsewhere"))


@pytest.mark.parametrize("part", ["config", "weights"])
def test_another_base_is_refused_with_both_named(part: str) -> None:
    other = replace(BASE, name="other", **{f"{part}_sha256": "x" * 64})
    message = rf"sft/adapter was trained on the base checkpoints/small \({part} {part[0]}{{12}}\)"
    with pytest.raises(UserError, match=rf"{message}, and other is another one \({part} x{{12}}\)"):
        require_same_base(ADAPTER, [STEP], other)


def test_the_data_of_the_training_fit_from_another_place_and_so_do_new_roles() -> None:
    new = DataRecord("general_questions", "general.jsonl", "g")
    require_same_data(ADAPTER, [STEP], [replace(QUESTIONS, path="moved.jsonl"), new])


def test_other_data_of_the_same_role_are_refused_with_both_named() -> None:
    other = replace(QUESTIONS, path="other.jsonl", sha256="z" * 64)
    message = (
        r"trained on the questions of qa.jsonl \(q{12}\), and other.jsonl holds others \(z{12}"
    )
    with pytest.raises(UserError, match=message):
        require_same_data(ADAPTER, [STEP], [other])


def test_data_of_any_step_of_the_chain_fit() -> None:
    other = replace(QUESTIONS, sha256="z")
    require_same_data(ADAPTER, [STEP, replace(STEP, data=(other,))], [QUESTIONS])


def test_the_split_of_a_chain_is_that_of_all_its_steps() -> None:
    cpt = replace(STEP, step="cpt", split={"seed": 0, "validation_share": 0.05})
    expected = {"seed": 0, "validation_share": 0.05, "held_out_works": 0.25}
    assert recorded_split(ADAPTER, [cpt, STEP]) == expected


def test_steps_that_were_split_differently_are_refused() -> None:
    other = replace(STEP, step="more", split={"seed": 1})
    with pytest.raises(UserError, match="trained with seed=0, and the step more with 1"):
        recorded_split(ADAPTER, [STEP, other])


def test_another_split_is_refused_with_both_values_named() -> None:
    require_same_split(ADAPTER, [STEP], {"seed": 0, "held_out_works": None, "validation_share": 1})
    with pytest.raises(
        UserError, match=r"held_out_works=0.25, and this run has held_out_works=0.1"
    ):
        require_same_split(ADAPTER, [STEP], {"seed": 0, "held_out_works": 0.1})
