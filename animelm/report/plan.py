"""The plan of a run as tables in the terminal, or as JSON."""

from dataclasses import asdict, dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from animelm.planner.memory import MemoryPlan, RunSettings
from animelm.planner.run_length import RunLength
from animelm.planner.suggestions import Saving
from animelm.report.audit import print_audit

_GIB, _MIB = 2**30, 2**20
# From this peak on sizes are told in GiB, below it in MiB.
_LARGE = 4 * _GIB


@dataclass(frozen=True)
class Device:
    """What a run shall fit on.

    Attributes:
        kind: "cpu" or "cuda".
        bytes: its memory.
    """

    kind: str
    bytes: int

    @property
    def name(self) -> str:
        return f"{'CPU' if self.kind == 'cpu' else 'GPU'} with {self.bytes / _GIB:.1f} GiB"

    def holds(self, memory: MemoryPlan) -> bool:
        """Whether both peaks of all processes on it fit.

        Loading goes through the machine's memory, not through a GPU's. CUDA's own context is not
        counted.
        """
        loading = memory.device_loading_peak if self.kind == "cpu" else 0
        return max(loading, memory.device_training_peak) <= self.bytes


@dataclass(frozen=True)
class RunPlan:
    """All that ``plan`` tells.

    Attributes:
        settings: of the run.
        device: that it shall fit on.
        memory: that it needs.
        savings: changes that need less; none where it fits.
        length: steps and tokens; or what is missing to count them.
    """

    settings: RunSettings
    device: Device
    memory: MemoryPlan
    savings: tuple[Saving, ...]
    length: RunLength | str

    @property
    def parts(self) -> dict[str, int]:
        """Bytes of one process by part, those that last first."""
        lasting, batch = self.memory.lasting, self.memory.activations
        return {
            "process": self.memory.process,
            "process, touched in training": self.memory.touched,
            "weights, 4-bit values": lasting.weights.packed,
            "weights, scales of these": lasting.weights.scales,
            "weights, not quantised": lasting.weights.unquantised,
            "adapters": lasting.adapters,
            "gradients": lasting.gradients,
            "optimiser states": lasting.optimiser_states,
            "activations kept": batch.kept,
            "one layer at work": batch.layer,
            "layers and head gathered": self.memory.gathered,
            "gradients averaged": self.memory.exchanged,
            "weights dequantised": batch.dequantized,
            "logits and loss": batch.loss,
            "compiled products": self.memory.kernels,
            "holes of the allocator": self.memory.holes,
        }

    def to_json(self) -> dict:
        """The object that ``plan --format json`` prints; sizes are bytes.

        All but those on the device are of one process.
        """
        audit, memory = self.memory.lasting.audit, self.memory
        return {
            "base": self.settings.base,
            "quantization": self.settings.quantization,
            "compute_type": str(self.settings.dtype).removeprefix("torch."),
            "parameters": memory.lasting.parameters,
            "trainable_parameters": audit.total,
            "trainable_parameters_per_target": audit.per_target,
            "bytes": self.parts,
            "peak_bytes": {"loading": memory.loading_peak, "training": memory.training_peak},
            "processes": self.settings.processes.total,
            "processes_on_device": memory.on_one_device,
            "peak_bytes_on_device": {
                "loading": memory.device_loading_peak,
                "training": memory.device_training_peak,
            },
            "device": asdict(self.device),
            "fits": self.device.holds(memory),
            "changes": [asdict(saving) for saving in self.savings],
            "run": None if isinstance(self.length, str) else asdict(self.length),
            "run_not_counted": self.length if isinstance(self.length, str) else None,
        }


def print_plan(plan: RunPlan, console: Console | None = None) -> None:
    """Prints targets, memory, fit and length of a run."""
    console = console or Console()
    print_audit(plan.memory.lasting.audit, console)
    console.print(_memory_table(plan))
    several = plan.memory.on_one_device
    shared = f", which {several} processes share" if several > 1 else ""
    if plan.device.holds(plan.memory):
        console.print(f"Fits on a {plan.device.name}{shared}.")
    else:
        console.print(f"Does not fit on a {plan.device.name}{shared}.")
        console.print(_savings_table(plan))
    console.print(_length_text(plan.length), soft_wrap=True, markup=False)


def _memory_table(plan: RunPlan) -> Table:
    memory, settings = plan.memory, plan.settings
    dtype = str(settings.dtype).removeprefix("torch.")
    several = settings.processes.total > 1
    table = Table(
        title=f"Memory{' of one process' if several else ''}: "
        f"{memory.lasting.parameters:,} parameters, {settings.quantization}, computing in {dtype}",
        caption=f"a batch of {settings.blocks_per_batch} × {settings.block_size:,} tokens, "
        f"{settings.accumulation} to a step"
        + (f", on each of {settings.processes.total} processes" if several else ""),
    )
    unit = _unit(plan)
    table.add_column("part")
    table.add_column(unit, justify="right")
    for name, size in plan.parts.items():
        if size:
            table.add_row(name, _told(size, unit))
    table.add_section()
    table.add_row("peak while loading", _told(memory.loading_peak, unit))
    table.add_row("peak while training", _told(memory.training_peak, unit))
    if memory.on_one_device > 1:
        together = f"of {memory.on_one_device} processes on one machine"
        table.add_section()
        table.add_row(f"loading peak {together}", _told(memory.device_loading_peak, unit))
        table.add_row(f"training peak {together}", _told(memory.device_training_peak, unit))
    return table


def _savings_table(plan: RunPlan) -> Table:
    table = Table(title="What to change, that first which leaves the result as it is")
    unit = _unit(plan)
    table.add_column("setting", overflow="fold")
    table.add_column(f"saves alone, {unit}", justify="right")
    table.add_column(f"peak with it and\nthose above, {unit}", justify="right")
    for saving in plan.savings:
        sizes = (_told(size, unit) for size in (saving.saves, saving.peak))
        table.add_row(escape("\n".join(saving.options)), *sizes)
    return table


def _length_text(length: RunLength | str) -> str:
    if isinstance(length, str):
        return f"Steps and tokens are not counted: {length}"
    epoch = f"{length.tokens_per_epoch:,} an epoch, in {length.batches_per_epoch:,} batches"
    if length.steps is None:
        return f"No end is set, by trainer.max_epochs or max_steps; tokens: {epoch}"
    return f"{length.steps:,} optimiser steps over {length.tokens:,} tokens ({epoch})"


def _unit(plan: RunPlan) -> str:
    return "GiB" if plan.memory.training_peak >= _LARGE else "MiB"


def _told(size: int, unit: str) -> str:
    return f"{size / _GIB:,.2f}" if unit == "GiB" else f"{size / _MIB:,.1f}"
