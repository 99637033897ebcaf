import multiprocessing
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from animelm.errors import UserError
from animelm.processes import bounded_memory, call_bounded, ended_by_sigterm, worker_pool

PARENT = """
import os, sys, time
from animelm.processes import worker_pool

def work(number):
    os.write(1, f"{os.getpid()}\\n".encode())  # one write, so that lines do not mix
    time.sleep(600)

if __name__ == "__main__":
    with worker_pool(2) as pool:
        list(pool.map(work, range(4)))
"""


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 143)]
)
def test_workers_end_with_their_parent(tmp_path, project_root, number, status):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": str(project_root)}
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        try:
            workers = [int(parent.stdout.readline()) for _ in range(2)]
            parent.send_signal(number)
            assert parent.wait(20) == status
        finally:
            parent.kill()  # else the block would wait for it, whatever failed
    end = time.monotonic() + 10
    while any(map(psutil.pid_exists, workers)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(psutil.pid_exists, workers))


def test_a_block_that_raises_does_not_wait_for_its_workers():
    begin = time.monotonic()
    with pytest.raises(KeyError), worker_pool(2) as pool:
        pool.submit(time.sleep, 600)
        raise KeyError
    assert time.monotonic() - begin < 60 and multiprocessing.active_children() == []


def test_results_of_workers_arrive():
    with worker_pool(2) as pool:
        assert list(pool.map(abs, [-1, -2, 3])) == [1, 2, 3]


def test_sigterm_clears_away_and_exits():
    cleared = []
    with pytest.raises(SystemExit) as stop, ended_by_sigterm():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        finally:
            cleared.append(True)
    assert stop.value.code == 143 and cleared
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_another_handler_of_sigterm_stays():
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append(True))
    try:
        with ended_by_sigterm():
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [True]


def bounded(function, *arguments):
    return call_bounded(function, *arguments, seconds=1, memory=64 << 20, what="the sum")


def test_a_bounded_call_returns_or_raises_what_the_function_does():
    assert bounded(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        bounded(divmod, 7, 0)


@pytest.mark.parametrize(
    "expression", ["9**9**9", "'a' * 10**10", "[0] * 10**9", "sum(1 for _ in iter(int, 1))"]
)
def test_a_call_that_takes_too_much_is_ended(expression):
    with pytest.raises(UserError, match="the sum takes more than 1 seconds"):
        bounded(eval, expression)


def test_memory_is_bounded_within_the_block_alone():
    with bounded_memory(64 << 20), pytest.raises(MemoryError):
        bytearray(200 << 20)
    assert bytearray(200 << 20)
