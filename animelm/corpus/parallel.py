"""Running tasks on any executor, a few ahead, with their results in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from typing import Any, TypeVar

from animelm.errors import UserError

_Result = TypeVar("_Result")
# Enough that no worker waits, few enough that what they carry stays small.
_AHEAD = 64


def in_order(
    executor: Executor | None,
    function: Callable[..., _Result],
    tasks: Iterable[tuple[Any, ...]],
    ahead: int = _AHEAD,
) -> Iterator[_Result]:
    """The results of a function, in the order of its arguments.

    Args:
        executor: any of ``concurrent.futures``' kind; None calls the function here.
        function: importable by its name, as are its arguments' types.
        tasks: arguments of each call; taken one after the other, as workers become free.
        ahead: calls handed out and not yet returned.

    Raises:
        UserError: of a call; or a worker was ended from outside.
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
            "a worker process was ended, perhaps for want of memory; the same command with fewer "
            "--workers goes on where it stopped"
        ) from error
    finally:
        for future in waiting:
            future.cancel()
