"""Fits, kills and goes on in a loop, and watches what could grow: memory, file handles, disk.

The last line is JSON: {"minutes", "fits", "kills", "failed", "memory_mib", "handles", "disk_mib"};
the last three are lists of the first, the largest and the last value between two fits.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "MPLBACKEND": "Agg", "TOKENIZERS_PARALLELISM": "false"}

from benchmarks.faults.kills import judge
from benchmarks.faults.launch import preload, run, start
from benchmarks.faults.scene import Scene, last_checkpoint, leftovers, weights
from benchmarks.faults.tally import Fault, Tally

_KILLS = 3


def main() -> int:
    """Returns 1 if a fit ended with other weights than an unbroken one, or failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="how long (default 60)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the instants")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    print(f"importing; working in {folder}", file=sys.stderr, flush=True)
    preload()
    scene, tally, draw = Scene(folder), Tally(), random.Random(options.seed)
    expected = weights(scene.fitted)
    place = scene.place("soak")
    seconds = run(scene.fit(place / "out"), place).seconds
    measured: list[tuple[float, int, float]] = []
    end = time.monotonic() + 60 * options.minutes
    while time.monotonic() < end:
        instants = [draw.uniform(0, seconds) for _ in range(_KILLS)]
        label = f"fit {len(tally.faults) + 1} killed {_KILLS} times"
        tally.inject(label, lambda fault: _fit(fault, scene, place, instants, expected))  # noqa: B023
        measured.append((_memory(), _handles(), _disk(place)))
    shutil.rmtree(folder, ignore_errors=True)
    memory, handles, disk = zip(*measured, strict=True)
    failed = sum(not fault.is_good for fault in tally.faults)
    fits = len(tally.faults)
    report = {"minutes": options.minutes, "fits": fits, "kills": _KILLS * fits, "failed": failed}
    report |= {"memory_mib": _ends(memory), "handles": _ends(handles), "disk_mib": _ends(disk)}
    print(json.dumps(report))
    return int(failed > 0)


def _fit(fault: Fault, scene: Scene, place: Path, instants: Sequence[float], expected: str) -> None:
    """One fit that is killed at some instants, each time after it was started or went on."""
    out = place / "out"
    shutil.rmtree(out, ignore_errors=True)
    for instant in instants:
        running = start(scene.fit(out, *_resume(out)), place)
        time.sleep(instant)
        if not running.is_over():
            running.signal(9)
        running.wait()
    judge(fault, run(scene.fit(out, *_resume(out)), place))
    fault.not_bit_exact = weights(out) != expected
    fault.expect(not leftovers(place), f"left behind: {leftovers(place)}")


def _resume(out: Path) -> list[str]:
    path = last_checkpoint(out)
    return [f"--ckpt_path={path}"] if path else []


def _memory() -> float:
    status = Path("/proc/self/status").read_text()
    return round(int(status.partition("VmRSS:")[2].split()[0]) / 1024, 1)


def _handles() -> int:
    return len(os.listdir("/proc/self/fd"))


def _disk(folder: Path) -> float:
    sizes = (path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return round(sum(sizes) / 2**20, 2)


def _ends(values: Sequence[float]) -> list[float]:
    return [values[0], max(values), values[-1]]


if __name__ == "__main__":
    sys.exit(main())
