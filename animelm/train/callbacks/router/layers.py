"""Finds a model's routers and the decoder that runs them."""

import re
from dataclasses import dataclass

from torch import nn

_ROUTER = re.compile(r"^(?P<decoder>(?:.*\.)?)layers\.(?P<layer>\d+)\.mlp\.router$")


@dataclass(frozen=True)
class RouterLayers:
    """The routers of one decoder.

    Attributes:
        decoder: the module whose forward runs every layer once. Unlike the layers, it is not run
            again when activation checkpointing recomputes.
        layers: index of each router's layer, ascending.
        routers: modules returning (logits [T, E], scores [T, k], indices [T, k]).
    """

    decoder: nn.Module
    layers: tuple[int, ...]
    routers: tuple[nn.Module, ...]

    @staticmethod
    def find(model: nn.Module) -> "RouterLayers | None":
        """The routers named ``….layers.<i>.mlp.router``, or None in a model without experts.

        Raises:
            ValueError: the routers belong to more than one decoder.
        """
        found: dict[str, dict[int, nn.Module]] = {}
        for name, module in model.named_modules():
            if match := _ROUTER.match(name):
                found.setdefault(match["decoder"], {})[int(match["layer"])] = module
        if not found:
            return None
        if len(found) > 1:
            raise ValueError(f"routers in more than one decoder: {', '.join(sorted(found))}")
        [(decoder, routers)] = found.items()
        layers = tuple(sorted(routers))
        return RouterLayers(
            decoder=model.get_submodule(decoder.rstrip(".")),
            layers=layers,
            routers=tuple(routers[layer] for layer in layers),
        )
