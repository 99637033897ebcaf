"""Ends a run whose loss, gradients or weights are no longer finite numbers."""

import math
from collections.abc import Mapping
from typing import cast

import lightning as L
import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.nn import Parameter
from torch.nn.utils import clip_grad_norm_, clip_grad_value_, get_total_norm
from torch.optim import Optimizer

from animelm.data.batches.batch import PackedBatch
from animelm.errors import UserError
from animelm.train.checkpoints.resume import gather_from_processes

_NAMED = 8  # documents in a message
_ADVICE = (
    "Nothing has been written since: checkpoints and adapters are as before. Lower "
    "model.optimizer.learning_rate, or look at these documents"
)


class FiniteGuard:
    """Checks every loss and every gradient; all processes must call its methods together.

    Its messages name the optimizer step, the batch, and the documents since the last step.
    """

    def __init__(self) -> None:
        self._documents: list[str] = []

    def check_loss(self, loss: float, batch: PackedBatch, trainer: L.Trainer) -> None:
        """Checks a batch's loss, summed over all processes.

        Raises:
            UserError: it is infinite or not a number.
        """
        self._documents += batch.documents
        if not math.isfinite(loss):
            raise self._error("the loss", loss, trainer)

    def clip(
        self, optimizer: Optimizer, limit: float | None, kind: str | None, trainer: L.Trainer
    ) -> None:
        """Clips the gradients as Lightning does, and checks their norm.

        Args:
            optimizer: of the gradients.
            limit: ``gradient_clip_val`` of the trainer; None or 0 clips nothing.
            kind: ``gradient_clip_algorithm`` of the trainer, norm or value; None is norm.
            trainer: for the message.

        Raises:
            UserError: the norm is infinite or not a number; no weight has changed yet.
        """
        trained: list[Parameter] = [p for group in optimizer.param_groups for p in group["params"]]
        if limit and kind != "value":
            norm = clip_grad_norm_(trained, limit)
        else:
            norm = get_total_norm([p.grad for p in trained if p.grad is not None])
        value = float(norm.full_tensor() if isinstance(norm, DTensor) else norm)
        if not math.isfinite(value):
            raise self._error("the norm of the gradients", value, trainer)
        if limit and kind == "value":
            clip_grad_value_(trained, limit)
        self._documents.clear()

    def _error(self, what: str, value: float, trainer: L.Trainer) -> UserError:
        parts = cast(list[list[str]], gather_from_processes(self._documents))
        names = list(dict.fromkeys(name for part in parts for name in part))
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        batch = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        return UserError(
            f"epoch {trainer.current_epoch + 1}, batch {batch}, optimizer step "
            f"{trainer.global_step + 1}: {what} is {value}; documents: "
            f"{', '.join(names[:_NAMED]) or 'unnamed'}{more}. {_ADVICE}"
        )


@torch.no_grad()
def require_finite_weights(weights: Mapping[str, Tensor]) -> None:
    """Checks weights before they are written; every process must have all of them.

    Raises:
        UserError: a value is infinite or not a number.
    """
    broken = [name for name, weight in weights.items() if not weight.isfinite().all()]
    if broken:
        raise UserError(
            f"{len(broken)} of {len(weights)} trained weights are not finite, such as {broken[0]}; "
            "they are not written, and what was written before is unchanged. Resume from the last "
            "checkpoint, or start again, with a lower model.optimizer.learning_rate"
        )
