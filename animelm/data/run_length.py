"""How long a run is: its steps and tokens, from the data that it would train on."""

from dataclasses import dataclass

from animelm.data.loaders import PackedLoader


@dataclass(frozen=True)
class RunLength:
    """Steps and tokens of a run.

    Attributes:
        tokens_per_epoch: tokens of documents that an epoch shows, replay included.
        batches_per_epoch: batches of one process.
        steps: optimiser steps of the whole run.
        tokens: tokens of documents of the whole run.
    """

    tokens_per_epoch: int
    batches_per_epoch: int
    steps: int
    tokens: int


def run_length(
    loader: PackedLoader, accumulation: int, epochs: int | None, max_steps: int = -1
) -> RunLength:
    """Counts what a trainer would do with ``loader``.

    Args:
        loader: of the training batches.
        accumulation: batches of an optimiser step; what is left at an epoch's end is one too.
        epochs: of the run; None where ``max_steps`` alone ends it.
        max_steps: optimiser steps at most; -1: no limit.
    """
    per_epoch = -(-len(loader) // accumulation)
    tokens = loader.sampler.tokens
    limits = [] if epochs is None or epochs < 0 else [epochs * per_epoch]
    limits += [] if max_steps < 0 else [max_steps]
    steps = min(limits, default=per_epoch)
    return RunLength(tokens, len(loader), steps, round(tokens * steps / per_epoch))
