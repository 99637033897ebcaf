"""Gradient accumulation in which every supervised token of an optimiser step counts alike."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor
from torch.nn import Parameter


class Window:
    """The batches whose gradients one optimiser step accumulates.

    Batches hold different numbers of supervised tokens, and how many all of them hold is known only
    at the end. So each batch's sum of losses is divided by the tokens of the first one, and the
    gradients by the rest when the window closes. A window of one batch is left as it is.

    Attributes:
        batches: how many the window holds so far; 0: it is closed.
    """

    def __init__(self) -> None:
        self.batches = 0
        self._first = self._tokens = self._losses = 0.0

    def add(self, losses: float, tokens: float) -> float:
        """Notes a batch; returns what its sum of losses is to be divided by.

        Args:
            losses: the sum over its supervised tokens, in nats.
            tokens: how many these are.
        """
        if not self.batches:
            self._first, self._tokens, self._losses = max(1.0, tokens), 0.0, 0.0
        self.batches += 1
        self._tokens += tokens
        self._losses += losses
        return self._first

    @property
    def mean_loss(self) -> float:
        """Over the tokens of all batches so far."""
        return self._losses / max(1.0, self._tokens)

    def close(self, parameters: Iterable[Parameter]) -> None:
        """Makes their gradients those of the mean over the window's tokens."""
        if self.batches > 1:
            for parameter in parameters:
                if parameter.grad is not None:
                    parameter.grad.mul_(self._first / max(1.0, self._tokens))
        self.batches = 0

    def state(self, parameters: Iterable[Parameter]) -> dict[str, Any]:
        """What an open window needs to go on in another process: counts, and gradients."""
        gradients = [None if p.grad is None else p.grad.cpu() for p in parameters]
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
        """Puts back what ``state`` returned."""
        self.batches, self._first, self._tokens, self._losses = batches, first, tokens, losses
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = None if gradient is None else gradient.to(parameter.device)
