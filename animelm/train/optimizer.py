"""Optimizer and learning-rate schedule."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch.distributed.tensor import DTensor
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers import get_cosine_with_min_lr_schedule_with_warmup_lr_rate

from animelm.errors import UserError
from animelm.train.fsdp.optimizers import ShardAdamW, ShardAdamW8bit
from animelm.train.optimizers.joined import JoinedAdamW8bit


@dataclass(frozen=True)
class OptimizerSettings:
    """Optimizer and learning-rate schedule.

    Args:
        kind: adamw_8bit keeps AdamW's two states in 8 bits (arXiv 2110.02861). adamw keeps them in
            32 bits.
        learning_rate: Peak learning rate. 2e-4 suits a 20B; a model of about ten million parameters
            needs about twenty times as much.
        weight_decay: Decoupled weight decay (arXiv 1711.05101).
        beta2: AdamW's second decay rate.
        warmup_share: Share of the steps, 0 to 1, over which the rate rises linearly to its peak,
            starting above 0.
        final_share: Share of the peak to which the rate falls along a cosine.

    Raises:
        UserError: a value is out of range.
    """

    kind: Literal["adamw_8bit", "adamw"] = "adamw_8bit"
    learning_rate: float = 2e-4
    weight_decay: float = 0.0
    beta2: float = 0.99
    warmup_share: float = 0.03
    final_share: float = 0.1

    def __post_init__(self) -> None:
        if not self.learning_rate > 0:
            raise UserError(f"learning_rate is {self.learning_rate}; expected more than 0")
        if not self.weight_decay >= 0:
            raise UserError(f"weight_decay is {self.weight_decay}; expected 0 or more")
        if not 0 <= self.beta2 < 1:
            raise UserError(f"beta2 is {self.beta2}; expected 0 or more, and less than 1")
        for name in ("warmup_share", "final_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name} is {getattr(self, name)}; expected a share from 0 to 1")


def configure_optimizer(
    parameters: Iterable[Parameter], settings: OptimizerSettings, steps: int | float
) -> OptimizerLRScheduler:
    """Optimizer and schedule, as a LightningModule returns them.

    Raises:
        UserError: the number of steps is infinite.
    """
    if math.isinf(steps):
        raise UserError("set trainer.max_epochs or max_steps: the learning rate needs an end")
    optimizer = build_optimizer(parameters, settings)
    schedule = build_schedule(optimizer, settings, int(steps))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def build_optimizer(parameters: Iterable[Parameter], settings: OptimizerSettings) -> Optimizer:
    """The optimizer of the trainable parameters; weight decay applies to matrices only."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    betas = (0.9, settings.beta2)
    sharded = any(isinstance(parameter, DTensor) for parameter in trained)
    if settings.kind == "adamw_8bit":
        kind = ShardAdamW8bit if sharded else JoinedAdamW8bit
        return kind(groups, lr=settings.learning_rate, betas=betas)
    stock = ShardAdamW if sharded else torch.optim.AdamW
    return stock(groups, lr=settings.learning_rate, betas=betas, fused=True)


def build_schedule(optimizer: Optimizer, settings: OptimizerSettings, steps: int) -> LambdaLR:
    """Linear warm-up, then a cosine, over ``steps`` optimizer steps."""
    return get_cosine_with_min_lr_schedule_with_warmup_lr_rate(
        optimizer,
        num_warmup_steps=round(settings.warmup_share * steps),
        num_training_steps=steps,
        min_lr_rate=settings.final_share,
    )
