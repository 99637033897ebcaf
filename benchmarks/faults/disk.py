"""Fills the disk: no file may be written beyond a size, as on a disk that is full."""

from collections.abc import Callable
from pathlib import Path

from benchmarks.faults.kills import judge
from benchmarks.faults.launch import run
from benchmarks.faults.scene import Scene, contents, leftovers, weights
from benchmarks.faults.tally import Fault, Tally

_SIZES = (0, 100, 2_000, 20_000, 100_000)


def inject_full_disks(tally: Tally, scene: Scene) -> None:
    """Limits the files of a fit, of tokenizing, of a build and of a comparison to some sizes."""
    kinds: dict[str, tuple[Callable[[Path], list[str]], Callable[[Path], object], Path]] = {
        "fit": (scene.fit, weights, scene.fitted),
        "corpus build": (scene.build, contents, scene.built),
        "compare": (scene.compare, _answers, scene.compared),
    }
    for name, (command, result, expected) in kinds.items():
        for size in _SIZES:
            tally.inject(
                f"{name} on a disk that takes no file above {size:,} bytes",
                lambda fault: _full(fault, scene, command, result, expected, size),  # noqa: B023
            )


def _full(
    fault: Fault,
    scene: Scene,
    command: Callable[[Path], list[str]],
    result: Callable[[Path], object],
    expected: Path,
    size: int,
) -> None:
    place = scene.place("full")
    ended = run(command(place / "out"), place, file_bytes=size)
    fault.hung = ended.hung
    if ended.status:
        fault.expect(ended.is_one_message, f"status {ended.status}: {ended.err[-400:]!r}")
        fault.expect(not leftovers(place), f"left behind: {leftovers(place)}")
    else:  # no file was larger
        fault.expect(result(place / "out") == result(expected), "status 0 without the result")
    # With room, the same command does its work.
    judge(fault, run(command(place / "out"), place))
    fault.not_bit_exact = result(place / "out") != result(expected)


def _answers(out: Path) -> str:
    path = out / "results.jsonl"
    return path.read_text("utf-8") if path.is_file() else ""
