"""Runs tasks on an executor and returns their results in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, TypeVar

from animelm.errors import UserError
from animelm.processes import ended_by_sigterm, worker_pool

_Result = TypeVar("_Result")
# Enough that no worker waits, few enough that their arguments take little memory.
_AHEAD = 64


@contextmanager
def local_workers(count: int) -> Iterator[Executor | None]:
    """An executor of ``count`` processes; None for one, which runs in this process."""
    if count == 1:
        with ended_by_sigterm():
            yield None
        return
    # Spawned: a fork would copy locks that the threads of libraries hold.
    with worker_pool(count, get_context("spawn")) as executor:
        yield executor


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
