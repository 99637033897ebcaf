"""Teach a 4-bit mixture-of-experts language model one domain, and measure what it lost.

The rooms, and the one direction in which they may import each other, are drawn in
``docs/architecture.md``; ``animelm.cli`` is the only place that knows all of them.
"""

import os

# On a CPU in bf16, PyTorch's matrix library keeps its kernels and their buffers for the last 1,024
# shapes, twice. Every expert gets another number of rows at every step, so that hardly one comes
# again; for the 20B they took 7 GB. It reads these sizes when it first multiplies.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16")
os.environ.setdefault("LRU_CACHE_CAPACITY", "16")

__version__ = "0.1.0"
