import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from animelm.data.batches.batch import IGNORED, Document
from animelm.data.batches.packing import build_batch, fill, filled, pack, pack_selected
from animelm.errors import UserError

PAD = 9999
lengths_and_size = st.tuples(
    st.lists(st.integers(0, 60), max_size=40), st.integers(min_value=1, max_value=24)
)


def documents_of(lengths: list[int]) -> list[Document]:
    """Documents whose tokens are all different: 1000 times the document plus the place."""
    return [
        Document(np.arange(n, dtype=np.int32) + 100 * i + 10000, np.ones(n, dtype=np.bool_), str(i))
        for i, n in enumerate(lengths)
    ]


@given(lengths_and_size)
def test_every_token_lies_in_exactly_one_piece_and_no_block_overflows(case):
    lengths, size = case
    blocks = pack(lengths, size)
    seen = sorted((p.document, i) for block in blocks for p in block for i in range(*p[1:]))
    assert seen == [(d, i) for d, n in enumerate(lengths) for i in range(n)]
    assert all(sum(p.stop - p.start for p in block) <= size for block in blocks)
    assert all(blocks)


@given(lengths_and_size)
def test_at_most_one_block_is_half_empty(case):
    lengths, size = case
    fills = [sum(p.stop - p.start for p in block) for block in pack(lengths, size)]
    assert sum(2 * fill <= size for fill in fills) <= 1


def test_best_fit_decreasing_finds_the_perfect_packing():
    assert len(pack([4, 6, 7, 3, 5, 5], 10)) == 3
    assert all(filled(block) == 10 for block in pack([4, 6, 7, 3, 5, 5], 10))


def test_short_documents_keep_their_order_so_that_a_block_mixes_their_lengths():
    lengths = [3, 9] * 20
    (first, *_) = pack(lengths, 100)
    assert {lengths[piece.document] for piece in first} == {3, 9}


@given(lengths_and_size, lengths_and_size)
def test_filling_keeps_what_blocks_hold_and_leaves_out_only_what_fits_nowhere(own, added):
    lengths, size = np.array([*own[0], *added[0]], dtype=np.int64), own[1]
    before = pack(own[0], size)
    selected = np.arange(len(own[0]), len(lengths))
    after = fill(before, lengths, selected, size)
    assert len(after) == len(before)
    for old, new in zip(before, after, strict=True):
        assert new[: len(old)] == old and filled(new) <= size
    placed = {piece for block in after for piece in block}
    left_out = [
        length % size
        for number, length in zip(selected.tolist(), added[0], strict=True)
        if length % size and (number, length - length % size, length) not in placed
    ]
    widest = max((size - filled(block) for block in after), default=0)
    assert all(length > widest for length in left_out)


def test_selected_documents_keep_their_numbers():
    blocks = pack_selected(np.array([5, 7, 2, 4]), np.array([3, 1]), 11)
    assert {piece.document for block in blocks for piece in block} == {1, 3}


def test_a_block_of_no_tokens_is_refused():
    with pytest.raises(UserError, match="block_size"):
        pack([1], 0)


@given(lengths_and_size)
def test_positions_restart_and_targets_are_the_next_token_of_the_same_document(case):
    lengths, size = case
    batch = build_batch(documents_of(lengths), pack(lengths, size), size, PAD)
    ids, targets = batch.input_ids, batch.targets
    # The places follow from the tokens themselves: 100 per document, counted from 10000.
    for row in range(len(ids)):
        for column in range(size):
            token, target = int(ids[row, column]), int(targets[row, column])
            if batch.is_padding[row, column]:
                assert token == PAD and target == IGNORED
                continue
            document, place = divmod(token - 10000, 100)
            last = place == lengths[document] - 1
            assert target == (IGNORED if last else token + 1)
            assert int(batch.position_ids[row, column]) == place % size
    supervised = sum(max(0, n - 1) for n in lengths)
    assert batch.supervised_tokens == supervised


def test_padding_is_one_document_of_its_own():
    batch = build_batch(documents_of([3]), pack([3], 6), 6, PAD)
    assert batch.position_ids.tolist() == [[0, 1, 2, 0, 1, 2]]
    assert batch.is_padding.tolist() == [[False] * 3 + [True] * 3]
    assert batch.padding_share == pytest.approx(0.5)


def test_an_empty_block_is_padding_alone():
    batch = build_batch(documents_of([3]), [[]], 4, PAD)
    assert batch.is_padding.all() and (batch.targets == IGNORED).all()
    assert batch.position_ids.tolist() == [[0, 1, 2, 3]]


def test_only_supervised_tokens_become_targets():
    document = Document(np.array([5, 6, 7, 8], np.int32), np.array([0, 0, 1, 1], bool), "x")
    batch = build_batch([document], pack([4], 4), 4, PAD)
    assert batch.targets.tolist() == [[IGNORED, 7, 8, IGNORED]]


def test_a_batch_moves_whole_and_holds_int64():
    batch = build_batch(documents_of([3]), pack([3], 4), 4, PAD, "articles").to("meta")
    assert batch.name == "articles" and batch.input_ids.device.type == "meta"
    assert batch.input_ids.dtype == batch.position_ids.dtype == batch.targets.dtype == torch.int64
