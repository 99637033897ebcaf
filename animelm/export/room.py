"""Whether the disk and the memory have room for an export, before anything is written."""

import math
import os
import shutil
from pathlib import Path

import torch

from animelm.errors import UserError
from animelm.export.settings import ExportSettings
from animelm.export.stock_weights import stock_shapes
from animelm.model.architecture import Config

# Bits of an MXFP4 value: 4, and one scale byte for 32 of them.
_MXFP4_BITS = 4.25
_SPARE = 1.05


def require_room(settings: ExportSettings, config: Config, adapter_bytes: int) -> None:
    """Checks the free disk, and the memory for the stock tool of the check.

    Raises:
        UserError: there is too little.
    """
    sizes = {name: math.prod(shape) for name, shape in stock_shapes(config).items()}
    experts = sum(size for name, size in sizes.items() if name.endswith(("_up_proj", "down_proj")))
    others = sum(sizes.values()) - experts
    in_float32 = sum(sizes.values()) * torch.float32.itemsize
    packed = settings.to == "mxfp4" or (settings.to == "gguf" and settings.gguf_type == "mxfp4")
    bits = _MXFP4_BITS if packed else 16
    needed = int(others * 2 + experts * bits / 8)
    if settings.to == "peft":
        # The check opens the adapter on a copy of the dequantized base.
        needed = adapter_bytes + (in_float32 if settings.check else 0)
    free = shutil.disk_usage(_existing(settings.output)).free
    if free < needed * _SPARE:
        raise UserError(
            f"--output {settings.output}: the export needs {_gib(needed * _SPARE)} of disk, and "
            f"{_gib(free)} are free; make room, or name a folder on another disk"
        )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if settings.check and settings.to != "gguf" and memory < in_float32 * _SPARE + adapter_bytes:
        raise UserError(
            f"--check: the stock tools hold the whole model in float32, {_gib(in_float32)}, and "
            f"this machine has {_gib(memory)} of memory; export on a larger one, or without the "
            "check (--check=false)"
        )


def _existing(folder: Path) -> Path:
    folder = folder.resolve()
    return next(each for each in (folder, *folder.parents) if each.exists())


def _gib(count: float) -> str:
    return f"{count / 2**30:.1f} GiB"
