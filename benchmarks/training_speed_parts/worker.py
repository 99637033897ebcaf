"""The process of one competitor: ``python -m training_speed_parts.worker ORDER RESULT``.

The libraries of a competitor are imported here, after the limits are set, so that none pays for
another's.
"""

import dataclasses
import json
import resource
import sys
from pathlib import Path

import torch

from training_speed_parts.clock import StepClock
from training_speed_parts.profiling import StepProfiler
from training_speed_parts.setting import Competitor, Measured, Ours, read_order


def _measure(competitor: Competitor, clock: StepClock) -> Measured:
    if isinstance(competitor, Ours):
        from training_speed_parts.ours import run_ours

        return run_ours(competitor, clock)
    if competitor.trainer == "trl":
        from training_speed_parts.trl_peer import run_trl

        return run_trl(competitor, clock)
    from training_speed_parts.loop_peer import run_loop

    return run_loop(competitor, clock)


def main(order: Path, result: Path) -> None:
    """Measures what ``order`` asks for and writes ``result``."""
    run, competitor, profiled = read_order(order)
    limit = int(run.memory_gib * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    torch.set_num_threads(run.threads)
    clock = StepClock(run, StepProfiler() if profiled else None)
    measured = _measure(competitor, clock)
    result.write_text(json.dumps(dataclasses.asdict(measured)), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
