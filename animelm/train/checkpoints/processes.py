"""Goes on from a checkpoint on another number of processes, or with other batches.

An optimizer step must cover the same blocks of the data. Then the order of the blocks is the same,
and only the counts of batches change.
"""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from animelm.errors import UserError
from animelm.train.checkpoints.setup import OTHERWISE, TrainingSetup
from animelm.train.fsdp.states import join_states, quantize_states


def adapt_to_processes(
    checkpoint: dict[str, Any], state: dict[str, Any], own: TrainingSetup
) -> None:
    """Counts the batches of a checkpoint as this run has them, and joins its optimizer states.

    No block is trained twice or left out, except for fewer at the end of an epoch than there are
    processes. Dropout and the order of sums differ, so the result is not the same to the bit.

    Args:
        checkpoint: is changed: Lightning's counts, the position in the data, and the optimizer
            states of processes that shared the model.
        state: of all processes, as ``save_process_states`` saved it; is changed: the gradients
            that were accumulated so far.
        own: of this run.

    Raises:
        UserError: a step would cover other blocks, or the checkpoint lies within a batch of this
            run, or between two optimizer steps where this run shares the model (FSDP2).
    """
    processes, sharded = len(state["random_states"]), state["sharded"]
    is_divided_alike = (processes, sharded) == (own.processes, own.sharded)
    batches = state.get("batches") or {}
    saved = (processes, batches.get("blocks_per_batch"), batches.get("accumulated"))
    changed = saved != (own.processes, own.blocks_per_batch, own.accumulated)
    known = own.blocks_per_batch is not None and None not in saved
    if changed and known:
        _convert_batches(checkpoint, state, own)
    if is_divided_alike:
        return
    _require_movable(state, processes, own, known)
    if sharded:
        _join_optimizer_states(checkpoint, own)
    rank_zero_warn(
        f"this run goes on with {_named(own.processes, own.sharded)} instead of "
        f"{_named(processes, sharded)}: no document is repeated or left out, but the result is "
        "not the same to the bit"
    )


def _convert_batches(checkpoint: dict[str, Any], state: dict[str, Any], own: TrainingSetup) -> None:
    batches = state["batches"]
    before = batches["blocks_per_batch"] * len(state["random_states"])
    step = before * batches["accumulated"]
    if step != own.blocks_per_step:
        raise UserError(
            f"an optimizer step covered {step} blocks in the run that wrote the checkpoint, and "
            f"covers {own.blocks_per_step} here; set data.blocks_per_batch and "
            "trainer.accumulate_grad_batches so that their product with the number of processes, "
            f"{own.processes}, is {step}, {OTHERWISE}"
        )
    _Conversion(before, own).convert(checkpoint, state)


def _require_movable(
    state: Mapping[str, Any], processes: int, own: TrainingSetup, known: bool
) -> None:
    same = f"resume with {_named(processes, state['sharded'])}, {OTHERWISE}"
    if processes != own.processes and not known:
        raise UserError(f"the checkpoint does not say how its data were divided; {same}")
    if own.sharded and "windows" in state:
        raise UserError(
            "the checkpoint lies between two optimizer steps, and FSDP2 cannot go on with "
            f"gradients accumulated by others; resume from another one, or {same}"
        )


def _join_optimizer_states(checkpoint: dict[str, Any], own: TrainingSetup) -> None:
    whole = [join_states(each) for each in checkpoint["optimizer_states"]]
    # Processes that share the model divide the states first.
    checkpoint["optimizer_states"] = whole if own.sharded else list(map(quantize_states, whole))


def _named(processes: int, sharded: bool) -> str:
    return f"{processes} process(es)" + (" under FSDP2" if sharded else "")


class _Conversion:
    """From batches of ``before`` blocks, over all processes, to those of a run."""

    def __init__(self, before: int, own: TrainingSetup) -> None:
        self._before, self._own = before, own
        self._now = (own.blocks_per_batch or 1) * own.processes

    def convert(self, checkpoint: dict[str, Any], state: dict[str, Any]) -> None:
        loop = checkpoint["loops"]["fit_loop"]
        [loader] = loop["state_dict"]["combined_loader"]
        settings = loader["settings"]
        blocks = settings["blocks"]
        loader["next_batch"] = self._position(loader["next_batch"], blocks)
        settings["blocks_per_batch"] = self._own.blocks_per_batch
        settings["processes"] = self._own.processes
        progress = loop["epoch_loop.batch_progress"]
        for counts, begun in (
            (progress["current"], self._position(progress["current"]["ready"], blocks)),
            (progress["total"], progress["total"]["ready"] * self._before // self._now),
        ):
            behind = {name: counts["ready"] - counts[name] for name in counts}
            counts.update({name: begun - behind[name] for name in counts})
        if "windows" in state:
            state["windows"] = [self._window(state["windows"])] * self._own.processes

    def _position(self, batches: int, blocks: int) -> int:
        """The number of batches of this run that hold the blocks of the first ``batches``."""
        divided = blocks - blocks % self._own.processes
        last = -(-divided // self._now)
        if batches * self._before >= divided:
            return last
        return self._whole(batches)

    def _whole(self, batches: int) -> int:
        count, rest = divmod(batches * self._before, self._now)
        if rest:
            raise UserError(
                "the checkpoint lies within a batch of this run; resume from another one, or with "
                "as many processes as before"
            )
        return count

    def _window(self, windows: list[Mapping[str, Any]]) -> dict[str, Any]:
        """What every process has accumulated: the mean, which is what processes take together."""
        gradients = zip(*(window["gradients"] for window in windows), strict=True)
        return {
            **windows[0],
            "batches": self._whole(windows[0]["batches"]),
            "gradients": [_mean(parts) for parts in gradients],
        }


def _mean(parts: tuple[Tensor | None, ...]) -> Tensor | None:
    found = [part for part in parts if part is not None]
    return sum(found[1:], start=found[0]) / len(parts) if found else None
