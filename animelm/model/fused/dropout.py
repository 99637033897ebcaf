"""Dropout whose mask follows from a seed, so that it is drawn again instead of being kept."""

from torch import Generator, Tensor

from animelm.model.lora.linear import dropout_mask
from animelm.model.operators import operator

_KERNELS = "animelm.model.fused.kernels.dropout"


@operator("(Tensor x, int seed, float rate) -> Tensor", _KERNELS)
def drop(x: Tensor, seed: int, rate: float) -> Tensor:
    """x after dropout: each value is 0 with probability ``rate``, else divided by 1 - ``rate``.

    Devices draw different masks from the same seed.
    """
    return x * _mask(x, seed, rate)


@operator("(Tensor(a!) total, Tensor x, int seed, float rate) -> ()", _KERNELS)
def add_dropped(total: Tensor, x: Tensor, seed: int, rate: float) -> None:
    """Adds x after dropout to ``total``, of the same shape."""
    total.addcmul_(x, _mask(x, seed, rate))


def _mask(x: Tensor, seed: int, rate: float) -> Tensor:
    return dropout_mask(x, rate, Generator(x.device).manual_seed(seed))
