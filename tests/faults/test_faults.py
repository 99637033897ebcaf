"""A quick part of ``make faults``: kills of the commands that take the least time."""

import json
import os
import subprocess
import sys
from pathlib import Path


def run_faults(project_root: Path, *options: str) -> dict[str, int]:
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.faults", *options],
        cwd=project_root,
        env={**os.environ, "PYTHONPATH": str(project_root)},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = ran.stdout.splitlines()
    assert lines, ran.stderr[-3000:]
    summary = json.loads(lines[-1])
    assert ran.returncode == 0, ran.stderr[-3000:]
    return summary


def test_whatever_is_killed_goes_on_to_the_same_bits(project_root: Path) -> None:
    quick = ("--commands", "tokenizing", "corpus build", "--seed=7")
    summary = run_faults(project_root, "--kills=3", "--only", "kills", *quick)
    assert summary == {
        "faults": 2,
        "failed": 0,
        "lost": 0,
        "hung": 0,
        "not_bit_exact": 0,
        "code_ran": 0,
    }
