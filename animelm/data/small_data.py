"""Says where data are too small for a figure or a run to mean much."""

import math
from collections.abc import Sequence, Sized
from typing import Protocol

from animelm.data.sources.qa import QARecord

FEW_STEPS = 100
"""Optimizer steps below which a run rarely learns what it is shown."""

FEW_QUESTIONS = 30
"""Questions of a set below which its accuracy has an interval wider than 0.3."""


class RunLength(Protocol):
    """What decides the length of a run: the settings of a Lightning Trainer."""

    max_epochs: int | None
    max_steps: int
    accumulate_grad_batches: int


def few_questions(name: str, records: Sequence[QARecord]) -> str:
    """A sentence on a held-out set that is too small; empty for one that is not."""
    count = len(records)
    if count >= FEW_QUESTIONS:
        return ""
    works = len({record.work for record in records})
    return (
        f"{name} holds {count} question{'s' * (count != 1)} on {works} "
        f"work{'s' * (works != 1)}: below {FEW_QUESTIONS} an accuracy says little"
    )


def few_steps(batches: Sized, run: RunLength) -> str:
    """A sentence on a run that is too short; empty for one that is not, or that has no end.

    Args:
        batches: those of an epoch.
        run: the trainer.
    """
    a_pass = math.ceil(len(batches) / run.accumulate_grad_batches)
    steps = a_pass * run.max_epochs if run.max_epochs and run.max_epochs > 0 else math.inf
    steps = min(steps, run.max_steps if run.max_steps >= 0 else math.inf)
    if steps >= FEW_STEPS or not a_pass:
        return ""
    passes = math.ceil(FEW_STEPS / a_pass)
    return (
        f"the run takes {steps:.0f} optimizer step{'s' * (steps != 1)}, which is too little to "
        f"learn from: below {FEW_STEPS}, raise trainer.max_epochs to {passes} passes, or lower "
        "data.blocks_per_batch or trainer.accumulate_grad_batches"
    )
