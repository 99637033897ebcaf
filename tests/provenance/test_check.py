from dataclasses import replace
from pathlib import Path

import pytest

from animelm.data.held_out import SplitSettings
from animelm.errors import UserError
from animelm.provenance.check import (
    other_training_data,
    recorded_split,
    require_same_base,
    require_same_data,
    require_same_split,
)
from animelm.provenance.record import BaseRecord, DataRecord, TrainingStep

ADAPTER = Path("runs/sft/adapter")
BASE = BaseRecord("checkpoints/small", "c" * 64, "w" * 64, "t" * 64)
QUESTIONS = DataRecord("questions", "qa.jsonl", "q" * 64)
STEP = TrainingStep("sft", "0.1.0", 3, BASE, (QUESTIONS,), SplitSettings(0, held_out_works=0.25))


def test_the_base_of_the_training_fits_under_another_name() -> None:
    require_same_base(ADAPTER, [STEP], replace(BASE, name="elsewhere"))


@pytest.mark.parametrize("part", ["config", "weights", "tokenizer"])
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


def test_one_of_several_folders_of_the_training_fits() -> None:
    folders = tuple(DataRecord("general_articles", name, name) for name in ("one", "two"))
    require_same_data(ADAPTER, [replace(STEP, data=folders)], folders[1:])


def test_data_that_one_step_of_the_chain_did_not_have_are_told() -> None:
    """What is held out of the questions of one step may be among those that the other trained."""
    other = replace(QUESTIONS, path="other.jsonl", sha256="z" * 64)
    steps = [STEP, replace(STEP, step="more", data=(other,))]
    for source, told in ((QUESTIONS, "of other.jsonl (zzz"), (other, "of qa.jsonl (qqq")):
        require_same_data(ADAPTER, steps, [source])
        [sentence] = other_training_data(ADAPTER, steps, [source])
        assert told in sentence
        assert f"and {source.path} holds others" in sentence
    assert other_training_data(ADAPTER, [STEP, STEP], [QUESTIONS]) == []


def test_the_split_of_a_chain_is_that_of_all_its_steps() -> None:
    cpt = replace(STEP, step="cpt", split=SplitSettings(0, validation_share=0.05))
    expected = {"seed": 0, "dev_share": 0.25, "validation_share": 0.05, "held_out_works": 0.25}
    assert recorded_split({ADAPTER: [cpt, STEP]}) == expected


def test_steps_that_were_split_differently_are_refused() -> None:
    other = replace(STEP, step="more", split=SplitSettings(1))
    message = (
        r"the step sft of .*sft/adapter was trained with seed=0, and the step more of .*seed=1"
    )
    with pytest.raises(UserError, match=message):
        recorded_split({ADAPTER: [STEP, other]})
    with pytest.raises(UserError, match=r"seed=0, and the step more of second with seed=1"):
        recorded_split({ADAPTER: [STEP], Path("second"): [other]})


def test_another_split_is_refused_with_both_values_named() -> None:
    require_same_split(ADAPTER, [STEP], {"seed": 0, "held_out_works": None, "validation_share": 1})
    with pytest.raises(
        UserError, match=r"held_out_works=0.25, and this run has held_out_works=0.1"
    ):
        require_same_split(ADAPTER, [STEP], {"seed": 0, "held_out_works": 0.1})
