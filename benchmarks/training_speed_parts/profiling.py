"""Where a step's time goes, by kind of operation, under torch.profiler."""

import time
from collections import defaultdict
from typing import Any

from rich.console import Console
from rich.table import Table
from torch.profiler import ProfilerActivity, profile

_KINDS = {
    "matrix products": (
        "mm",
        "addmm",
        "addmm_",
        "bmm",
        "baddbmm",
        "_grouped_mm",
    ),
    "dequantize": ("dequantize", "bitsandbytes"),
    "attention": ("flash_attention",),
    "loss": ("log_softmax", "nll_loss", "logsumexp", "_chunk"),
    "optimizer": ("_fused_adamw", "_foreach", "optimizer", "linalg_vector_norm"),
    "gather, scatter, sort": ("index", "gather", "scatter", "sort", "cat", "bincount", "topk"),
    "copies, casts, fills": ("copy_", "fill_", "zero_", "clone", "contiguous", "to_copy"),
    "allocation": ("empty", "resize", "set_"),
}
_REST = "elementwise and reductions"
_PYTHON = "outside operations (Python, dispatch, autograd)"


def _kind(name: str) -> str:
    plain = name.removeprefix("aten::").removeprefix("autograd::engine::")
    if not name.startswith(("aten::", "bitsandbytes::", "transformers::")):
        return _PYTHON
    if plain in _KINDS["matrix products"]:
        return "matrix products"
    for kind, parts in list(_KINDS.items())[1:]:
        if any(part in plain or part in name for part in parts):
            return kind
    return _REST


class StepProfiler:
    """Profiles the steps between ``start`` and ``stop`` and prints shares and operations."""

    def __init__(self) -> None:
        self._profile = profile(activities=[ProfilerActivity.CPU])
        self._begun = 0.0

    def start(self) -> None:
        """Begins to watch."""
        self._profile.start()
        self._begun = time.perf_counter()

    def stop(self, steps: int) -> None:
        """Prints the tables of the ``steps`` steps since ``start``."""
        wall_seconds = time.perf_counter() - self._begun
        self._profile.stop()
        events = self._profile.key_averages()
        seconds: dict[str, float] = defaultdict(float)
        calls: dict[str, int] = defaultdict(int)
        for event in events:
            kind = _kind(event.key)
            if kind != _PYTHON:
                seconds[kind] += event.self_cpu_time_total / 1e6
                calls[kind] += event.count
        seconds[_PYTHON] = wall_seconds - sum(seconds.values())
        console = Console(width=120)
        table = Table("kind", "ms a step", "share", "calls a step")
        for kind, spent in sorted(seconds.items(), key=lambda item: -item[1]):
            table.add_row(
                kind,
                f"{spent / steps * 1e3:.1f}",
                f"{spent / wall_seconds:.1%}",
                f"{calls[kind] / steps:.0f}",
            )
        console.print(table)
        console.print(_operations(events, wall_seconds, steps))


def _operations(events: Any, wall_seconds: float, steps: int) -> Table:
    table = Table("operation", "ms a step", "share", "calls a step")
    for event in sorted(events, key=lambda event: -event.self_cpu_time_total)[:40]:
        spent = event.self_cpu_time_total / 1e6
        table.add_row(
            event.key[:70],
            f"{spent / steps * 1e3:.1f}",
            f"{spent / wall_seconds:.1%}",
            f"{event.count / steps:.0f}",
        )
    return table
