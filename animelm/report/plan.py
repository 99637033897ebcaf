"""The plan of a run as tables in the terminal, or as JSON."""

from dataclasses import asdict, dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from animelm.planner.memory import MemoryEstimate, RunSettings
from animelm.planner.run_length import RunLength
from animelm.planner.suggestions import Suggestion
from animelm.report.audit import print_audit
from animelm.terminal import Terminal

_GIB, _MIB = 2**30, 2**20
# From this peak on sizes are printed in GiB, below it in MiB.
_LARGE = 4 * _GIB


@dataclass(frozen=True)
class Device:
    """The device that a run is planned for.

    Attributes:
        kind: "cpu" or "cuda".
        bytes: size of its memory.
    """

    kind: str
    bytes: int

    @property
    def name(self) -> str:
        return f"{'CPU' if self.kind == 'cpu' else 'GPU'} with {self.bytes / _GIB:.1f} GiB"

    def fits(self, memory: MemoryEstimate) -> bool:
        """Whether both peaks of all processes on the device fit into its memory.

        Weights are loaded through the machine's memory, not a GPU's. CUDA's own context is not
        counted.
        """
        loading = memory.device_loading_peak if self.kind == "cpu" else 0
        return max(loading, memory.device_training_peak) <= self.bytes


@dataclass(frozen=True)
class RunPlan:
    """The estimates that ``plan`` prints.

    Attributes:
        settings: settings of the run.
        device: the device that it is planned for.
        memory: the memory that it needs.
        suggestions: changes that need less memory; empty if the run fits.
        length: steps and tokens, or the reason why they cannot be counted.
        tokens_per_second: the speed that the hours are estimated from, of all processes; None
            estimates no hours.
    """

    settings: RunSettings
    device: Device
    memory: MemoryEstimate
    suggestions: tuple[Suggestion, ...]
    length: RunLength | str
    tokens_per_second: float | None = None

    @property
    def hours(self) -> float | None:
        """Hours of training; None where the speed or the number of tokens is unknown."""
        if isinstance(self.length, str) or self.length.tokens is None or not self.tokens_per_second:
            return None
        return self.length.tokens / self.tokens_per_second / 3600

    @property
    def parts(self) -> dict[str, int]:
        """Bytes of one process by part, static memory first."""
        memory, static, batch = self.memory, self.memory.static, self.memory.activations
        return {
            "Python and libraries": memory.process,
            "code and threads of training": memory.training_code,
            "weights, 4-bit values": static.weights.packed,
            "weights, scales": static.weights.scales,
            "weights, not quantized": static.weights.unquantized,
            "adapters": static.adapters,
            "gradients": static.gradients,
            "optimizer states": static.optimizer_states,
            "stored activations": batch.kept,
            "working memory of one layer": batch.layer,
            "gathered parameters": memory.gathered,
            "gradient buckets": memory.gradient_buckets,
            "dequantized weights": batch.dequantized,
            "logits and loss": batch.loss,
            "compiled CPU kernels": memory.kernels,
            "allocator fragmentation": memory.fragmentation,
        }

    def to_json(self) -> dict:
        """The object that ``plan --format json`` prints; sizes are bytes.

        Figures are of one process, except those whose key says ``on_device``.
        """
        audit, memory = self.memory.static.audit, self.memory
        return {
            "base": self.settings.base,
            "quantization": self.settings.quantization,
            "compute_type": str(self.settings.dtype).removeprefix("torch."),
            "parameters": memory.static.parameters,
            "trainable_parameters": audit.total,
            "trainable_parameters_per_target": audit.per_target,
            "bytes": self.parts,
            "peak_bytes": {"loading": memory.loading_peak, "training": memory.training_peak},
            "processes": self.settings.parallelism.processes,
            "processes_on_device": memory.processes_on_device,
            "peak_bytes_on_device": {
                "loading": memory.device_loading_peak,
                "training": memory.device_training_peak,
            },
            "device": asdict(self.device),
            "fits": self.device.fits(memory),
            "suggestions": [asdict(suggestion) for suggestion in self.suggestions],
            "run_length": None if isinstance(self.length, str) else asdict(self.length),
            "tokens_per_second": self.tokens_per_second,
            "hours": self.hours,
            "run_length_unknown": self.length if isinstance(self.length, str) else None,
        }


def print_plan(plan: RunPlan, console: Console | None = None) -> None:
    """Prints targets, memory, whether it fits, suggested changes, and the run's length."""
    console = console or Terminal()
    print_audit(plan.memory.static.audit, console)
    console.print(_description(plan), soft_wrap=True)
    console.print(_memory_table(plan))
    several = plan.memory.processes_on_device
    shared = f", which {several} processes share" if several > 1 else ""
    if plan.device.fits(plan.memory):
        console.print(f"Fits on a {plan.device.name}{shared}.")
    else:
        console.print(f"Does not fit on a {plan.device.name}{shared}.")
        console.print(_suggestions_table(plan))
    console.print(_length_text(plan.length), soft_wrap=True, markup=False)
    if (hours := plan.hours) is not None:
        duration = f"{hours:,.1f} hours" if hours >= 1 else f"{60 * hours:.0f} minutes"
        speed = f"{plan.tokens_per_second:,.0f} tokens per second"
        console.print(f"Training takes about {duration} at {speed}, validation not counted")


def _description(plan: RunPlan) -> str:
    settings, parallelism = plan.settings, plan.settings.parallelism
    dtype = str(settings.dtype).removeprefix("torch.")
    several = f", on each of {parallelism.processes} processes" if parallelism.processes > 1 else ""
    return (
        f"{plan.memory.static.parameters:,} parameters, quantization {settings.quantization}, "
        f"compute type {dtype}\n"
        f"Batches of {settings.blocks_per_batch} × {settings.block_size:,} tokens, "
        f"{settings.accumulation} per optimizer step{several}"
    )


def _memory_table(plan: RunPlan) -> Table:
    memory = plan.memory
    several = plan.settings.parallelism.processes > 1
    table = Table(
        title="Memory of one process" if several else "Memory",
        caption="not all parts exist at the same time",
    )
    unit = _unit(plan)
    table.add_column("part")
    table.add_column(unit, justify="right")
    for name, size in plan.parts.items():
        if size:
            table.add_row(name, _in_unit(size, unit))
    table.add_section()
    table.add_row("peak while loading", _in_unit(memory.loading_peak, unit))
    table.add_row("peak while training", _in_unit(memory.training_peak, unit))
    if memory.processes_on_device > 1:
        together = f"of {memory.processes_on_device} processes on one machine"
        table.add_section()
        table.add_row(f"loading peak {together}", _in_unit(memory.device_loading_peak, unit))
        table.add_row(f"training peak {together}", _in_unit(memory.device_training_peak, unit))
    return table


def _suggestions_table(plan: RunPlan) -> Table:
    table = Table(
        title="Suggested changes, those that keep the result first",
        caption="peak: after this change and all changes above",
    )
    unit = _unit(plan)
    table.add_column("setting", overflow="fold")
    # Narrow headings, so that the longest setting fits on a line of 80 columns.
    table.add_column(f"saves\nalone\n({unit})", justify="right")
    table.add_column(f"peak\n({unit})", justify="right")
    for suggestion in plan.suggestions:
        sizes = (_in_unit(size, unit) for size in (suggestion.saves, suggestion.peak))
        table.add_row(escape("\n".join(suggestion.options)), *sizes)
    return table


def _length_text(length: RunLength | str) -> str:
    if isinstance(length, str):
        return f"Steps and tokens are unknown: {length}"
    epoch = f"{length.tokens_per_epoch:,} per epoch, in {length.batches_per_epoch:,} batches"
    if length.steps is None:
        return f"Neither trainer.max_epochs nor trainer.max_steps ends this run; tokens: {epoch}"
    return f"{length.steps:,} optimizer steps over {length.tokens:,} tokens ({epoch})"


def _unit(plan: RunPlan) -> str:
    return "GiB" if plan.memory.training_peak >= _LARGE else "MiB"


def _in_unit(size: int, unit: str) -> str:
    return f"{size / _GIB:,.2f}" if unit == "GiB" else f"{size / _MIB:,.1f}"
