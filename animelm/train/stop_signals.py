"""Ends a run in order when the system, a scheduler or a person asks for it."""

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
# Launchers hand a signal on to processes that have received it themselves.
_SAME_SECONDS = 0.5
_CLOSE = b"\0"


class StoppedBySignal(SystemExit):
    """A run that a signal has ended; its status is 128 and the signal's number, as a shell's.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.signal = signal.Signals(number)


class StopSignals:
    """Handles Ctrl-C, SIGTERM and a scheduler's SIGUSR1 within a ``with`` block.

    The first one raises ``StoppedBySignal``; while it is postponed, it is only noted. The second
    one ends the process at once, whatever it is doing, waiting for another process included. What
    arrives within half a second of the first is the same request.

    Outside of the main thread nothing is handled.

    Attributes:
        postponed: whether a signal is only noted.
        received: number of the signal that was noted, 0 without one.
    """

    def __init__(self, exit_now: Callable[[int], None] = os._exit) -> None:
        self.postponed = False
        self.received = 0
        self._exit_now = exit_now
        self._before: dict[int, signal._HANDLER] = {}
        self._first_at: float | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.getsignal(number) for number in _SIGNALS}
            self._reading, self._writing = os.pipe()
            os.set_blocking(self._writing, False)
            # Handlers in Python wait until a call into C has returned; a thread does not.
            self._waked_before = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
            self._watcher = threading.Thread(target=self._watch, daemon=True)
            self._watcher.start()
            self.install()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._before:
            return
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._waked_before)
        os.write(self._writing, _CLOSE)
        self._watcher.join()
        os.close(self._reading)
        os.close(self._writing)
        self._before = {}

    def install(self) -> None:
        """Takes the place of handlers that were set since: Lightning's own talk to other processes
        within the handler, and wait there for ever if only one has received the signal."""
        if self._before:
            for number in _SIGNALS:
                signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            return
        self.received = number
        if not self.postponed:
            raise StoppedBySignal(number)

    def _watch(self) -> None:
        while (number := os.read(self._reading, 1)) not in (_CLOSE, b""):
            if number[0] not in _SIGNALS:
                continue
            now = time.monotonic()
            if self._first_at is None:
                self._first_at = now
            elif now - self._first_at > _SAME_SECONDS:
                self._exit_now(128 + number[0])
