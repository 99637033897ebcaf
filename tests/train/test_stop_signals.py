import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from animelm.train.stop_signals import StoppedBySignal, StopSignals

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_raises_at_once_with_the_status_of_a_shell(number: int) -> None:
    with pytest.raises(StoppedBySignal) as stopped, StopSignals():
        os.kill(os.getpid(), number)
    assert (stopped.value.code, stopped.value.signal) == (128 + number, number)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_postponed_signal_is_noted(number: int) -> None:
    with StopSignals() as signals:
        signals.postponed = True
        os.kill(os.getpid(), number)
        assert signals.received == number


def test_handlers_that_others_set_meanwhile_are_replaced_and_those_before_put_back() -> None:
    before = [signal.getsignal(number) for number in NUMBERS]
    with StopSignals() as signals:
        signals.postponed = True
        for number in NUMBERS:
            signal.signal(number, signal.SIG_IGN)
        signals.install()
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.received == signal.SIGTERM
    assert [signal.getsignal(number) for number in NUMBERS] == before


def test_a_second_signal_ends_the_process_whatever_it_waits_for() -> None:
    """A launcher's copy of the first one does not."""
    script = (
        "import os, signal, time, threading\n"
        "from animelm.train.stop_signals import StopSignals\n"
        "with StopSignals() as signals:\n"
        "    signals.postponed = True\n"
        "    me = os.getpid()\n"
        "    os.kill(me, signal.SIGTERM)\n"
        "    os.kill(me, signal.SIGTERM)\n"
        "    time.sleep(0.1)\n"
        "    threading.Timer(0.6, os.kill, (me, signal.SIGINT)).start()\n"
        "    print('waits', flush=True)\n"
        "    lock = threading.Lock(); lock.acquire(); lock.acquire()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, timeout=60, check=False
    )
    assert (ran.stdout, ran.returncode) == (b"waits\n", 130)


def test_outside_of_the_main_thread_nothing_is_handled() -> None:
    before = signal.getsignal(signal.SIGTERM)
    found = []

    def other() -> None:
        with StopSignals() as signals:
            signals.install()
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert found == [before]


def test_no_thread_and_no_file_is_left() -> None:
    def files() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = (threading.active_count(), files())
    for _ in range(3):
        with StopSignals():
            time.sleep(0.001)
    assert (threading.active_count(), files()) == before
