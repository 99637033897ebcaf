"""Processes that help this one: workers that end with it, and calls within bounds."""

import multiprocessing
import os
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from typing import Any, TypeVar

from animelm.errors import UserError

_Result = TypeVar("_Result")


@contextmanager
def worker_pool(
    count: int,
    context: BaseContext | None = None,
    initializer: Callable[..., None] | None = None,
    initargs: tuple[Any, ...] = (),
) -> Iterator[ProcessPoolExecutor]:
    """Worker processes that end with the block, however it ends, and with this process.

    If the block raises, they are killed in the middle of their tasks. If this process is killed,
    even by SIGKILL, they end by themselves.

    Args:
        count: number of workers.
        context: how they are started; None for the platform's way.
        initializer: called in each of them.
        initargs: its arguments.
    """
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(count, context, _start_worker, (initializer, initargs))
    try:
        with ended_by_sigterm():
            yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        workers = set(multiprocessing.active_children()) - others
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.join()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker(initializer: Callable[..., None] | None, initargs: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process ends the workers
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a forked one has the main process's handler
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if initializer is not None:
        initializer(*initargs)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()  # also returns when it is killed
    os._exit(1)


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Within the block SIGTERM raises ``SystemExit``, so that files and workers are cleared away.

    Nothing changes outside of the main thread, or where the signal has a handler already.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _exit_after_sigterm)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit_after_sigterm(number: int, frame: object) -> None:
    os.write(2, b"ended by SIGTERM\n")
    raise SystemExit(128 + number)


@contextmanager
def bounded_memory(growth: int) -> Iterator[None]:
    """Within the block this process can take a number of bytes more; then allocating fails.

    Nothing is bounded on systems that do not say how much a process has.
    """
    used, (soft, hard) = _address_space(), resource.getrlimit(resource.RLIMIT_AS)
    if used is None or 0 <= soft < used + growth:
        yield
        return
    resource.setrlimit(resource.RLIMIT_AS, (used + growth, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def call_bounded(
    function: Callable[..., _Result], *arguments: Any, seconds: int, memory: int, what: str
) -> _Result:
    """Calls a function in a forked process of bounded time and memory.

    Args:
        function: must not use threads or an accelerator; its result is small.
        arguments: its arguments.
        seconds: processor time; three times as much may pass.
        memory: bytes that it may take beside what this process has.
        what: what is done, for messages.

    Raises:
        UserError: it took more; or raised by the function.
        Exception: any other that the function raised.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(
        target=_answer, args=(sender, function, arguments, seconds, memory), daemon=True
    )
    process.start()
    sender.close()
    try:
        if not receiver.poll(3 * seconds):
            raise UserError(f"{what} takes more than {seconds} seconds")
        result, error = receiver.recv()
    except EOFError:
        raise UserError(f"{what} takes more than {seconds} seconds or {memory >> 20} MiB") from None
    finally:
        process.kill()
        process.join()
        receiver.close()
    if error is not None:
        raise error
    return result


def _answer(
    sender: Connection,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    seconds: int,
    memory: int,
) -> None:
    used = _address_space()
    if used is not None:
        resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
    # At the second limit the system kills the process.
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answer: tuple[Any, Exception | None]
    try:
        answer = (function(*arguments), None)
    except MemoryError:
        os._exit(1)
    except Exception as error:
        answer = (None, error)
    sender.send(answer)


def _address_space() -> int | None:
    """Bytes of address space that this process has; None where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as sizes:
            return int(sizes.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None
