"""Gradient accumulation in which every supervised token of an optimizer step counts the same."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter


class TokenWeightedAccumulation:
    """Weights the batches of one optimizer step by their supervised tokens.

    Batches hold different numbers of supervised tokens, and the total is known only after the last
    batch. Each batch's sum of losses is therefore divided by the number of tokens in the first
    batch, and ``finish`` rescales the accumulated gradients to the total. With a single batch
    nothing is rescaled.

    Attributes:
        batches: how many batches have been added since the last optimizer step.
    """

    def __init__(self) -> None:
        self.batches = 0
        self._first = self._tokens = self._losses = 0.0

    def add(self, losses: float, tokens: float) -> float:
        """Counts a batch; returns the number by which its sum of losses is to be divided.

        Args:
            losses: the sum over its supervised tokens, in nats.
            tokens: the number of these tokens.
        """
        if not self.batches:
            self._first, self._tokens, self._losses = max(1.0, tokens), 0.0, 0.0
        self.batches += 1
        self._tokens += tokens
        self._losses += losses
        return self._first

    @property
    def mean_loss(self) -> float:
        """Mean loss over the tokens of all batches so far, in nats."""
        return self._losses / max(1.0, self._tokens)

    def finish(self, parameters: Iterable[Parameter]) -> None:
        """Rescales the gradients to those of the mean loss over all tokens of the step."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        if self.batches > 1 and gradients:
            # One operation for all of them.
            torch._foreach_mul_(gradients, self._first / max(1.0, self._tokens))
        self.batches = 0

    def state(self, parameters: Iterable[Parameter]) -> dict[str, Any]:
        """Counts and accumulated gradients, to resume between two optimizer steps."""
        # Copies, because a view of a stack of gradients is sent and saved with all of the stack.
        gradients = [None if p.grad is None else p.grad.to("cpu", copy=True) for p in parameters]
        return {
            "batches": self.batches,
            "first": self._first,
            "tokens": self._tokens,
            "losses": self._losses,
            "gradients": gradients,
        }

    def restore(
        self,
        parameters: Iterable[Parameter],
        batches: int,
        first: float,
        tokens: float,
        losses: float,
        gradients: list[Tensor | None],
    ) -> None:
        """Restores what ``state`` returned."""
        self.batches, self._first, self._tokens, self._losses = batches, first, tokens, losses
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = None if gradient is None else gradient.to(parameter.device)
