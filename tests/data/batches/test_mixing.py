from collections import Counter

import numpy as np
import pytest

from animelm.data.batches.batch import Document
from animelm.data.batches.loaders import PackedLoader
from animelm.data.batches.mixing import (
    TrainingSource,
    cap_repeats,
    repeats_per_epoch,
    training_loader,
)
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


def test_a_document_that_is_chosen_twice_is_shown_twice() -> None:
    loader = mixed(source(0, 0, 1, 2, 3, 4, 5, passes=1), block_size=100)
    assert tokens_of(loader)[0] == 80


def test_repeats_are_counted_from_the_shares() -> None:
    # 120 tokens are half of the epoch; 60 are drawn from 20, and 60 from 70.
    sources = [source(0, 1, 2, passes=1), source(3, share=0.25), source(4, 5, share=0.25)]
    assert repeats_per_epoch(sources) == [0, pytest.approx(3), pytest.approx(60 / 70)]
    # An empty source is left out.
    empty = [source(0, passes=1), source(share=0.6), source(1, share=0.5)]
    assert repeats_per_epoch(empty) == [0, 0, pytest.approx(0.8)]


def test_a_small_source_is_drawn_no_more_often_than_the_cap() -> None:
    sources = [source(0, 1, 2, 4, passes=1), source(5, share=0.3), source(3, share=0.2)]
    capped = cap_repeats(sources, 2.0)
    assert repeats_per_epoch(sources) == [0, pytest.approx(10.8), pytest.approx(3.6)]
    assert repeats_per_epoch(capped) == [0, pytest.approx(2), pytest.approx(2)]
    shown = tokens_of(mixed(*capped))
    assert shown[5] == pytest.approx(20, abs=10) and shown[3] == pytest.approx(40, abs=10)


def test_the_other_shares_stay_when_one_is_capped() -> None:
    sources = [source(0, 1, 2, passes=1), source(5, share=0.3), source(4, share=0.2)]
    whole, small, other = cap_repeats(sources, 4.0)
    assert (whole, other) == (sources[0], sources[2])
    # 120 shown and 40 drawn are four fifths.
    assert small.share == pytest.approx(0.2)


def test_shares_within_the_cap_or_of_no_meaning_stay_as_they_are() -> None:
    for sources in (
        [source(0, 1, passes=1), source(2, share=0.2)],
        [source(0, passes=1), source(1, share=0.5), source(2, share=0.5)],
        [source(share=0.5)],
    ):
        assert cap_repeats(sources, 4.0) == sources
