"""Measures the base before training."""

import json
from contextlib import ExitStack
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from animelm.evaluate.results import Result, parse_result, result_line
from animelm.train.callbacks.without_adapters import without_adapters
from animelm.train.checkpoints.resume import gather_from_processes
from animelm.train.held_out_steps import HeldOutSteps
from animelm.train.loggers.run_log import RunLog
from animelm.train.validation import charted, learned_and_lost


class BaseFigures(Callback):
    """Logs the base's figures as step 0 of a fit, and keeps its answers.

    They are those of the validation before training, with all adapters disabled, so that learning
    and forgetting are seen from the base on, also where the run starts from an earlier adapter.
    With ``num_sanity_val_steps`` of the trainer other than -1 there are none: a part of the
    held-out sets would give other figures.

    A checkpoint holds the answers.
    """

    def __init__(self) -> None:
        self._results: list[Result] = []
        self._disabled = ExitStack()

    def on_sanity_check_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if _asks_everything(trainer):
            self._disabled.enter_context(without_adapters(pl_module))

    def on_sanity_check_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._disabled.close()
        if not (_asks_everything(trainer) and isinstance(pl_module, HeldOutSteps)):
            return
        parts = gather_from_processes(pl_module.validation_results)
        self._results = [result for part in parts for result in part]
        sets = dict.fromkeys(result.held_out_set for result in self._results)
        unchanged = learned_and_lost(self._results, self._results, sets, lambda counts: counts)
        pl_module.validation_figures |= unchanged
        if trainer.is_global_zero:
            RunLog(trainer.loggers).figures(charted(pl_module.validation_figures), 0)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if isinstance(pl_module, HeldOutSteps):
            pl_module.base_results = self._results

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self._disabled.close()

    def state_dict(self) -> dict[str, Any]:
        return {"results": [result_line(result) for result in self._results]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        lines = state_dict["results"]
        self._results = [parse_result("the checkpoint", json.loads(line)) for line in lines]


def _asks_everything(trainer: pl.Trainer) -> bool:
    # Lightning's own form of -1.
    return trainer.num_sanity_val_steps == float("inf")
