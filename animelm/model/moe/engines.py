"""Chooses how the experts of a layer are computed: one after the other, or as grouped products.

On a CPU the loop over experts is fastest. On a GPU its thousands of small operations cost more time
than the products, so there grouped products take all experts together.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from animelm.errors import UserError
from animelm.model.moe.grouped.products import GroupedMM, GroupedProducts
from animelm.model.moe.grouped.projection import GroupedEngine
from animelm.model.moe.grouped.triton_products import TritonProducts
from animelm.model.moe.routing import Groups

EngineName = Literal["auto", "loop", "grouped_mm", "triton"]
_ENGINES: dict[str, type[GroupedProducts]] = {"grouped_mm": GroupedMM, "triton": TritonProducts}
# From the first compute capability on whose GPUs compute bf16, which the kernels are meant for.
_TRITON_CAPABILITY = 8
# Where PyTorch has one kernel for grouped_mm, and no loop (compute capability's first number).
_GROUPED_MM_CAPABILITIES = (9, 10)
# Largest error of a probe's product, relative to its largest value.
_TOLERANCE = {torch.bfloat16: 2e-2, torch.float16: 4e-3, torch.float32: 1e-4}


@dataclass(frozen=True)
class EngineChoice:
    """The engine of a run.

    Attributes:
        engine: grouped products; None: the loop over experts.
        rejected: why engines that were tried before it do not serve, one sentence each.
    """

    engine: GroupedEngine | None
    rejected: tuple[str, ...] = ()

    def __str__(self) -> str:
        name = self.engine.products.name if self.engine else "loop"
        return "; ".join([f"Experts are computed by the engine {name}", *self.rejected])


def choose_engine(
    requested: EngineName,
    device: torch.device,
    dtype: torch.dtype,
    widths: tuple[int, ...],
    experts_at_once: int | None = None,
) -> EngineChoice:
    """The requested engine; for "auto", the fastest that passes a probe on ``device``.

    Args:
        requested: an engine by name, or "auto".
        device: where the model computes.
        dtype: the compute type.
        widths: the model's hidden width, and the width inside its experts.
        experts_at_once: see ``GroupedEngine``.

    Raises:
        UserError: the requested engine does not serve here.
    """
    rejected: list[str] = []
    for name in _candidates(device, dtype) if requested == "auto" else (requested,):
        if name == "loop":
            break
        engine = _ENGINES[name]
        problem = _problem(engine, device, dtype, widths, experts_at_once)
        if problem is None:
            return EngineChoice(GroupedEngine(engine(), experts_at_once), tuple(rejected))
        if requested != "auto":
            raise UserError(
                f"--model.compute.expert_engine={name}: {problem}; set it to auto or loop"
            )
        rejected.append(f"{name}: {problem}")
    return EngineChoice(None, tuple(rejected))


def _candidates(device: torch.device, dtype: torch.dtype) -> tuple[str, ...]:
    if device.type != "cuda":
        return ()
    capability = torch.cuda.get_device_capability(device)[0]
    if dtype == torch.bfloat16 and capability in _GROUPED_MM_CAPABILITIES:
        return ("grouped_mm", "triton")
    return ("triton",) if capability >= _TRITON_CAPABILITY else ()


def _problem(
    engine: type[GroupedProducts],
    device: torch.device,
    dtype: torch.dtype,
    widths: tuple[int, ...],
    experts_at_once: int | None,
) -> str | None:
    """What keeps an engine from serving; None: nothing."""
    unaligned = [width for width in widths if width * dtype.itemsize % 16]
    if unaligned:
        return f"a width of {unaligned[0]} is no multiple of 16 bytes in {dtype}"
    if experts_at_once and not engine.takes_parts:
        return f"it takes all experts of a layer at once, and experts_at_once is {experts_at_once}"
    try:
        return probe(engine(), device, dtype)
    except ImportError:
        return "Triton is not installed (pip install 'animelm[triton]')"
    except Exception as error:  # compilers and drivers raise errors of their own; it is reported
        return f"it fails here ({type(error).__name__}: {' '.join(str(error).split()):.200})"


def probe(products: GroupedProducts, device: torch.device, dtype: torch.dtype) -> str | None:
    """Compares every product with one by PyTorch, expert by expert; returns the first difference.

    The weights are transposed views, and experts have no rows, one row and many, because known
    faults of grouped kernels lie there (pytorch#186365, #172439).
    """
    for name, ours, theirs in _products(products, device, dtype):
        error = (ours.float() - theirs.float()).abs().max()
        if not error <= _TOLERANCE[dtype] * theirs.float().abs().max():
            return f"its {name} differs from PyTorch's by {error.item():.3g}"
    return None


def _products(
    products: GroupedProducts, device: torch.device, dtype: torch.dtype
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Name, result and expected result of each product."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device, dtype)

    ends = [0, 1, 90, 90, 213, 213]
    starts = [0, *ends[:-1]]
    rows, experts, inputs, outputs = ends[-1], len(ends), 64, 96
    bounds = (torch.tensor(each, dtype=torch.int32, device=device) for each in (starts, ends))
    groups = Groups(*bounds)
    x, y, weights = random(rows, inputs), random(rows, outputs), random(experts, outputs, inputs)
    places = [slice(start, end) for start, end in zip(starts, ends, strict=True)]
    forward = torch.cat([x[place] @ weights[e].T for e, place in enumerate(places)])
    backward = torch.cat([y[place] @ weights[e] for e, place in enumerate(places)])
    transposed = weights.transpose(1, 2)
    yield "product", products.rows(x, transposed, groups), forward
    yield "transposed product", products.rows(y, weights, groups), backward
    summed = y.clone()
    products.add_rows(summed, x, transposed, groups)
    yield "sum", summed, forward + y
    with_rows = [number for number, place in enumerate(places) if place.start < place.stop]
    gradients = torch.stack([x[places[number]].T @ y[places[number]] for number in with_rows])
    yield "gradient", products.outer(x, y, groups)[with_rows], gradients
    if products.takes_parts:
        written = y.clone()
        products.write_rows(written, x, transposed[2:4], groups, 2)
        start, end = starts[2], ends[3]
        expected = torch.cat([y[:start], forward[start:end], y[end:]])
        yield "product of a part of the experts", written, expected
