"""Bounds what PyTorch's matrix library for CPUs keeps between products."""

import os

# Of oneDNN's own cache, and of PyTorch's in front of it.
_VARIABLES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
_MOST, FEWEST_KERNELS = 1024, 16  # 1,024 is the library's own capacity
_BUDGET_BYTES = 2**29


def bound_kernel_cache(hidden: int, intermediate: int) -> None:
    """Lets compiled bf16 products of a model of these widths keep about half a GiB.

    Each keeps a packed copy of its weight, and every expert gets another number of rows at every
    step: at the library's 1,024 the 20B's took 7 GB. A small model's may all stay. The variables
    are read at the first bf16 product of the process; what the user has set counts.
    """
    for variable in _VARIABLES:
        os.environ.setdefault(variable, str(kernel_capacity(hidden, intermediate)))


def kernel_capacity(hidden: int, intermediate: int) -> int:
    """How many products of a model of these widths are kept."""
    weight_bytes = 2 * hidden * 2 * intermediate
    return max(FEWEST_KERNELS, min(_MOST, _BUDGET_BYTES // weight_bytes))
