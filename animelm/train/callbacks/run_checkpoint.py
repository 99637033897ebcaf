"""Writes checkpoints of the whole run, by steps and by time, and keeps the last ones."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint

from animelm.errors import UserError
from animelm.files import link_whole

_LONGEST_MINUTES = 366 * 24 * 60


class RunCheckpoint(ModelCheckpoint):
    """Lightning's checkpoints of the last steps; ``last.ckpt`` is a second name of the newest.

    One is written at the end of each epoch, and within it after each period. It is never written
    between two optimizer steps, so that it holds no accumulated gradients.

    Args:
        every_n_steps: period in optimizer steps; None for none.
        minutes: period in minutes; None for none.
        keep_last: number of checkpoints that are kept.

    Raises:
        UserError: a period is not above 0, or ``keep_last`` is below 1.
    """

    def __init__(
        self, every_n_steps: int | None = None, minutes: float | None = None, keep_last: int = 2
    ) -> None:
        if every_n_steps is not None and every_n_steps < 1:
            raise UserError(f"every_n_steps is {every_n_steps}; expected 1 or more steps")
        if minutes is not None and not 0 < minutes <= _LONGEST_MINUTES:
            raise UserError(f"minutes is {minutes}; expected more than 0 minutes, a year at most")
        if keep_last < 1:
            raise UserError(f"keep_last is {keep_last}; expected 1 or more checkpoints")
        super().__init__(
            monitor="step",  # the last ones are those with the largest step
            mode="max",
            save_top_k=keep_last,
            save_last="link",
            enable_version_counter=False,
            every_n_epochs=1,
            save_on_train_epoch_end=True,
        )
        # As arguments they exclude each other; Lightning itself looks at each of them.
        self._every_n_train_steps = every_n_steps or 0
        self._train_time_interval = None if minutes is None else timedelta(minutes=minutes)

    @property
    def state_key(self) -> str:
        """The same for all periods, so that a run can be resumed with another one."""
        return type(self).__qualname__

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *rest: Any, **more: Any
    ) -> None:
        if not trainer.fit_loop.epoch_loop._should_accumulate():
            super().on_train_batch_end(trainer, pl_module, *rest, **more)

    @staticmethod
    def _link_checkpoint(trainer: pl.Trainer, filepath: str, linkpath: str) -> None:
        # Lightning's symbolic link is missing for a moment, and later points to a removed file.
        if trainer.is_global_zero:
            link_whole(Path(filepath), Path(linkpath))
        trainer.strategy.barrier()
