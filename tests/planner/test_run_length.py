import numpy as np
import pytest

from animelm.data.batches.batch import Document
from animelm.data.batches.mixing import TrainingSource, training_loader
from animelm.errors import UserError
from animelm.planner.run_length import run_length

LENGTHS = np.array([700, 300, 500, 90, 410], dtype=np.int64)


def loader(replay_share: float = 0.0):
    documents = [
        Document(np.ones(n, dtype=np.int32), np.ones(n, dtype=np.bool_), str(n)) for n in LENGTHS
    ]
    return training_loader(
        [
            TrainingSource(documents, LENGTHS, np.arange(4), passes=1),
            TrainingSource(documents, LENGTHS, np.array([4]), share=replay_share),
        ],
        block_size=128,
        blocks_per_batch=2,
        pad_token_id=0,
        seed=0,
        rank=0,
        world_size=1,
    )


def test_every_token_of_an_epoch_is_counted_once() -> None:
    length = run_length(loader(), accumulation=1, epochs=1)
    shown = sum(int((~batch.is_padding).sum()) for batch in loader())
    assert length.tokens == length.tokens_per_epoch == shown == 1590


def test_replay_counts_with_its_share() -> None:
    length = run_length(loader(0.2), accumulation=1, epochs=1)
    assert length.tokens_per_epoch == 1590 + round(1590 / 4)


@pytest.mark.parametrize(
    ("accumulation", "epochs", "max_steps", "steps"),
    [(1, 3, -1, 21), (2, 3, -1, 12), (100, 3, -1, 3), (2, 3, 5, 5), (2, -1, 5, 5), (1, None, 9, 9)],
)
def test_steps_end_with_the_epochs_or_before(accumulation, epochs, max_steps, steps) -> None:
    length = run_length(loader(), accumulation, epochs, max_steps)
    assert length.batches_per_epoch == 7
    assert length.steps == steps


@pytest.mark.parametrize(
    ("limit", "batches"), [(2, 2), (100, 7), (0, 0), (1.0, 7), (0.5, 3), (0.15, 1), (0.0, 0)]
)
def test_an_epoch_may_be_limited_by_number_or_by_share(limit: int | float, batches: int) -> None:
    length = run_length(loader(), accumulation=2, epochs=3, limit=limit)
    steps = 3 * -(-batches // 2)
    assert (length.batches_per_epoch, length.steps) == (batches, steps)
    assert length.tokens_per_epoch == round(1590 * batches / 7)
    assert length.tokens == 3 * length.tokens_per_epoch


def test_a_share_of_less_than_a_batch_is_refused() -> None:
    with pytest.raises(UserError, match=r"is 0\.1: less than one of the 7 batches of an epoch"):
        run_length(loader(), accumulation=1, epochs=1, limit=0.1)


def test_a_run_without_an_end_has_no_number_of_steps() -> None:
    length = run_length(loader(), accumulation=1, epochs=-1)
    assert length.steps is None and length.tokens is None
    assert length.tokens_per_epoch == 1590


def test_nothing_is_trained_without_batches_however_many_steps_there_may_be() -> None:
    assert run_length(loader(), 1, epochs=-1, max_steps=5, limit=0).steps == 0
