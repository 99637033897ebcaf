"""Settings of the trainer that Lightning refuses with a traceback, or takes and does not honor."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import lightning as L

from animelm.errors import UserError

_INTERVAL = re.compile(
    r"`val_check_interval` \((\d+)\) must be less than or equal to the number of the training "
    r"batches \((\d+)\)"
)
_WATCHED = re.compile(r"Early stopping conditioned on metric `(.+?)` which is not available")
_METRIC = re.compile(r"`((?:accuracy|train|validation)/[^`]+)`")


def require_other_batches(trainer: L.Trainer) -> None:
    """Refuses ``overfit_batches``.

    Raises:
        UserError: it is set.
    """
    if trainer.overfit_batches > 0:  # type: ignore[attr-defined]
        raise UserError(
            "trainer.overfit_batches: our loaders show other documents in each epoch, so no batch "
            "would be repeated. For a trial name a folder with a few articles, or take a few "
            "batches with --trainer.limit_train_batches"
        )


@contextmanager
def lightnings_refusals() -> Iterator[None]:
    """Turns errors of Lightning about settings into one message each.

    Raises:
        UserError: instead of them.
    """
    try:
        yield
    except (ValueError, RuntimeError) as error:
        _explain(error)
        raise


def _explain(error: Exception) -> None:
    text = str(error)
    if found := _INTERVAL.search(text):
        raise UserError(
            f"trainer.val_check_interval is {found[1]}, but an epoch has {found[2]} batches; "
            "expected no more than these, or a share of an epoch such as 0.5. "
            "--trainer.limit_val_batches=0 switches validation off"
        ) from error
    if found := _WATCHED.search(text):
        logged = [name for name in _METRIC.findall(text) if name.count("/") < 3]
        raise UserError(
            f"trainer.callbacks: EarlyStopping watches {found[1]}, which is not logged; expected "
            f"one of {', '.join(logged)}"
        ) from error
