"""How long a run is: its steps and tokens, from the data that it would train on."""

from dataclasses import dataclass

from animelm.data.batches.loaders import PackedLoader
from animelm.errors import UserError


@dataclass(frozen=True)
class RunLength:
    """Steps and tokens of a run.

    Attributes:
        tokens_per_epoch: tokens of documents that an epoch shows, replay included.
        batches_per_epoch: batches of one process.
        steps: optimiser steps of the whole run; None where nothing ends it.
        tokens: tokens of documents of the whole run; None where nothing ends it.
    """

    tokens_per_epoch: int
    batches_per_epoch: int
    steps: int | None
    tokens: int | None


def run_length(
    loader: PackedLoader,
    accumulation: int,
    epochs: int | None,
    max_steps: int = -1,
    limit: int | float = 1.0,
) -> RunLength:
    """Counts what a trainer would do with ``loader``.

    Args:
        loader: of the training batches.
        accumulation: batches of an optimiser step; what is left at an epoch's end is one too.
        epochs: of the run; None or -1: no limit.
        max_steps: optimiser steps at most; -1: no limit.
        limit: batches of an epoch at most, or as a float the share of them that is trained.

    Raises:
        UserError: ``limit`` is a share of less than one batch.
    """
    batches = _limited(len(loader), limit)
    tokens = round(loader.sampler.tokens * batches / len(loader))
    per_epoch = -(-batches // accumulation)
    limits = [] if epochs is None or epochs < 0 else [epochs * per_epoch]
    limits += [] if max_steps < 0 else [max_steps]
    limits += [] if batches else [0]
    if not limits:
        return RunLength(tokens, batches, None, None)
    steps = min(limits)
    return RunLength(tokens, batches, steps, round(tokens * steps / max(1, per_epoch)))


def _limited(batches: int, limit: int | float) -> int:
    """As Lightning reads ``limit_train_batches``, to which it also sets ``overfit_batches``."""
    if isinstance(limit, int):
        return min(batches, limit)
    limited = min(batches, int(batches * limit))
    if limit > 0 and not limited:
        raise UserError(
            f"trainer.limit_train_batches or overfit_batches is {limit}: less than one of the "
            f"{batches:,} batches of an epoch; expected {1 / batches:.2g} or more, or a number of "
            "batches"
        )
    return limited
