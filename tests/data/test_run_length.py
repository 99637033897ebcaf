import numpy as np
import pytest

from animelm.data.batch import Document
from animelm.data.loaders import training_loader
from animelm.data.run_length import run_length

LENGTHS = np.array([700, 300, 500, 90, 410], dtype=np.int64)


def loader(replay_share: float = 0.0):
    documents = [
        Document(np.ones(n, dtype=np.int32), np.ones(n, dtype=np.bool_), str(n)) for n in LENGTHS
    ]
    return training_loader(
        documents,
        LENGTHS,
        own=np.arange(4),
        rehearsed=np.array([4]),
        replay_share=replay_share,
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


def test_replay_counts_as_full_blocks() -> None:
    length = run_length(loader(0.2), accumulation=1, epochs=1)
    assert length.tokens_per_epoch == 1590 + 3 * 128


@pytest.mark.parametrize(
    ("accumulation", "epochs", "max_steps", "steps"),
    [(1, 3, -1, 21), (2, 3, -1, 12), (100, 3, -1, 3), (2, 3, 5, 5), (2, -1, 5, 5), (1, None, 9, 9)],
)
def test_steps_end_with_the_epochs_or_before(accumulation, epochs, max_steps, steps) -> None:
    length = run_length(loader(), accumulation, epochs, max_steps)
    assert length.batches_per_epoch == 7
    assert length.steps == steps
