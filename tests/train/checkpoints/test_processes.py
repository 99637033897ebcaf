"""The data of a run that goes on with other batches are those of an unbroken one."""

import copy
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from animelm.data.batches.packing import Piece
from animelm.data.batches.sampler import BlockSampler
from animelm.errors import UserError
from animelm.train.checkpoints.processes import adapt_to_processes
from animelm.train.checkpoints.setup import TrainingSetup

BLOCKS = 24
COUNTS = ("ready", "started", "processed", "completed")
BEFORE = TrainingSetup(2, False, {}, {}, blocks_per_batch=2, accumulated=2)


def sampler(setup: TrainingSetup, rank: int) -> BlockSampler:
    blocks = [[Piece(number, 0, 4)] for number in range(BLOCKS)]
    return BlockSampler(
        blocks,
        block_size=4,
        blocks_per_batch=setup.blocks_per_batch,
        seed=1,
        rank=rank,
        world_size=setup.processes,
    )


def steps(setup: TrainingSetup, state: dict | None = None) -> Iterator[set[int]]:
    """The documents of each optimizer step of all processes, in order."""
    ranks = [sampler(setup, rank) for rank in range(setup.processes)]
    for each in ranks if state else ():
        each.load_state_dict(state)
    batches = list(zip(*ranks, strict=True))
    for first in range(0, len(batches), setup.accumulated):
        step = batches[first : first + setup.accumulated]
        yield {block[0].document for batch in step for share in batch for block in share}


def written(setup: TrainingSetup, batches: int) -> tuple[dict, dict]:
    """A checkpoint after so many batches of the first epoch, and its state of the processes."""
    loader = sampler(setup, 0)
    taken = iter(loader)
    for _ in range(batches):
        next(taken)
    counts = {name: batches - (name == "completed") for name in COUNTS}
    loop = {
        "state_dict": {"combined_loader": [loader.state_dict()]},
        "epoch_loop.batch_progress": {"current": counts, "total": dict(counts)},
    }
    state = {
        "sharded": setup.sharded,
        "random_states": [{}] * setup.processes,
        "batches": {
            "blocks_per_batch": setup.blocks_per_batch,
            "accumulated": setup.accumulated,
        },
    }
    return {"loops": {"fit_loop": loop}}, state


@pytest.mark.parametrize("taken", [0, 1, 2])
@pytest.mark.parametrize(
    ("processes", "blocks_per_batch", "accumulated"),
    [(1, 8, 1), (1, 2, 4), (1, 1, 8), (4, 1, 2), (8, 1, 1), (2, 1, 4), (2, 4, 1)],
)
@pytest.mark.filterwarnings("ignore:this run goes on")
def test_no_document_is_repeated_or_left_out(
    taken: int, processes: int, blocks_per_batch: int, accumulated: int
) -> None:
    after = replace(
        BEFORE, processes=processes, blocks_per_batch=blocks_per_batch, accumulated=accumulated
    )
    checkpoint, state = written(BEFORE, taken * BEFORE.accumulated)
    adapt_to_processes(checkpoint, state, after)
    [loader] = checkpoint["loops"]["fit_loop"]["state_dict"]["combined_loader"]
    assert list(steps(after, loader)) == list(steps(BEFORE))[taken:]
    progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    batches = taken * accumulated
    for counts in progress.values():
        assert counts == {name: batches - (name == "completed") for name in COUNTS}


@pytest.mark.filterwarnings("ignore:this run goes on")
def test_after_the_last_batch_of_an_epoch_none_is_left() -> None:
    uneven = TrainingSetup(1, False, {}, {}, blocks_per_batch=5, accumulated=1)
    checkpoint, state = written(uneven, len(sampler(uneven, 0)))
    after = replace(uneven, processes=5, blocks_per_batch=1)
    adapt_to_processes(checkpoint, state, after)
    [loader] = checkpoint["loops"]["fit_loop"]["state_dict"]["combined_loader"]
    assert loader["next_batch"] == len(sampler(after, 0)) == 4


@pytest.mark.filterwarnings("ignore:this run goes on")
def test_gradients_that_were_accumulated_keep_their_mean_over_processes() -> None:
    checkpoint, state = written(BEFORE, 1)
    window = {"batches": 1, "first": 7.0, "tokens": 7.0, "losses": 2.0}
    state["windows"] = [
        window | {"gradients": [torch.tensor([1.0, 2.0]), None]},
        window | {"gradients": [torch.tensor([3.0, 6.0]), None]},
    ]
    after = replace(BEFORE, processes=1, accumulated=4)
    adapt_to_processes(checkpoint, state, after)
    [one] = state["windows"]
    assert (one["batches"], one["first"]) == (2, 7.0)
    assert one["gradients"][0].tolist() == [2.0, 4.0] and one["gradients"][1] is None


def test_a_checkpoint_within_a_batch_of_the_run_is_refused() -> None:
    checkpoint, state = written(BEFORE, 1)
    with pytest.raises(UserError, match="lies within a batch of this run"):
        adapt_to_processes(
            checkpoint, state, replace(BEFORE, processes=1, blocks_per_batch=8, accumulated=1)
        )


def test_a_step_of_other_blocks_is_refused() -> None:
    checkpoint, state = written(BEFORE, 2)
    with pytest.raises(
        UserError, match=r"covered 8 blocks .* covers 4 here; .* processes, 1, is 8"
    ):
        adapt_to_processes(checkpoint, state, replace(BEFORE, processes=1))


def test_batches_that_are_not_known_are_refused() -> None:
    checkpoint, state = written(BEFORE, 2)
    with pytest.raises(UserError, match=r"how its data were divided; resume with 2 process\(es\),"):
        adapt_to_processes(checkpoint, state, replace(BEFORE, processes=1, blocks_per_batch=None))


def test_gradients_that_others_have_accumulated_are_refused_under_fsdp2() -> None:
    checkpoint, state = written(BEFORE, 1)
    state["windows"] = [{}, {}]
    with pytest.raises(UserError, match="lies between two optimizer steps, and FSDP2 cannot go on"):
        adapt_to_processes(checkpoint, state, replace(BEFORE, sharded=True))


@pytest.mark.parametrize(
    "own",
    [BEFORE, replace(BEFORE, sharded=True, processes=1, accumulated=4)],
    ids=["each has all", "fewer share"],
)
def test_optimizer_states_of_processes_that_share_the_model_are_joined(own: TrainingSetup) -> None:
    checkpoint, state = written(replace(BEFORE, sharded=True), 2)
    groups = [{"params": [0], "lr": 0.1}]
    shards = [
        {"state": {0: {"step": torch.tensor(3.0), "exp_avg": part}}, "param_groups": groups}
        for part in (torch.ones(2, 3), torch.zeros(1, 3))
    ]
    checkpoint["optimizer_states"] = [{"shards": shards}]
    with pytest.warns(match=r"instead of 2 process\(es\) under FSDP2: no document is repeated"):
        adapt_to_processes(checkpoint, state, own)
    [joined] = checkpoint["optimizer_states"]
    assert joined["state"][0]["exp_avg"].tolist() == [[1.0] * 3, [1.0] * 3, [0.0] * 3]
    assert joined["param_groups"] == groups


def test_states_that_do_not_belong_together_are_refused() -> None:
    checkpoint, state = written(replace(BEFORE, sharded=True), 2)
    checkpoint["optimizer_states"] = [{"shards": [{"state": {}}, {}]}]
    with pytest.raises(UserError, match="optimizer states in the checkpoint cannot be joined"):
        adapt_to_processes(checkpoint, state, BEFORE)


def test_nothing_changes_for_the_same_run() -> None:
    checkpoint, state = written(BEFORE, 1)
    before = copy.deepcopy((checkpoint, state))
    adapt_to_processes(checkpoint, state, BEFORE)
    np.testing.assert_equal((checkpoint, state), before)
