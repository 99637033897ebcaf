"""Runs two commands in one folder at once, and removes folders and files under a command."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.faults.kills import judge
from benchmarks.faults.launch import Running, run, start
from benchmarks.faults.scene import Scene, contents, last_checkpoint, weights
from benchmarks.faults.tally import Fault, Tally


def inject_together(tally: Tally, scene: Scene) -> None:
    """Two fits, two builds and two comparisons; then folders that vanish."""
    kinds: dict[str, tuple[Callable[[Path], list[str]], Callable[[Path], object], Path]] = {
        "fits": (scene.fit, weights, scene.fitted),
        "corpus builds": (scene.build, contents, scene.built),
        "comparisons": (scene.compare, _answers, scene.compared),
    }
    for name, (command, result, expected) in kinds.items():
        for delay in (0.0, 0.3):
            tally.inject(
                f"two {name} write to one folder, {delay} s apart",
                lambda fault: _two(fault, scene, command, result, expected, delay),  # noqa: B023
            )
    tally.inject("two tokenize into one cache", lambda fault: _two_caches(fault, scene))
    tally.inject("the output folder of a fit is removed", lambda fault: _removed(fault, scene))
    tally.inject("the output folder of a build is removed", lambda f: _removed_build(f, scene))
    tally.inject("tokens.bin is emptied under a fit", lambda fault: _emptied(fault, scene))


def _two(
    fault: Fault,
    scene: Scene,
    command: Callable[[Path], list[str]],
    result: Callable[[Path], object],
    expected: Path,
    delay: float,
) -> None:
    place = scene.place("two")
    first = start(command(place / "out"), place)
    time.sleep(delay)
    second = start(command(place / "out"), place)
    both = [second.wait(), first.wait()]
    fault.hung = any(ended.hung for ended in both)
    statuses = sorted(ended.status for ended in both)
    # One may begin when the other has ended.
    fault.expect(statuses in ([0, 2], [0, 0]), f"statuses {statuses}")
    for ended in both:
        fault.expect(not ended.has_traceback, ended.err[-300:])
        if ended.status:
            told = "another command writes there: process"
            fault.expect(told in ended.err, f"not told who writes there: {ended.err[-300:]!r}")
    fault.not_bit_exact = result(place / "out") != result(expected)


def _answers(out: Path) -> str:
    path = out / "results.jsonl"
    return path.read_text("utf-8") if path.is_file() else ""


def _two_caches(fault: Fault, scene: Scene) -> None:
    place = scene.place("caches")
    running = [start(scene.tokenize(place / "out"), place) for _ in range(2)]
    for each in running:
        judge(fault, each.wait())
    fault.not_bit_exact = contents(place / "out") != contents(scene.tokenized)


def _removed(fault: Fault, scene: Scene) -> None:
    place = scene.place("removed")
    running = start(scene.fit(place / "out", steps=200), place)
    if wait_until(lambda: last_checkpoint(place / "out") is not None, running):
        shutil.rmtree(place / "out", ignore_errors=True)
    ended = running.wait()
    fault.hung = ended.hung
    fault.expect(not ended.has_traceback, f"status {ended.status}: {ended.err[-300:]!r}")
    fault.lost = ended.status == 0 and not weights(place / "out")


def _removed_build(fault: Fault, scene: Scene) -> None:
    place = scene.place("removed")
    running = start(scene.build(place / "out"), place)
    if wait_until(lambda: (place / "out" / ".partial" / "articles").is_dir(), running):
        shutil.rmtree(place / "out", ignore_errors=True)
    ended = running.wait()
    fault.hung = ended.hung
    fault.expect(not ended.has_traceback, f"status {ended.status}: {ended.err[-300:]!r}")
    if ended.status == 0:
        fault.lost = contents(place / "out") != contents(scene.built)
    judge(fault, run(scene.build(place / "out"), place))
    fault.not_bit_exact = contents(place / "out") != contents(scene.built)


def _emptied(fault: Fault, scene: Scene) -> None:
    place = scene.place("emptied")
    running = start(scene.fit(place / "out", steps=200), place)
    if wait_until(lambda: last_checkpoint(place / "out") is not None, running):
        for path in (place / "cache").rglob("tokens.bin"):
            os.truncate(path, 0)
    ended = running.wait()
    fault.hung = ended.hung
    said = ended.is_one_message and "tokens.bin" in ended.err
    fault.expect(said or ended.status == 0, f"status {ended.status}: {ended.err[-300:]!r}")


def wait_until(holds: Callable[[], bool], running: Running, seconds: float = 120) -> bool:
    """Waits until something holds; False if the command has ended before."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not running.is_over():
        if holds():
            return True
        time.sleep(0.005)
    return False
