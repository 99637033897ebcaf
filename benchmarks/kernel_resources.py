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

from animelm.model.fused.kernels import cross_entropy, dropout, norm, rotary, sinks
from animelm.model.moe.grouped import kernels as grouped
from animelm.model.moe.grouped import row_kernels as rows
from animelm.model.quantization import mxfp4, nf4
from animelm.model.quantization.double_quantization import NESTED_BLOCK
from animelm.model.quantization.kernels import unpack

# Shared memory that one program may take, in KiB (CUDA C++ Programming Guide, table of technical
# specifications per compute capability).
SHARED_KIB = {80: 163, 86: 99, 89: 99, 90: 227, 100: 227, 120: 99}
MOST_REGISTERS = 255
_HIDDEN, _INTERMEDIATE, _EXPERTS, _COLUMNS = 2880, 2880, 32, 24
_HEADS, _KEY_HEADS, _HEAD = 64, 8, 64
_TYPES = ("bf16", "fp32")
# Names of tensors in the compute type.
_IN_COMPUTE_TYPE = (
    *("x", "y", "out", "total", "weight", "weights", "grad", "grad_x", "rows", "bias", "sinks"),
    *("query", "key", "value", "cos", "sin", "logits", "gate_up", "grad_gate_up", "grad_weights"),
    *("weighted", "shares", "padded_a", "padded_b", "grad_a", "grad_b"),
)
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


def _single(
    name: str, kernel: Any, dtype: str, kinds: str, constants: dict[str, Any], fused: bool = True
) -> Kernel:
    """A kernel for tensors in ``dtype``.

    Args:
        name: what it computes.
        kernel: its code.
        dtype: the compute type.
        kinds: types of other arguments, as in "factors=*fp32 epsilon=fp32".
        constants: its constants.
        fused: whether multiplications and additions are fused.
    """
    others = dict(part.split("=") for part in kinds.split())
    pointers = {
        argument: f"*{dtype}" for argument in kernel.arg_names if argument in _IN_COMPUTE_TYPE
    }
    types = pointers | {key: kind for key, kind in others.items() if key in kernel.arg_names}
    return Kernel(f"{name}, {dtype}", _source(kernel, types, constants), fused)


def layer_kernels() -> Iterator[Kernel]:
    """What a layer computes beside its products."""
    row = {"BLOCK": triton.next_power_of_2(_HIDDEN)}
    for dtype in _TYPES:
        floats = "factors=*fp32 epsilon=fp32 logarithms=*fp32"
        yield _single("norm", norm.norm_kernel, dtype, floats, row)
        yield _single("norm backward", norm.norm_backward_kernel, dtype, floats, row)
        heads = triton.next_power_of_2(_HEADS + 2 * _KEY_HEADS)
        for back in (False, True):
            sizes = {"BACK": back, "HEADS": heads, "HALF": _HEAD // 2}
            name = "rotary back" if back else "rotary"
            yield _single(name, rotary.rotary_kernel, dtype, "", sizes)
        sizes = {"BLOCK": cross_entropy.TILE}
        kinds = "targets=*i64 losses=*fp32"
        yield _single("loss", cross_entropy.cross_entropy_kernel, dtype, kinds, sizes)
        sizes = {"HEADS": triton.next_power_of_2(_HEADS), "BLOCK": _HEAD}
        yield _single("sinks", sinks.sink_kernel, dtype, floats, sizes)
        for add in (False, True):
            kinds = "seed=i64 threshold=i64 factor=fp32 count=i64"
            sizes = {"ADD": add, "TILE": dropout.TILE}
            name = "add dropped" if add else "dropout"
            yield _single(name, dropout.dropout_kernel, dtype, kinds, sizes)


def row_kernels() -> Iterator[Kernel]:
    """What the grouped pass computes between its products."""
    tables = "expert=*i64 order=*i64 token=*i64 place=*i64 starts=*i32 ends=*i32"
    sizes = {"STEPS": 18, "EXPERTS": triton.next_power_of_2(_EXPERTS + 1), "ROWS": rows.ROWS}
    yield _single("sorted rows", rows.sorted_rows_kernel, "bf16", f"{tables} rows=i32", sizes)
    row = {"BLOCK": triton.next_power_of_2(_INTERMEDIATE)}
    numbers = "alpha=fp32 limit=fp32 scaling=fp32 count=i64 count_a=i64"
    parameters = "lora_a=*fp32 lora_b=*fp32 of_a=*fp32 of_b=*fp32"
    kinds = f"{tables} {numbers} {parameters}"
    for dtype in _TYPES:
        sizes = {"CHOSEN": 4, "WEIGHTED": True, "COLUMNS": rows.COLUMNS}
        yield _single("combine", rows.combine_kernel, dtype, kinds, sizes)
        yield _single("gated unit", rows.gated_unit_kernel, dtype, kinds, row)
        sizes = {"SHARES": True, **row}
        yield _single("gated unit backward", rows.gated_unit_backward_kernel, dtype, kinds, sizes)
        sizes = {"HAS_LORA": True, "HAS_BIAS": True, "TILE": rows.TILE}
        yield _single("pack update", rows.pack_kernel, dtype, kinds, sizes)
        yield _single("adapter gradients", rows.gradient_kernel, dtype, kinds, {"TILE": rows.TILE})


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
    kernels = [*grouped_kernels(), *unpack_kernels(), *layer_kernels(), *row_kernels()]
    for kernel in kernels:
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
