"""Compiles every Triton kernel for every GPU architecture, and prints what it takes of a GPU.

    python benchmarks/kernel_resources.py        (or make kernels)

No GPU is needed: Triton brings NVIDIA's assembler. The shapes are those of gpt-oss-20b with LoRA of
rank 16. For each kernel: registers of a thread, spilled bytes, and shared memory of a program,
which must fit into the architecture's. The last line is JSON; the exit status is 1 if one does not.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import triton
from rich.console import Console
from rich.table import Table
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from animelm.model.moe.grouped import kernels as grouped
from animelm.model.quantization import mxfp4, nf4
from animelm.model.quantization.double_quantization import NESTED_BLOCK
from animelm.model.quantization.kernels import unpack

# Shared memory that one program may take, in KiB (CUDA C++ Programming Guide, table of technical
# specifications per compute capability).
SHARED_KIB = {80: 163, 86: 99, 89: 99, 90: 227, 100: 227, 120: 99}
MOST_REGISTERS = 255
_HIDDEN, _INTERMEDIATE, _EXPERTS, _COLUMNS = 2880, 2880, 32, 24
_TYPES = ("bf16", "fp32")
# Arguments that are multiples of 16 for the 20B.
_MULTIPLES = ("inputs", "outputs", "expert_stride", "input_stride", "count")


class Kernel(NamedTuple):
    """One kernel in one specialization.

    Attributes:
        name: what it computes.
        source: its code, with types and constants.
        fused: whether multiplications and additions are fused, as at its launch.
    """

    name: str
    source: ASTSource
    fused: bool


def _source(kernel: Any, types: dict[str, str], constants: dict[str, Any]) -> ASTSource:
    """Every argument of no other type is an int32; as at a launch, multiples of 16 are known."""
    signature = {
        name: "constexpr" if name in constants else types.get(name, "i32")
        for name in kernel.arg_names
    }
    multiples = {
        (number,): [["tt.divisibility", 16]]
        for number, name in enumerate(kernel.arg_names)
        if signature[name].startswith("*") or (name in _MULTIPLES and name not in constants)
    }
    return ASTSource(kernel, signature, constants, multiples)


def grouped_kernels() -> Iterator[Kernel]:
    """The grouped products of gate_up, down and LoRA."""
    shared = {"PRECISION": grouped.PRECISION, "WIDEN": False}
    shapes = {
        "gate_up": (_HIDDEN, 2 * _INTERMEDIATE),
        "LoRA A": (_HIDDEN, _COLUMNS),
        "LoRA B": (_COLUMNS, 2 * _INTERMEDIATE),
    }
    for dtype in _TYPES:
        pointers = dict.fromkeys(("x", "weights", "y", "out"), f"*{dtype}")
        pointers |= dict.fromkeys(("starts", "ends"), "*i32")
        for name, (inputs, outputs) in shapes.items():
            blocks = grouped.tile_sizes(inputs, outputs)
            constants = {**shared, **blocks, "ADD": name == "LoRA B", "EXPERTS": _EXPERTS}
            # Rows of a matrix lie one after the other, as in the backward pass.
            constants["output_stride"] = 1
            yield Kernel(
                f"rows, {name}, {dtype}", _source(grouped.rows_kernel, pointers, constants), True
            )
        for name, (inputs, outputs) in list(shapes.items())[1:]:
            constants = {**shared, **grouped.tile_sizes(inputs, outputs)}
            yield Kernel(
                f"outer, {name}, {dtype}", _source(grouped.outer_kernel, pointers, constants), True
            )


def unpack_kernels() -> Iterator[Kernel]:
    """Every format into every type."""
    formats = {
        "mxfp4": (unpack.BYTE, mxfp4.BLOCK, "*u8"),
        "nf4": (unpack.FLOAT, nf4.BLOCK, "*fp32"),
        "nf4-double": (unpack.NESTED, nf4.BLOCK, "*u8"),
    }
    tables = ("levels", "scale_levels", "largest_scales", "mean_scales")
    for dtype in _TYPES:
        for name, (kind, block, scales) in formats.items():
            types = {"packed": "*u8", "scales": scales, "out": f"*{dtype}", "count": "i64"}
            types |= dict.fromkeys(tables, "*fp32")
            constants = {
                "KIND": kind.value,
                "LOW_FIRST": name == "mxfp4",
                "BLOCK_BYTES": block // 2,
                "NESTED_SCALES": NESTED_BLOCK,
                "BFLOAT16": dtype == "bf16",
                "TILE": unpack.TILE_BYTES,
            }
            yield Kernel(
                f"unpack {name}, {dtype}", _source(unpack.unpack_kernel, types, constants), False
            )


def resources(kernel: Kernel, capability: int) -> dict[str, int]:
    """Compiles the kernel; registers, spilled bytes and shared bytes."""
    target, options = GPUTarget("cuda", capability, 32), {"enable_fp_fusion": kernel.fused}
    compiled = triton.compile(kernel.source, target=target, options=options)
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        command = [tool, "--dump-resource-usage", file.name]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    fields = dict(word.split(":", 1) for word in printed.split() if word.count(":") == 1)
    return {
        "registers": int(fields["REG"]),
        "spilled": int(fields["STACK"]),
        "shared": compiled.metadata.shared,
    }


def main() -> None:
    """Compiles all kernels and prints a table."""
    table = Table("kernel", *(f"sm_{capability}" for capability in SHARED_KIB))
    found: dict[str, dict[str, dict[str, int]]] = {}
    for kernel in [*grouped_kernels(), *unpack_kernels()]:
        by_capability = {
            f"sm_{capability}": resources(kernel, capability) for capability in SHARED_KIB
        }
        found[kernel.name] = by_capability
        cells = (
            f"{used['registers']} reg, {used['shared'] / 1024:.0f} KiB"
            + (f", {used['spilled']} B spilled" if used["spilled"] else "")
            for used in by_capability.values()
        )
        table.add_row(kernel.name, *cells)
    Console(width=160).print(table)
    too_large = [
        f"{name} on sm_{capability}"
        for name, by_capability in found.items()
        for capability, limit in SHARED_KIB.items()
        if by_capability[f"sm_{capability}"]["shared"] > 1024 * limit
        or by_capability[f"sm_{capability}"]["registers"] > MOST_REGISTERS
    ]
    print(json.dumps({"kernels": found, "too_large": too_large}))
    if too_large:
        sys.exit(f"too large for the architecture: {', '.join(too_large)}")


if __name__ == "__main__":
    main()
