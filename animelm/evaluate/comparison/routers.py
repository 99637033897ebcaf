"""Which experts the routers choose on held-out articles."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from animelm.data.batches.batch import PackedBatch

_ROUTER = re.compile(r"(?:^|\.)layers\.(\d+)\.mlp\.router$")


class RouterCounts:
    """Counts the choices of every router of a model over the tokens of batches, without padding.

    Args:
        model: a model; one without routers has no counts.
    """

    def __init__(self, model: nn.Module) -> None:
        self._counts: dict[int, Tensor] = {}
        self._counted: Tensor | None = None
        self._routers = {
            int(match[1]): module
            for name, module in model.named_modules()
            if (match := _ROUTER.search(name))
        }

    @contextmanager
    def counting(self, batches: Iterable[PackedBatch]) -> Iterator[Iterator[PackedBatch]]:
        """Gives the batches; while they run through the model, choices are counted."""
        handles = [
            router.register_forward_hook(
                lambda module, args, output, layer=layer: self._add(layer, output)
            )
            for layer, router in self._routers.items()
        ]
        try:
            yield self._watched(batches)
        finally:
            for handle in handles:
                handle.remove()

    def shares(self) -> dict[str, Any] | None:
        """Layers ascending, and each expert's share of its layer's choices [layers][experts].

        None for a model without routers, or before anything was counted.
        """
        if not self._counts:
            return None
        layers = sorted(self._counts)
        counts = torch.stack([self._counts[layer] for layer in layers]).double()
        return {"layers": layers, "shares": (counts / counts.sum(1, keepdim=True)).tolist()}

    def _watched(self, batches: Iterable[PackedBatch]) -> Iterator[PackedBatch]:
        for batch in batches:
            self._counted = ~batch.is_padding.flatten()
            yield batch

    def _add(self, layer: int, output: tuple[Tensor, ...]) -> None:
        logits, _, chosen = output  # [T, E], [T, k], [T, k]
        assert self._counted is not None
        kept = chosen[self._counted.to(chosen.device)].flatten()
        counts = torch.bincount(kept, minlength=logits.shape[-1]).cpu()
        self._counts[layer] = self._counts.get(layer, torch.zeros_like(counts)) + counts
