from dataclasses import replace

import pytest

from animelm.data.small_data import (
    FEW_QUESTIONS,
    FEW_STEPS,
    batches_shown,
    few_questions,
    few_steps,
    much_padding,
    without_short_keys,
)


def test_a_small_set_is_named_with_its_questions_and_works(make_records):
    records = make_records(2, 1)
    assert few_questions("anime_only_read", records).startswith(
        "anime_only_read holds 4 questions on 2 works:"
    )
    assert few_questions("x", records[:1]).startswith("x holds 1 question on 1 work:")
    assert few_questions("x", make_records(1, FEW_QUESTIONS)[:FEW_QUESTIONS]) == ""


@pytest.mark.parametrize(
    ("batches", "accumulated", "epochs", "most", "steps", "passes"),
    [(4, 2, 1, -1, 2, 50), (3, 2, 3, -1, 6, 50), (1, 1, 1, -1, 1, 100)],
)
def test_a_short_run_is_told_how_many_passes_it_needs(
    batches, accumulated, epochs, most, steps, passes
):
    text = few_steps(batches, accumulated, epochs, most)
    assert text.startswith(f"the run takes {steps} optimizer step")
    assert f"to {passes} passes" in text and "max_steps" not in text


@pytest.mark.parametrize(("epochs", "more_passes"), [(5, False), (-1, False), (1, True)])
def test_a_run_that_max_steps_ends_is_told_to_raise_it(epochs, more_passes):
    text = few_steps(80, 1, epochs, 20)
    assert text.startswith("the run takes 20 optimizer steps")
    assert "raise trainer.max_steps, which is 20" in text
    assert ("trainer.max_epochs to 2 passes" in text) == more_passes


@pytest.mark.parametrize(
    ("limit", "shown"), [(1.0, 19), (19, 19), (50, 19), (0.5, 9), (3, 3), (1, 1)]
)
def test_batches_that_an_epoch_leaves_out_are_named(limit, shown):
    batches, text = batches_shown(19, limit)
    assert batches == shown
    assert (f"after {shown} of its 19 batches" in text) == (shown < 19)


@pytest.mark.parametrize(("epochs", "most"), [(None, -1), (-1, -1), (10, -1), (-1, FEW_STEPS)])
def test_a_run_that_is_long_or_without_an_end_is_not_reported(epochs, most):
    assert few_steps(20, 2, epochs, most) == ""


def test_questions_without_a_short_key_are_counted(make_records):
    records = make_records(2, 1)
    assert without_short_keys(records) == ""
    some = [replace(records[0], whole_answers=True), *records[1:]]
    assert without_short_keys(some).startswith("1 of 4 questions have no short key")


@pytest.mark.parametrize(
    ("blocks", "tokens", "longest", "advice"),
    [
        (2, 600, 40, "set data.block_size to 320, or give more"),
        (4, 1200, 300, "set data.block_size to 320, or give more"),
        (2, 700, 500, "takes time; give more articles"),
        (1, 20, 20, "set data.block_size to 32,"),
        (4, 1900, 40, ""),
        (0, 0, 0, ""),
    ],
)
def test_padding_is_explained_with_what_to_set(blocks, tokens, longest, advice):
    text = much_padding(blocks, 512, tokens, "29 questions", longest)
    assert advice in text and bool(text) == bool(advice)
    if blocks == 2 and tokens == 600:
        assert text.startswith(
            "41% of an epoch is padding: 29 questions, with what is mixed in, are few: their 600 "
            "tokens do not fill 2 blocks of 512 tokens."
        )
