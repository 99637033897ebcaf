"""Saves a checkpoint and ends the run when a signal asks for it."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.trainer.states import TrainerFn

from animelm.train.stop_signals import StoppedBySignal, StopSignals


class StopOnSignal(Callback):
    """Ends a run with ``StoppedBySignal`` at the first signal; a fit saves a checkpoint before.

    Several processes agree after every batch, so that all save and end together even if only one
    has received the signal. A single process ends in the middle of a validation or a test, which
    is not repeated when the run goes on.

    It must come after all callbacks with a state of their own, and before those that write
    checkpoints.

    Args:
        signals: handled for as long as the run lasts.

    Attributes:
        saved: the checkpoint that was written at the signal; None before.
    """

    def __init__(self, signals: StopSignals) -> None:
        self._signals = signals
        self._training = False
        self.saved: Path | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._signals.install()
        self._training = self._signals.postponed = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *rest: Any, **more: Any
    ) -> None:
        # Gradients that FSDP2 has accumulated cannot be saved.
        accumulating = trainer.fit_loop.epoch_loop._should_accumulate()
        if not (accumulating and pl_module.device_mesh is not None):
            self._stop_if_asked(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Only the adapter is left to write; the run ends as if no signal had come.
        self._training = False

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._signals.install()
        # Processes that wait for each other must end together.
        self._signals.postponed = trainer.world_size > 1
        self._stop_if_asked(trainer)

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *rest: Any, **more: Any
    ) -> None:
        self._stop_if_asked(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._signals.postponed = self._training

    on_test_start = on_predict_start = on_validation_start
    on_test_batch_end = on_predict_batch_end = on_validation_batch_end

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        if not (isinstance(exception, StoppedBySignal) and self._training):
            return
        self._signals.postponed = True
        writers = [c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint)]
        trial = trainer.fast_dev_run  # type: ignore[attr-defined]
        if trainer.state.fn != TrainerFn.FITTING or not writers or trial:
            return
        if trainer.validating:
            # As after its end: the next run goes on with the batch that follows.
            progress = trainer.fit_loop.epoch_loop.val_loop.batch_progress
            for counts in (progress.total, progress.current):
                for name in ("started", "processed", "completed"):
                    setattr(counts, name, counts.ready)
        folder = Path(writers[0].dirpath or trainer.default_root_dir)
        trainer.save_checkpoint(folder / "last.ckpt")
        self.saved = folder / "last.ckpt"

    def _stop_if_asked(self, trainer: pl.Trainer) -> None:
        number = self._signals.received
        if trainer.world_size > 1:
            noted = torch.tensor(number, device=trainer.strategy.root_device)
            number = int(trainer.strategy.reduce(noted, reduce_op="max"))
        if number:
            raise StoppedBySignal(number)
