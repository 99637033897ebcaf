"""Compares a kernel in Triton's interpreter with the formula of the same operator."""

from collections.abc import Callable
from typing import Any

import torch
from measuring.operations import CountOperations
from torch import Tensor

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2}


def assert_same(kernel: Callable[..., Any], formula: Callable[..., Any], *arguments: Any) -> None:
    """Results, and what is written into arguments, agree; the kernel is launched once."""
    copies = [
        [given.clone() if isinstance(given, Tensor) else given for given in arguments]
        for _ in range(2)
    ]
    expected = formula(*copies[0])
    with CountOperations() as found:
        ours = kernel(*copies[1])
    assert found.moving == {"triton kernel": 1}
    results = [list(each) if isinstance(each, tuple) else [each] for each in (ours, expected)]
    for mine, theirs in zip(results[0] + copies[1], results[1] + copies[0], strict=True):
        if isinstance(theirs, Tensor):
            assert mine.dtype == theirs.dtype and mine.shape == theirs.shape
            tolerance = TOLERANCE.get(theirs.dtype, 0)
            assert (mine.double() - theirs.double()).abs().max() <= tolerance * theirs.abs().max()
