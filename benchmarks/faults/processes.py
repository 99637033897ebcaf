"""Sends signals to commands and to single processes of a distributed run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from benchmarks.faults.kills import judge, wait_for_workers
from benchmarks.faults.launch import run, session_members, start
from benchmarks.faults.scene import ROOT, Scene, contents, last_checkpoint, leftovers, weights
from benchmarks.faults.tally import Fault, Tally
from benchmarks.faults.together import wait_until

_STATUS = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGUSR1: None}
_SECONDS = 150.0


def inject_signals(tally: Tally, scene: Scene) -> None:
    """SIGTERM, Ctrl-C and SIGUSR1 in training, tokenizing and building; a rank that is killed."""
    for number in _STATUS:
        tally.inject(f"{number.name} in training", lambda f: _training(f, scene, number))  # noqa: B023
    for number in (signal.SIGTERM, signal.SIGKILL):
        for kind in ("tokenizing", "building"):
            tally.inject(
                f"{number.name} to the main process while it is {kind}",
                lambda fault: _workers(fault, scene, kind, number),  # noqa: B023
            )
    for rank in (0, 1):
        for number in (signal.SIGKILL, signal.SIGTERM):
            tally.inject(
                f"{number.name} to rank {rank} of two",
                lambda fault: _rank(fault, scene, rank, number),  # noqa: B023
            )


def _training(fault: Fault, scene: Scene, number: signal.Signals) -> None:
    place = scene.place("signal")
    out = place / "out"
    # No period: what is saved is saved because of the signal.
    options = ("--every_n_steps.checkpoint=null", "--every_n_steps.router_statistics=1")
    running = start(scene.fit(out, *options), place)
    wait_until(lambda: _has_taken_a_step(out), running)
    if not running.is_over():
        running.signal(number)
    ended = running.wait()
    fault.hung = ended.hung
    expected = _STATUS[number]
    if ended.status == 0 and number != signal.SIGUSR1:
        fault.expect(bool(weights(out)), "status 0 and no adapter")
        return  # it had ended before the signal came
    if expected is not None:
        fault.expect(ended.status == expected, f"status {ended.status}: {ended.err[-300:]!r}")
    fault.expect(not ended.has_traceback, ended.err[-300:])
    path = last_checkpoint(out)
    if ended.status and fault.expect(path is not None, "no checkpoint was saved"):
        fault.expect("--ckpt_path" in ended.err, "not told how to go on")
        judge(fault, run(scene.fit(out, *options, f"--ckpt_path={path}"), place))
    fault.not_bit_exact = weights(out) != weights(scene.fitted)
    fault.lost = not weights(out)


def _has_taken_a_step(out: Path) -> bool:
    """Whether the table of router statistics holds more than its names."""
    tables = out.glob("version_*/router_statistics.csv")
    return any(len(path.read_text("utf-8").splitlines()) > 1 for path in tables)


def _workers(fault: Fault, scene: Scene, kind: str, number: signal.Signals) -> None:
    place = scene.place("workers")
    out = place / "out"
    command = scene.tokenize(out) if kind == "tokenizing" else scene.build(out)
    expected = scene.tokenized if kind == "tokenizing" else scene.built
    running = start(command, place)
    wait_until(lambda: len(session_members(running.pid)) > 2, running)
    time.sleep(0.2)
    running.signal(number)
    ended = running.wait()
    fault.hung = ended.hung
    if number == signal.SIGTERM:
        fault.expect(ended.status in (0, 143), f"status {ended.status}: {ended.err[-300:]!r}")
        fault.expect(not ended.has_traceback, ended.err[-300:])
    fault.expect(not wait_for_workers(running.pid), "workers outlived the main process")
    judge(fault, run(command, place))
    fault.expect(not leftovers(place), f"left behind: {leftovers(place)}")
    fault.not_bit_exact = contents(out) != contents(expected)


def _rank(fault: Fault, scene: Scene, rank: int, number: signal.Signals) -> None:
    place = scene.place("ranks")
    out = place / "out"
    command = scene.fit(out, "--trainer.strategy=ddp", "--trainer.devices=2", steps=2000)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(place / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    with (place / "log").open("wb") as log:
        main = subprocess.Popen(
            [sys.executable, "-m", "animelm", *command, "--trainer.accelerator=cpu"],
            cwd=place,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            _signal_rank(fault, main, out, rank, number)
        finally:
            for pid in session_members(main.pid):
                os.kill(pid, signal.SIGKILL)
            main.wait()
    text = (place / "log").read_text("utf-8", "replace")[-4000:]
    fault.expect("go on with" in text and "--ckpt_path" in text, "not told how to go on")
    if fault.failed or fault.hung:
        fault.failed.append(text[-300:])


def _signal_rank(
    fault: Fault, main: subprocess.Popen[bytes], out: Path, rank: int, number: signal.Signals
) -> None:
    end = time.monotonic() + 2 * _SECONDS
    while last_checkpoint(out) is None and main.poll() is None and time.monotonic() < end:
        time.sleep(0.1)
    if not fault.expect(last_checkpoint(out) is not None, "the run wrote no checkpoint"):
        return
    workers = psutil.Process(main.pid).children()
    ranks = [main.pid, *(w.pid for w in workers if "animelm" in " ".join(w.cmdline()))]
    if not fault.expect(len(ranks) == 2, f"{len(ranks)} processes"):
        return
    os.kill(ranks[rank], number)
    end = time.monotonic() + _SECONDS
    while session_members(main.pid) and time.monotonic() < end:
        main.poll()
        time.sleep(0.1)
    fault.hung = bool(session_members(main.pid))
    if not fault.hung:
        fault.expect(main.wait() != 0, "status 0")
    fault.lost = last_checkpoint(out) is None
