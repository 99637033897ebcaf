"""The device that is measured: its clock, its memory, and the time that is left."""

import gc
import time
from collections.abc import Callable
from typing import Any

import torch


class Machine:
    """One device, and the time by which everything must be measured.

    Args:
        device: cuda or cpu.
        seconds: time for everything.
    """

    def __init__(self, device: torch.device, seconds: float) -> None:
        self.device = device
        self._end = time.perf_counter() + seconds

    @property
    def is_gpu(self) -> bool:
        return self.device.type == "cuda"

    @property
    def name(self) -> str:
        """Of the GPU, with its compute capability."""
        if not self.is_gpu:
            return "CPU"
        major, minor = torch.cuda.get_device_capability(self.device)
        return f"{torch.cuda.get_device_name(self.device)} (compute capability {major}.{minor})"

    @property
    def free_bytes(self) -> int | None:
        """Memory of the GPU that nothing uses; None on a CPU."""
        self.tidy()
        return torch.cuda.mem_get_info(self.device)[0] if self.is_gpu else None

    def seconds_left(self) -> float:
        return self._end - time.perf_counter()

    def require(self, seconds: float) -> None:
        """Raises a ``Skipped`` if less time is left."""
        left = self.seconds_left()
        if left < seconds:
            raise Skipped(f"it would take about {seconds:.0f} s, and {max(0, left):.0f} s are left")

    def seconds(self, work: Callable[[], Any]) -> float:
        """How long ``work`` takes, with everything that it has launched."""
        self._wait()
        begin = time.perf_counter()
        work()
        self._wait()
        return time.perf_counter() - begin

    def _wait(self) -> None:
        if self.is_gpu:
            torch.cuda.synchronize(self.device)

    def tidy(self) -> None:
        """Frees what nothing refers to any more."""
        gc.collect()
        if self.is_gpu:
            torch.cuda.empty_cache()

    def forget_peak(self) -> None:
        self.tidy()
        if self.is_gpu:
            torch.cuda.reset_peak_memory_stats(self.device)

    def peak_gib(self) -> float | None:
        """Most memory that tensors have taken since ``forget_peak``; None on a CPU."""
        if not self.is_gpu:
            return None
        return round(torch.cuda.max_memory_allocated(self.device) / 2**30, 2)


class Skipped(Exception):
    """Something is not measured; the message says why."""


def measured_or_why(machine: Machine, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``measure`` returns; or why there is nothing, under ``skipped`` or ``failed``."""
    try:
        return measure()
    except Skipped as reason:
        found = {"skipped": str(reason)}
    except torch.cuda.OutOfMemoryError:
        found = {"skipped": "it does not fit into this GPU's memory"}
    except Exception as error:  # kernels fail in ways of their own; the rest is still measured
        words = " ".join(str(error).split())
        found = {"failed": f"{type(error).__name__}: {words:.300}"}
    machine.tidy()
    return found
