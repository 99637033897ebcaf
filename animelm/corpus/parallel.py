"""Runs tasks on an executor and returns their results in order."""

import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, TypeVar

from animelm.errors import UserError

_Result = TypeVar("_Result")
# Enough that no worker waits, few enough that their arguments take little memory.
_AHEAD = 64


@contextmanager
def local_workers(count: int) -> Iterator[Executor | None]:
    """An executor of ``count`` processes; None for one, which runs in this process."""
    if count == 1:
        yield None
        return
    # Spawned: a fork would copy locks that the threads of libraries hold.
    executor = ProcessPoolExecutor(count, get_context("spawn"), _ignore_interrupts)
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


def _ignore_interrupts() -> None:
    """The main process ends the workers; otherwise each would print a traceback."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def run_in_order(
    executor: Executor | None,
    function: Callable[..., _Result],
    tasks: Iterable[tuple[Any, ...]],
    ahead: int = _AHEAD,
) -> Iterator[_Result]:
    """The results of a function, in the order of its arguments.

    Args:
        executor: an executor as in ``concurrent.futures``; None calls the function in this process.
        function: importable by its name, as are the types of its arguments.
        tasks: arguments of each call, read as workers become free.
        ahead: number of calls submitted ahead of the result that is awaited.

    Raises:
        UserError: raised by a call; or a worker process was killed.
    """
    if executor is None:
        for arguments in tasks:
            yield function(*arguments)
        return
    waiting: deque[Future[_Result]] = deque()
    try:
        for arguments in tasks:
            waiting.append(executor.submit(function, *arguments))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenExecutor as error:
        raise UserError(
            "a worker process was killed, perhaps because memory ran out; run the same command "
            "with fewer --workers to continue"
        ) from error
    finally:
        for future in waiting:
            future.cancel()
