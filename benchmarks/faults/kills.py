"""Kills commands at random instants by SIGKILL, and lets them go on."""

import random
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from benchmarks.faults.launch import Ended, run, session_members, start
from benchmarks.faults.scene import Scene, contents, last_checkpoint, leftovers, weights
from benchmarks.faults.tally import Fault, Tally

COMMANDS = ("fit", "tokenizing", "corpus build", "compare")

Command = list[str] | Callable[[], object]


@dataclass(frozen=True)
class Killed:
    """A kind of command that is killed.

    Attributes:
        share: of all kills.
        command: makes the command that writes to a folder.
        again: makes the command that goes on with what is in the folder.
        result: what must be the same as without the kill.
        expected: the folder of an unbroken run.
    """

    share: float
    command: Callable[[Path], Command]
    again: Callable[[Path], Command]
    result: Callable[[Path], object]
    expected: Callable[[], Path]


def kinds(scene: Scene) -> dict[str, Killed]:
    """The commands by name."""
    return {
        "fit": Killed(
            0.3,
            scene.fit,
            lambda out: scene.fit(out, *_resume(out)),
            weights,
            lambda: scene.fitted,
        ),
        "tokenizing": Killed(
            0.2, scene.tokenize, scene.tokenize, contents, lambda: scene.tokenized
        ),
        "corpus build": Killed(0.3, scene.build, scene.build, contents, lambda: scene.built),
        "compare": Killed(0.2, scene.compare, scene.compare, _answers, lambda: scene.compared),
    }


def inject_kills(
    tally: Tally, scene: Scene, kills: int, seed: int, commands: Collection[str]
) -> None:
    """Injects about ``kills`` kills, at least one into each of the commands."""
    draw = random.Random(seed)
    for name, kind in kinds(scene).items():
        if name not in commands:
            continue
        expected = kind.result(kind.expected())
        place = scene.place("timed")
        seconds = run(kind.command(place / "out"), place).seconds
        for _ in range(max(1, round(kind.share * kills))):
            instant = draw.uniform(0, seconds)
            label = f"{name} killed after {instant:.2f} of {seconds:.2f} s"
            tally.inject(label, lambda fault: _kill(fault, scene, kind, instant, expected))  # noqa: B023


def _kill(fault: Fault, scene: Scene, kind: Killed, instant: float, expected: object) -> None:
    place = scene.place("killed")
    out = place / "out"
    running = start(kind.command(out), place)
    time.sleep(instant)
    running.signal(9)
    running.wait()
    time.sleep(0.5)
    workers = wait_for_workers(running.pid)
    fault.expect(not workers, f"{len(workers)} workers outlived the killed command")
    before = last_checkpoint(out)
    ended = run(kind.again(out), place)
    judge(fault, ended)
    if kind.result(out) != expected:
        fault.not_bit_exact = True
        fault.lost = not kind.result(out)
    fault.expect(not leftovers(place), f"left behind: {leftovers(place)}")
    if before is not None and not before.exists():
        fault.lost = True


def judge(fault: Fault, ended: Ended) -> bool:
    """Notes what is wrong with a command that should have ended well."""
    fault.hung |= ended.hung
    return fault.expect(
        ended.status == 0 and not ended.has_traceback,
        f"status {ended.status}: {ended.err[-300:]!r}",
    )


def wait_for_workers(leader: int, seconds: float = 5) -> list[int]:
    end = time.monotonic() + seconds
    while (found := session_members(leader)) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def _resume(out: Path) -> list[str]:
    path = last_checkpoint(out)
    return [f"--ckpt_path={path}"] if path else []


def _answers(out: Path) -> str:
    path = out / "results.jsonl"
    return path.read_text("utf-8") if path.is_file() else ""
