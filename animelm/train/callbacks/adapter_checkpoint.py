"""Saves the adapter alone, in PEFT's format."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.trainer.states import TrainerFn

from animelm.files import recover_folder, whole_folder, write_errors_as_user_errors
from animelm.train.callbacks.schedule import EveryNSteps


class AdapterCheckpoint(Callback):
    """Writes ``<dirpath>/adapter`` at the end of training and, if a period is given, during it.

    The folder is written completely or not at all: it is written under a temporary name and then
    renamed. If the run is killed between moving the old folder away and the new one in, the next
    run restores the old one.

    A run that was killed after its last checkpoint and before the adapter was written has no step
    left to take when it is resumed: the adapter is then written as soon as the weights are loaded.
    Whether to write is decided by the step alone, never by what lies on this process's disk, so all
    processes decide alike.

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
        self._written: int | None = None  # the step at which this run last wrote the adapter

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if trainer.state.fn == TrainerFn.FITTING and _is_finished(trainer, checkpoint):
            self._save(trainer, pl_module, checkpoint["global_step"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._schedule.start(trainer.global_step)
        self._written = None
        if trainer.is_global_zero:
            recover_folder(self.folder(trainer))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *rest: Any, **more: Any
    ) -> None:
        if self._periodic and self._schedule.due(trainer.global_step):
            self._save(trainer, pl_module, trainer.global_step)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # A run that ended on a saving step has nothing new to save.
        if self._written != trainer.global_step:
            self._save(trainer, pl_module, trainer.global_step)

    def folder(self, trainer: pl.Trainer) -> Path:
        """Where the adapter is written."""
        return (self.dirpath or Path(trainer.default_root_dir)) / "adapter"

    def _save(self, trainer: pl.Trainer, pl_module: pl.LightningModule, step: int) -> None:
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        adapter, writing = self.folder(trainer), trainer.is_global_zero
        with (
            write_errors_as_user_errors(adapter),
            whole_folder(adapter) if writing else nullcontext(adapter) as folder,
        ):
            # All processes take part; the first one writes.
            pl_module.save_adapter(folder, step)  # type: ignore[operator]
        self._written = step
        trainer.strategy.barrier("adapter-checkpoint")


def _is_finished(trainer: pl.Trainer, checkpoint: dict[str, Any]) -> bool:
    """Whether a run that goes on from a checkpoint would take no further step."""
    loop = checkpoint["loops"]["fit_loop"]
    done = (
        (loop["epoch_progress"]["current"]["processed"], trainer.max_epochs),
        (checkpoint["global_step"], trainer.max_steps),
    )
    return any(limit not in (None, -1) and count >= limit for count, limit in done)
