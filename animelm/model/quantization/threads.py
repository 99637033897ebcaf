"""Runs NumPy on several threads, since it computes on one and releases the interpreter lock."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch


def in_threads(function: Callable[[int], object], values: Iterable[int]) -> None:
    """Calls ``function`` with each value, on as many threads as PyTorch uses.

    ``function`` must not use PyTorch's operators: each thread would start OpenMP threads of its
    own. With more of them than processors, OpenMP threads sleep between operators instead of
    spinning, and training on the process's main thread becomes a third slower.
    """
    for _ in _pool(torch.get_num_threads(), os.getpid()).map(function, values):
        pass


@cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    # Cached, since each new thread takes memory from the allocator; by process, because a forked
    # process has none of its parent's threads.
    return ThreadPoolExecutor(threads)
