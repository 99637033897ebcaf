"""Measures training speed in tokens that are not padding."""

import time
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from animelm.data.batches.batch import IGNORED, PackedBatch
from animelm.train.callbacks.schedule import EveryNSteps


class Throughput(Callback):
    """Logs speed and padding over windows of optimizer steps.

    ``train/tokens_per_second``: tokens that are not padding, per second of training without
    validation. ``train/padding_share``: padding's share of all positions.
    ``train/supervised_tokens``: tokens with a loss, mean per optimizer step. All are summed over
    processes.

    The counts stay on the device until a window ends, so that measuring does not slow the run.

    Args:
        every_n_steps: length of a window in optimizer steps; None uses the trainer's
            ``log_every_n_steps``.

    Raises:
        UserError: ``every_n_steps`` is below 1.
    """

    def __init__(self, every_n_steps: int | None = None) -> None:
        self.every_n_steps = every_n_steps
        self._schedule = EveryNSteps(1 if every_n_steps is None else every_n_steps)
        self._latest: dict[str, Tensor] = {}
        self._counts: Tensor | None = None
        self._restart(0)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        default = max(1, trainer.log_every_n_steps)  # type: ignore[attr-defined]
        self._schedule = EveryNSteps(self.every_n_steps or default)
        self._schedule.start(trainer.global_step)
        self._latest = {}
        self._restart(trainer.global_step)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._validation_started = time.perf_counter()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started += time.perf_counter() - self._validation_started

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: PackedBatch,
        batch_idx: int,
    ) -> None:
        useful = (~batch.is_padding).sum()
        supervised = (batch.targets != IGNORED).sum()
        # new_full fills on the device; a copied number would make the host wait.
        counts = torch.stack([useful, supervised, useful.new_full((), batch.is_padding.numel())])
        self._counts = counts if self._counts is None else self._counts + counts
        if self._schedule.due(trainer.global_step):
            self._measure(trainer, self._counts)
        # Lightning writes logged values at its own steps, and drops them at the end of each epoch.
        pl_module.log_dict(self._latest, on_step=True, on_epoch=False, batch_size=1)

    def _measure(self, trainer: pl.Trainer, counts: Tensor) -> None:
        reduced = trainer.strategy.reduce(counts, reduce_op="sum")
        useful, supervised, positions = reduced.tolist()  # waits for the device
        seconds = time.perf_counter() - self._started
        latest = {
            "train/tokens_per_second": useful / seconds,
            "train/padding_share": 1 - useful / positions,
            "train/supervised_tokens": supervised / (trainer.global_step - self._first_step),
        }
        # Lightning would copy a number to the device at every batch, and wait for it.
        self._latest = {name: torch.tensor(value) for name, value in latest.items()}
        self._restart(trainer.global_step)

    def _restart(self, global_step: int) -> None:
        self._counts = None
        self._first_step = global_step
        self._started = self._validation_started = time.perf_counter()
