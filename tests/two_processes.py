"""Runs a script as the two processes of one machine, as a launcher such as torchrun would."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

_SECONDS = 900


def run_as_two_processes(script: Path, folder: Path, *arguments: str) -> None:
    """``script FOLDER ARGUMENT …`` on ranks 0 and 1, which find each other over gloo.

    Their output goes into ``folder``. As soon as one fails, the other is stopped.

    Raises:
        AssertionError: one failed or took too long; with what it printed last.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parent.parent),  # this clone's package, if it has siblings
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": "2",
        "NODE_RANK": "0",
        "OMP_NUM_THREADS": "1",
    }
    logs = [folder / f"rank{rank}.log" for rank in range(2)]
    processes = []
    for rank, log in enumerate(logs):
        with log.open("wb") as output:
            processes.append(
                subprocess.Popen(
                    [sys.executable, str(script), str(folder), *arguments],
                    env={**environment, "LOCAL_RANK": str(rank)},
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            )
    try:
        _wait(processes, logs)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _wait(processes: list[subprocess.Popen], logs: list[Path]) -> None:
    end = time.monotonic() + _SECONDS
    while any(process.poll() is None for process in processes):
        _check(processes, logs)
        assert time.monotonic() < end, f"not done after {_SECONDS} s: {_tail(logs[0])}"
        time.sleep(0.1)
    _check(processes, logs)


def _check(processes: list[subprocess.Popen], logs: list[Path]) -> None:
    for process, log in zip(processes, logs, strict=True):
        assert not process.poll(), _tail(log)


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-6000:]


def free_port() -> int:
    """A port that another test is unlikely to take before it is used.

    It lies below the ports that a system gives to whoever asks for any, and the first one tried
    depends on this process and on the time.
    """
    first, count = 20_000, 10_000
    start = os.getpid() * 37 + time.monotonic_ns() // 1000
    for offset in range(count):
        port = first + (start + offset) % count
        with socket.socket() as listener:
            if listener.connect_ex(("127.0.0.1", port)):
                return port
    raise AssertionError(f"no free port from {first} to {first + count}")
