"""Starts commands of animelm as processes of their own, quickly: each is a fork of this process.

Importing torch and Lightning takes longer than a small run. So this process imports them once and
computes nothing, and each command runs in a fork in a session of its own, as if it had been typed.
"""

import atexit
import fcntl
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

_PIPE_BYTES = 1 << 20
_LIMIT = 180.0  # seconds, after which a command counts as hung


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        status: its exit status; negative if a signal ended it.
        seconds: how long it took.
        memory: bytes that it took at most, beside what it had when it was forked.
        out: what it printed.
        err: what it printed on the error stream.
        hung: whether it had to be killed because it took too long.
    """

    status: int
    seconds: float
    memory: int
    out: str
    err: str
    hung: bool

    @property
    def is_one_message(self) -> bool:
        """Whether it ended as after a user's mistake: status 2 and one message."""
        return self.status == 2 and self.err.count("error: ") >= 1 and not self.has_traceback

    @property
    def has_traceback(self) -> bool:
        """Whether a traceback was printed."""
        return "Traceback (most recent call last)" in self.out + self.err


@dataclass
class Running:
    """A command that has been started."""

    pid: int
    out: int
    err: int
    begin: float
    before: int
    texts: dict[int, bytes] = field(default_factory=dict)

    def signal(self, number: int) -> None:
        """Sends a signal to the command alone, not to its workers."""
        os.kill(self.pid, number)

    def wait(self, limit: float = _LIMIT) -> Ended:
        """Waits for its end; after ``limit`` seconds it is killed with its workers."""
        hung = False
        while True:
            self._drain()
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() - self.begin > limit and not hung:
                hung = True
                os.killpg(self.pid, signal.SIGKILL)
            time.sleep(0.01)
        self._drain()
        for descriptor in (self.out, self.err):
            os.close(descriptor)
        return Ended(
            os.waitstatus_to_exitcode(status),
            time.monotonic() - self.begin,
            max(0, usage.ru_maxrss * 1024 - self.before),
            self.texts.get(self.out, b"").decode("utf-8", "replace"),
            self.texts.get(self.err, b"").decode("utf-8", "replace"),
            hung,
        )

    def is_over(self) -> bool:
        """Whether the command has ended; it can still be waited for."""
        ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return ended is not None

    def _drain(self) -> None:
        for descriptor in (self.out, self.err):
            try:
                while part := os.read(descriptor, _PIPE_BYTES):
                    self.texts[descriptor] = self.texts.get(descriptor, b"") + part
            except BlockingIOError:
                continue


def preload() -> None:
    """Imports what the commands import."""
    import pyarrow.parquet  # noqa: F401

    import animelm.cli.ask
    import animelm.cli.compare
    import animelm.cli.corpus.build
    import animelm.cli.corpus.stats
    import animelm.cli.export
    import animelm.cli.inspect
    import animelm.cli.plan
    import animelm.cli.questions
    import animelm.cli.report
    import animelm.cli.trainer  # noqa: F401


def start(
    command: list[str] | Callable[[], object],
    folder: Path,
    file_bytes: int | None = None,
) -> Running:
    """Starts a command.

    Args:
        command: arguments of ``python -m animelm``, or a function.
        folder: its working directory; its cache lies in ``folder/cache``.
        file_bytes: the largest file that it may write; writing more fails as on a full disk.
    """
    pipes = [os.pipe() for _ in range(2)]
    for read, write in pipes:
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        os.set_blocking(read, False)
    before = _own_memory()
    pid = os.fork()
    if not pid:
        _run(command, folder, [write for _, write in pipes], file_bytes)
    for _, write in pipes:
        os.close(write)
    return Running(pid, pipes[0][0], pipes[1][0], time.monotonic(), before)


def run(
    command: list[str] | Callable[[], object],
    folder: Path,
    limit: float = _LIMIT,
    file_bytes: int | None = None,
) -> Ended:
    """``start``, and waits for its end."""
    return start(command, folder, file_bytes).wait(limit)


def session_members(leader: int) -> list[int]:
    """Processes of a command's session that still run, other than zombies."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(stat[3]) == leader and stat[0] not in "ZX":
                found.append(int(entry.name))
    return found


def _run(
    command: list[str] | Callable[[], object],
    folder: Path,
    outputs: list[int],
    file_bytes: int | None,
) -> None:
    status = 1
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for target, descriptor in zip((1, 2), outputs, strict=True):
            os.dup2(descriptor, target)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", buffering=1, closefd=False)
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", buffering=1, closefd=False)
        os.chdir(folder)
        sys.path.insert(0, str(folder))  # as python -m does
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        if file_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
        if callable(command):
            command()
            status = 0
        else:
            from animelm.cli import main

            status = main(command)
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _own_memory() -> int:
    """Bytes of this process that belong to no file; a fork begins with them."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024
