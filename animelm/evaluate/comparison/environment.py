"""The versions and the hardware that a figure was measured with."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from animelm import __version__

_PACKAGES = ("torch", "transformers", "peft", "lightning", "bitsandbytes", "tokenizers", "numpy")
_GIB = 2**30


def describe_environment() -> dict[str, Any]:
    """Versions of the packages, and the processor, memory and accelerators of this machine."""
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "versions": {
            "animelm": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in _PACKAGES},
        },
        "hardware": {
            "system": f"{platform.system()} {platform.machine()}",
            "processor": _processor(),
            "cores": len(os.sched_getaffinity(0)),
            "memory_gib": round(_memory() / _GIB, 1),
            "accelerators": gpus,
        },
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    found = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(found, platform.processor())


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
