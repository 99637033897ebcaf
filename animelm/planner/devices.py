"""The memory of GPUs, by the names that people call them."""

import re

_GIB = 2**30
# GiB, from the makers' data sheets, which count in powers of two but write GB.
_GPUS = {
    "t4": 16,
    "v100-16gb": 16,
    "v100-32gb": 32,
    "p100": 16,
    "rtx 2080 ti": 11,
    "rtx 3060": 12,
    "rtx 3080": 10,
    "rtx 3090": 24,
    "rtx 4060 ti 16gb": 16,
    "rtx 4070 ti super": 16,
    "rtx 4080": 16,
    "rtx 4090": 24,
    "rtx 5070 ti": 16,
    "rtx 5080": 16,
    "rtx 5090": 32,
    "rtx a4000": 16,
    "rtx a5000": 24,
    "rtx a6000": 48,
    "rtx 6000 ada": 48,
    "rtx pro 6000": 96,
    "a10": 24,
    "a10g": 24,
    "a40": 48,
    "l4": 24,
    "l40": 48,
    "l40s": 48,
    "a100-40gb": 40,
    "a100-80gb": 80,
    "h100": 80,
    "h100 nvl": 94,
    "h200": 141,
    "gh200": 96,
    "b200": 180,
    "mi210": 64,
    "mi250x": 128,
    "mi300x": 192,
}
GPU_NAMES = tuple(map(str.upper, _GPUS))
"""The names that are known."""


def gpu_memory(name: str) -> int | None:
    """Bytes of memory of a GPU; None if the name is not known.

    Args:
        name: As in a shop or as the driver says it: RTX 4090, NVIDIA A100-SXM4-40GB, H100 80GB.
    """
    known = {_plain(gpu): size for gpu, size in _GPUS.items()}
    # The driver also tells the size of a GPU that comes in one size.
    without_size = re.sub(r"\b\d+\s?gb\b", "", name.casefold())
    size = known.get(_plain(name)) or known.get(_plain(without_size))
    return size * _GIB if size else None


def _plain(name: str) -> str:
    """Without the maker, the form of the card, and what separates words."""
    words = r"nvidia|geforce|amd|instinct|radeon|tesla|sxm\d?|pcie|hbm\w*|[\s_-]+"
    return re.sub(words, "", name.casefold())
