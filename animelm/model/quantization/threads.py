"""Threads for NumPy, which computes on one and leaves the interpreter to others meanwhile."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch


def in_threads(function: Callable[[int], object], values: Iterable[int]) -> None:
    """Calls ``function`` with each value, on as many threads as PyTorch uses.

    It must leave PyTorch's operators alone: each thread would start OpenMP threads of its own. As
    soon as there are more of them than processors, all of them sleep between two operators instead
    of waiting awake, and training on the process's other thread becomes a third slower.
    """
    for _ in _pool(torch.get_num_threads(), os.getpid()).map(function, values):
        pass


@cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    # Kept, since each new thread would take memory of its own from the allocator; but a forked
    # process has none of its parent's threads.
    return ThreadPoolExecutor(threads)
