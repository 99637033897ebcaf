"""The length of a run in steps and tokens, from its training data."""

from dataclasses import dataclass

from animelm.data.batches.loaders import PackedLoader
from animelm.errors import UserError


@dataclass(frozen=True)
class RunLength:
    """Steps and tokens of a run.

    Attributes:
        tokens_per_epoch: tokens of the documents in an epoch, replay included, padding not.
        batches_per_epoch: batches of one process in an epoch.
        steps: optimizer steps of the whole run; None if the run has no limit.
        tokens: tokens of the documents in the whole run; None if the run has no limit.
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
    """Counts the steps and tokens of a run.

    Args:
        loader: the training batches.
        accumulation: batches of an optimizer step; the remainder at an epoch's end is a step too.
        epochs: number of epochs; None or -1: no limit.
        max_steps: largest number of optimizer steps; -1: no limit.
        limit: largest number of batches of an epoch, or as a float the share of them to train on.

    Raises:
        UserError: ``limit`` is a share that amounts to less than one batch.
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
    """As Lightning applies ``limit_train_batches``, which ``overfit_batches`` also sets."""
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
