"""What share of a step a GPU is idle, and how many operations it is given."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from torch import Tensor
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from gpu_parts.machine import Machine
from gpu_parts.training import TrainingStep


def measure_idle(
    step: TrainingStep, machine: Machine, tokens: Tensor, step_seconds: float
) -> dict[str, Any]:
    """The share of a step in which the GPU runs nothing, its operations, and the longest of them.

    The profiler slows the host, not the kernels. So their time is compared with that of a step
    without the profiler.

    Args:
        step: the training step.
        machine: with a GPU.
        tokens: [B, S], its batch.
        step_seconds: how long it takes without the profiler.
    """
    machine.require(4 * step_seconds)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as watched:
        machine.seconds(lambda: step(tokens))
    ran: list[tuple[float, float]] = []
    milliseconds: Counter[str] = Counter()
    for event in watched.events():
        if event.device_type == DeviceType.CUDA and not event.is_user_annotation:
            ran.append((event.time_range.start, event.time_range.end))
            milliseconds[event.name[:80]] += event.time_range.elapsed_us() / 1e3
    return {
        "idle_share": round(max(0.0, 1 - covered(ran) / 1e6 / step_seconds), 4),
        "device_operations": len(ran),
        "longest_ms": {name: round(spent, 2) for name, spent in milliseconds.most_common(10)},
    }


def covered(intervals: Iterable[tuple[float, float]]) -> float:
    """The length of the union of intervals, which may overlap."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
