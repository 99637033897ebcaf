"""The base of a model in training."""

from collections.abc import Iterator
from contextlib import contextmanager

from peft import PeftModel
from torch import nn


@contextmanager
def without_adapters(module: nn.Module) -> Iterator[None]:
    """Disables the adapters, if the model has any; what is trainable stays as it was."""
    adapted = next((part for part in module.modules() if isinstance(part, PeftModel)), None)
    if adapted is None:
        yield
        return
    # Enabling the adapters again makes every active one trainable, also one that was kept frozen.
    trainable = [(parameter, parameter.requires_grad) for parameter in adapted.parameters()]
    try:
        with adapted.disable_adapter():
            yield
    finally:
        for parameter, requires_grad in trainable:
            parameter.requires_grad_(requires_grad)
