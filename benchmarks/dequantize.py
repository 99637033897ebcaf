"""Speed of dequantizing 4-bit weights, compared with the bandwidth of the memory.

    python benchmarks/dequantize.py

For each format and compute type: parameters per second for one layer of gpt-oss-20b's experts
(gate and up of 8 experts, [46,080, 2,880]), and the bytes moved (packed bytes and scales read,
values written) as a share of the bandwidth of a large copy. The last line is JSON.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from animelm.model.quantization.linear4bit import Linear4bit, LinearDouble4bit
from animelm.model.quantization.mxfp4 import LinearMXFP4
from animelm.model.quantization.packed_linear import PackedLinear

FORMATS: dict[str, type[PackedLinear]] = {
    "nf4": Linear4bit,
    "nf4-double": LinearDouble4bit,
    "mxfp4": LinearMXFP4,
}
TYPES = (torch.float32, torch.bfloat16)
_EXPERTS, _ROWS, _WIDTH = 8, 5760, 2880
_COPY_BYTES = 2**28


def seconds(work: Callable[[], object], repetitions: int, now: Callable[[], float]) -> float:
    """Median time of ``work``, after one call that is not counted."""
    work()
    measured = []
    for _ in range(repetitions):
        begin = now()
        work()
        measured.append(now() - begin)
    return statistics.median(measured)


def copy_bandwidth(repetitions: int, now: Callable[[], float]) -> float:
    """Bytes per second of a large copy, read and written."""
    source = torch.zeros(_COPY_BYTES, dtype=torch.uint8)
    target = torch.empty_like(source)
    return 2 * _COPY_BYTES / seconds(lambda: target.copy_(source), repetitions, now)


def random_layers(kind: type[PackedLinear]) -> list[PackedLinear]:
    """Experts' layers with random bytes, more than fit into a processor's cache."""
    layers = []
    for seed in range(_EXPERTS):
        generator = torch.Generator().manual_seed(seed)
        layer = kind(_WIDTH, _ROWS, bias=False)
        packed = torch.randint(256, layer.weight.shape, dtype=torch.uint8, generator=generator)
        scales = (torch.full(p.shape, 120).to(p.dtype) for p in layer.scale_parameters())
        layer.load_packed(packed, *scales)
        layers.append(layer)
    return layers


def measure(repetitions: int, now: Callable[[], float]) -> dict[str, Any]:
    """Parameters per second and share of the bandwidth, for each format and type."""
    bandwidth = copy_bandwidth(repetitions, now)
    found: dict[str, Any] = {"copy_bytes_per_s": bandwidth}
    for name, kind in FORMATS.items():
        layers = random_layers(kind)
        parameters = _EXPERTS * _ROWS * _WIDTH
        packed = sum(
            part.numel() * part.element_size()
            for layer in layers
            for part in (layer.weight, *layer.scale_parameters())
        )
        for dtype in TYPES:

            def every_layer(layers=layers, dtype=dtype) -> None:
                for layer in layers:
                    layer.dequantize(dtype)

            spent = seconds(every_layer, repetitions, now)
            moved = packed + parameters * dtype.itemsize
            found[f"{name}_{str(dtype).removeprefix('torch.')}"] = {
                "parameters_per_s": parameters / spent,
                "bandwidth_share": moved / spent / bandwidth,
            }
    return found


def show(found: dict[str, Any]) -> None:
    """Prints the figures as a table."""
    table = Table(title=f"A copy moves {found['copy_bytes_per_s'] / 1e9:.1f} GB/s")
    table.add_column("format and type")
    table.add_column("billion parameters/s", justify="right")
    table.add_column("of the copy's bandwidth", justify="right")
    for name, row in found.items():
        if isinstance(row, dict):
            table.add_row(
                name, f"{row['parameters_per_s'] / 1e9:.2f}", f"{row['bandwidth_share']:.0%}"
            )
    Console().print(table)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--cpu-time", action="store_true", help="for a busy machine, one thread")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    now = time.process_time if arguments.cpu_time else time.perf_counter
    with torch.no_grad():
        found = measure(arguments.repetitions, now)
    show(found)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
