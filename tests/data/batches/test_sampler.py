import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animelm.data.batches.packing import Piece, pack
from animelm.data.batches.sampler import BlockSampler, Replay
from animelm.errors import UserError

SIZE = 8
LENGTHS = np.array([8] * 30 + [8, 4, 4, 3, 5] * 8)


def own_blocks(count):
    return [[Piece(i, 0, SIZE)] for i in range(count)]


def sampler_of(count=13, replay=0, **settings):
    """Full blocks, and as many empty ones as replay is to fill."""
    rehearsal = [Replay(LENGTHS, np.arange(30, len(LENGTHS)), replay * SIZE)] if replay else []
    settings = {"block_size": SIZE, "blocks_per_batch": 2, "seed": 3, **settings}
    return BlockSampler(own_blocks(count) + [[]] * replay, rehearsal, **settings)


def epoch_of(sampler, epoch):
    sampler.set_epoch(epoch)
    return list(sampler)


def flat(batches):
    return [tuple(block) for batch in batches for block in batch]


def test_every_block_comes_once_in_an_epoch_and_in_another_order_in_the_next():
    sampler = sampler_of()
    first, second = epoch_of(sampler, 0), epoch_of(sampler, 1)
    assert sorted(flat(first)) == sorted(flat(second)) == sorted(map(tuple, own_blocks(13)))
    assert first != second
    assert epoch_of(sampler, 0) == first
    assert len(first) == len(sampler) == 7


@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 5), st.booleans(), st.integers(0, 9))
def test_processes_share_the_blocks_without_overlap_and_in_equal_number(
    count, world_size, batch, shuffle, replay
):
    if shuffle and count + replay < world_size:
        return
    settings = {"blocks_per_batch": batch, "shuffle": shuffle, "world_size": world_size}
    replay = replay if shuffle else 0
    ranks = [sampler_of(count, replay, rank=r, **settings) for r in range(world_size)]
    shares = [epoch_of(sampler, 1) for sampler in ranks]
    assert len({tuple(len(b) for b in share) for share in shares}) == 1
    assert all(len(share) == len(ranks[0]) for share in shares)
    own = [b for share in shares for b in flat(share) if b and b[0].document < 30]
    assert len(own) == len(set(own))
    left_out = count + replay - sum(len(flat(share)) for share in shares)
    assert left_out < world_size and (shuffle or len(own) == min(count, 30) or count > 30)


def test_validation_keeps_the_order_and_fills_up_with_empty_blocks():
    ranks = [sampler_of(3, rank=r, world_size=2, shuffle=False) for r in range(2)]
    assert [flat(r) for r in ranks] == [
        [(Piece(0, 0, 8),), (Piece(2, 0, 8),)],
        [(Piece(1, 0, 8),), ()],
    ]


@given(st.integers(0, 7), st.integers(0, 3))
def test_a_loaded_state_goes_on_with_the_next_batch(seen, epoch):
    whole = epoch_of(sampler_of(replay=4), epoch)
    interrupted = sampler_of(replay=4)
    interrupted.set_epoch(epoch)
    batches = iter(interrupted)
    for _ in range(seen):
        next(batches)
    state = interrupted.state_dict()
    resumed = sampler_of(replay=4)
    resumed.load_state_dict(state)
    resumed.set_epoch(epoch)
    assert resumed.state_dict() == state
    assert list(resumed) == whole[seen:]
    assert list(resumed) == whole  # only the first time
    assert epoch_of(resumed, epoch + 1) == epoch_of(sampler_of(replay=4), epoch + 1)


def test_an_iteration_begins_at_the_beginning_even_after_one_broken_off():
    sampler = sampler_of()
    next(iter(sampler))
    assert len(list(sampler)) == len(sampler)


def test_a_state_of_other_settings_is_refused():
    state = sampler_of().state_dict()
    with pytest.raises(UserError, match="blocks_per_batch 2 → 3"):
        sampler_of(blocks_per_batch=3).load_state_dict(state)
    with pytest.raises(UserError, match="blocks 13 → 14"):
        sampler_of(14).load_state_dict(state)


def test_replay_is_drawn_afresh_in_each_epoch_and_the_same_again():
    def replayed(epoch):
        return sorted(b for b in flat(epoch_of(sampler_of(replay=5), epoch)) if b[0].document >= 30)

    assert len(replayed(0)) == len(replayed(1)) == 5
    assert replayed(0) == replayed(0) != replayed(1)


def test_replay_fills_the_room_beside_what_an_epoch_shows_whole():
    half_full = [[Piece(i, 0, 4)] for i in range(20)]
    replay = Replay(LENGTHS, np.flatnonzero(LENGTHS <= 4), 80)
    sampler = BlockSampler(half_full, [replay], block_size=SIZE, blocks_per_batch=1, seed=1)
    blocks = flat(epoch_of(sampler, 0))
    assert sorted(block[0] for block in blocks) == [piece for [piece] in half_full]
    assert all(sum(p.stop - p.start for p in block) <= SIZE for block in blocks)
    assert sum(len(block) == 2 and block[1].document >= 30 for block in blocks) >= 18


def test_replay_repeats_a_document_only_when_all_have_been_drawn():
    replay = Replay(LENGTHS, np.arange(30, 40), 96)
    drawn = replay.draw(np.random.default_rng(0)).tolist()
    assert 96 <= LENGTHS[drawn].sum() < 96 + 8
    counts = [drawn.count(document) for document in range(30, 40)]
    assert min(counts) >= 1 and max(counts) - min(counts) <= 1


def test_wrong_sizes_are_reported():
    with pytest.raises(UserError, match="blocks_per_batch"):
        sampler_of(blocks_per_batch=0)
    with pytest.raises(UserError, match="3 processes"):
        sampler_of(2, world_size=3)


def test_it_says_what_an_epoch_holds():
    own = pack([6, 6], 8)
    sampler = BlockSampler(own, block_size=8, blocks_per_batch=1)
    assert str(sampler) == "2 blocks of 8 tokens (25.0% padding)"
    replay = Replay(LENGTHS, np.arange(30, 40), 6)
    sampler = BlockSampler([*own, []], [replay], block_size=8, blocks_per_batch=1)
    assert str(sampler) == "3 blocks of 8 tokens (25.0% padding), 33% of them replay"
