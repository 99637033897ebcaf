"""Runs each competitor in a fresh process, so that its memory and its libraries are its own."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from training_speed_parts.setting import Competitor, Measured, Run, write_order

_BENCHMARKS = Path(__file__).resolve().parents[1]


class CompetitorError(Exception):
    """A competitor's process failed; the message is the last line that it wrote."""


def measure(run: Run, competitor: Competitor, profile: bool = False) -> Measured:
    """Trains one competitor in a process of its own.

    Raises:
        CompetitorError: it failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        order, result, log = (Path(folder) / name for name in ("order.json", "result.json", "log"))
        write_order(order, run, competitor, profile)
        with log.open("wb") as output:
            code = subprocess.run(
                [sys.executable, "-m", "training_speed_parts.worker", str(order), str(result)],
                env=_environment(run),
                stdout=None if profile else output,
                stderr=output,
                check=False,
            ).returncode
        if code or not result.is_file():
            lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise CompetitorError(f"status {code}: {lines[-1] if lines else 'no message'}")
        return Measured(**json.loads(result.read_text(encoding="utf-8")))


def _environment(run: Run) -> dict[str, str]:
    paths = [str(_BENCHMARKS), str(_BENCHMARKS.parent), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "OMP_NUM_THREADS": str(run.threads),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "CUDA_VISIBLE_DEVICES": "",
    }
