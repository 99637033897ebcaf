"""Saves the adapter alone, in PEFT's format."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from animelm.files import recover_folder, whole_folder, write_errors_as_user_errors
from animelm.train.callbacks.schedule import EveryNSteps


class AdapterCheckpoint(Callback):
    """Writes ``<dirpath>/adapter`` at the end of training and, if a period is given, during it.

    The folder is written completely or not at all: it is written under a temporary name and then
    renamed. If the run is killed between moving the old folder away and the new one in, the next
    run restores the old one.

    Args:
        dirpath: folder in which ``adapter`` is written; None uses the trainer's
            ``default_root_dir``, so that the path does not depend on the log's version.
        every_n_steps: period in optimizer steps; None writes at the end only.

    Raises:
        UserError: ``every_n_steps`` is below 1.
    """

    def __init__(self, dirpath: Path | None = None, every_n_steps: int | None = None) -> None:
        self.dirpath = dirpath
        self._periodic = every_n_steps is not None
        self._schedule = EveryNSteps(1 if every_n_steps is None else every_n_steps)
        self._adapter: Path | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        folder = self.dirpath or Path(trainer.default_root_dir)
        trial = trainer.fast_dev_run  # type: ignore[attr-defined]
        self._adapter = None if trial else folder / "adapter"
        self._schedule.start(trainer.global_step)
        if self._adapter and trainer.is_global_zero:
            recover_folder(self._adapter)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if self._periodic and self._schedule.due(trainer.global_step):
            self._save(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # A run that ended on a saving step has nothing new to save.
        missing = self._adapter is not None and not self._adapter.exists()
        if self._schedule.newly_reached(trainer.global_step) or missing:
            self._save(trainer, pl_module)

    def _save(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._adapter is None:
            return
        writing = trainer.is_global_zero
        with (
            write_errors_as_user_errors(self._adapter),
            whole_folder(self._adapter) if writing else nullcontext(self._adapter) as folder,
        ):
            # All processes take part; the first one writes.
            pl_module.save_adapter(folder)  # type: ignore[operator]
        trainer.strategy.barrier("adapter-checkpoint")
