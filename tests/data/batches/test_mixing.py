from collections import Counter

import numpy as np
import pytest

from animelm.data.batches.batch import Document
from animelm.data.batches.loaders import PackedLoader
from animelm.data.batches.mixing import TrainingSource, training_loader
from animelm.errors import UserError

LENGTHS = np.array([40, 50, 30, 20, 60, 10], dtype=np.int64)
DOCUMENTS = [
    Document(np.full(n, i, dtype=np.int32), np.ones(n, dtype=bool), str(i))
    for i, n in enumerate(LENGTHS)
]


def mixed(*sources: TrainingSource, block_size: int = 10) -> PackedLoader:
    return training_loader(sources, block_size, 2, 99, seed=0, rank=0, world_size=1)


def source(*numbers: int, **weights) -> TrainingSource:
    return TrainingSource(DOCUMENTS, LENGTHS, np.array(numbers, dtype=np.int64), **weights)


def tokens_of(loader: PackedLoader) -> Counter[int]:
    return Counter(int(t) for batch in loader for t in batch.input_ids[~batch.is_padding])


def test_an_epoch_shows_each_source_in_its_passes() -> None:
    shown = tokens_of(mixed(source(0, 1, passes=2), source(2, passes=1)))
    assert shown == {0: 80, 1: 100, 2: 30}


def test_each_share_is_a_share_of_all_tokens() -> None:
    lengths = np.tile(LENGTHS, 100)
    documents = DOCUMENTS * 100

    def part(first: int, **weights) -> TrainingSource:
        return TrainingSource(documents, lengths, np.arange(first, first + 200), **weights)

    sources = part(0, passes=1), part(200, share=0.25), part(400, share=0.25)
    loader = training_loader(sources, 512, 1, 99, seed=0, rank=0, world_size=1)
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        shown = [0, 0, 0]
        for blocks in loader.sampler:
            for piece in (piece for block in blocks for piece in block):
                # The documents of the sources are numbered one source after another.
                shown[piece.document // len(documents)] += piece.stop - piece.start
        assert shown[0] == lengths[:200].sum()
        assert shown[1] / sum(shown) == pytest.approx(0.25, abs=0.01)
        assert shown[2] / sum(shown) == pytest.approx(0.25, abs=0.01)


def test_a_block_holds_documents_of_several_sources() -> None:
    loader = mixed(source(0, 1, 2, passes=4), source(3, 4, 5, passes=4), block_size=100)
    blocks = [block for blocks in loader.sampler for block in blocks]
    mixed_blocks = [b for b in blocks if len({piece.document // 6 for piece in b}) == 2]
    assert len(mixed_blocks) >= len(blocks) / 2


def test_what_is_drawn_differs_between_epochs() -> None:
    loader = mixed(source(0, passes=1), source(1, 2, 3, 4, share=0.5))
    epochs = []
    for epoch in range(4):
        loader.sampler.set_epoch(epoch)
        epochs.append(tokens_of(loader))
    assert len({tuple(sorted(shown.items())) for shown in epochs}) > 1


def test_a_source_that_leads_comes_before_all_others() -> None:
    loader = mixed(source(0, passes=3), source(5, passes=2, leads=True))
    order = [int(t) for batch in loader for t in batch.input_ids.flatten()]
    assert order[:20] == [5] * 20 and 5 not in order[20:]


def test_a_source_without_documents_is_left_out() -> None:
    assert tokens_of(mixed(source(0, passes=1), source(share=0.5))) == {0: 40}


def test_shares_that_leave_nothing_are_refused() -> None:
    with pytest.raises(UserError, match=r"add up to 1; expected less than 1"):
        mixed(source(0, passes=1), source(1, share=0.5), source(2, share=0.5))
