"""Says what a run is, so that it can be compared with others."""

import re
from collections.abc import Collection

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.trainer.states import TrainerFn

from animelm.train.held_out_steps import HeldOutSteps
from animelm.train.loggers.run_log import RunLog
from animelm.train.validation import LEARNED, LOST

_COMPARED = ("accuracy/", "validation/.*/perplexity")
_LAYOUT = {
    "Learned and lost": {
        "accuracy": ["accuracy/(?!learned/|lost/).*"],
        "learned since the base": [f"{LEARNED}.*"],
        "lost since the base": [f"{LOST}.*"],
        "perplexity of held-out articles": ["validation/.*/perplexity"],
    },
    "Training": {
        "loss": ["train/loss"],
        "router drift": ["train_router_drift/.*"],
    },
}


class RunDescription(Callback):
    """Logs a run's settings, by which figures runs are compared, and charts of several figures.

    It does so after the first validation, which tells which sets there are, or at the end.
    """

    def __init__(self) -> None:
        self._done = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._done = False
        if isinstance(pl_module, HeldOutSteps) and pl_module.validation_figures:
            self._describe(trainer, pl_module, pl_module.validation_figures)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if isinstance(pl_module, HeldOutSteps) and not trainer.sanity_checking:
            self._describe(trainer, pl_module, pl_module.validation_figures)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if isinstance(pl_module, HeldOutSteps):
            self._describe(trainer, pl_module, ())

    def _describe(
        self, trainer: pl.Trainer, pl_module: HeldOutSteps, figures: Collection[str]
    ) -> None:
        if self._done or trainer.state.fn != TrainerFn.FITTING or not trainer.is_global_zero:
            return
        self._done = True
        compared = [n for kind in _COMPARED for n in figures if re.match(kind, n)]
        RunLog(trainer.loggers).describe(pl_module.described(), [*compared, "train/loss"], _LAYOUT)
