"""Runs a function in a process of its own and watches the memory of it and all its children."""

import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil

_INTERVAL = 0.2  # seconds


@dataclass(frozen=True)
class Measured:
    """A result and what it cost.

    Attributes:
        result: what the function returned.
        cpu_seconds: time that processors worked for the process and its children.
        peak_bytes: largest memory of the process and its children at one moment, where memory that
            several of them share counts once (the sum of their proportional set sizes).
    """

    result: Any
    cpu_seconds: float
    peak_bytes: int


def measure(function: Callable[..., Any], *arguments: Any) -> Measured:
    """Calls ``function(*arguments)`` in a new process.

    Raises:
        RuntimeError: the process failed; its traceback is printed above.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_call, args=(sender, function, arguments))
    process.start()
    sender.close()
    peak = 0
    while process.is_alive():
        peak = max(peak, _tree_bytes(process.pid))
        if receiver.poll(_INTERVAL):
            break
    try:
        result, cpu_seconds = receiver.recv()
    except EOFError as error:
        raise RuntimeError(f"{function.__name__} failed") from error
    finally:
        process.join()
    return Measured(result, cpu_seconds, peak)


def _call(sender: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    # Else the workers would be spawned, as this process was, and not as they are by default.
    default = multiprocessing.get_all_start_methods()[0]
    multiprocessing.set_start_method(default, force=True)
    result = function(*arguments)
    times = os.times()
    cpu_seconds = times.user + times.system + times.children_user + times.children_system
    sender.send((result, cpu_seconds))


def _tree_bytes(pid: int | None) -> int:
    total = 0
    try:
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            try:
                total += process.memory_full_info().pss
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue  # it has just ended
    except psutil.NoSuchProcess:
        pass
    return total
