"""plan: what a config's run needs in memory, and how long it is, before anything is loaded."""

import json
import os
import re
import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import try_to_load_from_cache
from lightning.fabric.utilities.exceptions import MisconfigurationException

from animelm.cli.configs import find_configs
from animelm.cli.parsing import config_parser
from animelm.cli.trainer import TrainerCLI
from animelm.errors import UserError
from animelm.model.checkpoint.hub import load_config
from animelm.model.checkpoint.reader import Checkpoint
from animelm.model.precision import choose_compute_dtype
from animelm.planner.memory import MemoryPlan, RunSettings, plan_memory
from animelm.planner.parallelism import Processes
from animelm.planner.run_length import RunLength, run_length
from animelm.planner.suggestions import find_savings
from animelm.report.plan import Device, RunPlan, print_plan
from animelm.train.strategies import FullyShardedStrategy

_UNITS = {"GB": 10**9, "GIB": 2**30, "MB": 10**6, "MIB": 2**20, "B": 1, "": 1}
_DEVICE = re.compile(r"(?:(\d+(?:\.\d+)?)\s*([GM]i?B|B)?)?\s*\b(cpu|gpu)?", re.IGNORECASE)


def run(command: str, arguments: list[str]) -> None:
    """Prints the plan of a run, as tables or as JSON."""
    parser = config_parser(
        command,
        "Foretells what a run needs: bytes by part, the peaks while loading and training, whether "
        "that fits on a device and what to change if not, and the run's steps and tokens. Weights "
        "are not loaded.",
        "the config of the run, such as gpt-oss-20b/cpt.yaml; more are layered on it",
    )
    parser.add_argument(
        "--device",
        help='what it shall fit on: cpu, gpu, "16 GB GPU", "24 GiB CPU", or a GPU\'s bytes; '
        "default: what the trainer would take here",
    )
    options, rest = parser.parse_known_args(arguments)
    layers = [f"--config={name}" for name in options.config]
    try:
        cli = TrainerCLI(find_configs([*layers, *rest]), False)
    except MisconfigurationException as error:  # settings that Lightning cannot reconcile
        raise UserError(str(error)) from error
    device = parse_device(options.device) if options.device else _device_of(cli.trainer)
    plan = _plan(cli, device)
    if options.format == "json":
        print(json.dumps(plan.to_json(), ensure_ascii=False, indent=1))
    else:
        print_plan(plan)


def _plan(cli: TrainerCLI, device: Device) -> RunPlan:
    settings = _settings(cli, device)
    stored = _stored_sizes(settings.base)
    # Once without a figure for the process: the model's modules are part of it.
    plan_memory(settings)
    process = _resident()

    def plan(other: RunSettings) -> MemoryPlan:
        return plan_memory(other, process, stored)

    memory = plan(settings)
    fits = device.holds(memory)
    length = _length(cli, settings)
    return RunPlan(settings, device, memory, () if fits else find_savings(settings, plan), length)


def parse_device(text: str) -> Device:
    """Reads a device as a user names it; without a size this machine's own.

    Raises:
        UserError: it is not understood, or a GPU has no size and there is none here.
    """
    match = _DEVICE.fullmatch(text.strip())
    if match is None or not text.strip():
        raise UserError(
            f"--device {text!r}: expected cpu, gpu, a size such as '16 GB GPU' or '24 GiB CPU', or "
            "a GPU's bytes"
        )
    number, unit, kind = match[1], (match[2] or "").upper(), (match[3] or "gpu").lower()
    kind = "cpu" if kind == "cpu" else "cuda"
    if number:
        return Device(kind, round(float(number) * _UNITS[unit]))
    return Device(kind, _memory_here(kind))


def _resident() -> int:
    """Bytes of memory that this process holds; where only its peak is told, that."""
    statistics = Path("/proc/self/statm")
    if statistics.exists():
        return int(statistics.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    unit = 1 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _device_of(trainer: Any) -> Device:
    kind = trainer.strategy.root_device.type
    return Device(kind, _memory_here(kind))


def _memory_here(kind: str) -> int:
    if kind == "cpu":
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if not torch.cuda.is_available():
        raise UserError("--device gpu: there is none here; name its size, such as '16 GB GPU'")
    return torch.cuda.get_device_properties(0).total_memory


def _settings(cli: TrainerCLI, device: Device) -> RunSettings:
    model, data = cli.model.settings, cli.datamodule
    if model.from_scratch:
        raise UserError("plan foretells the training of adapters; this config trains all weights")
    config = load_config(model.base)
    # A GPU need not be here for its run to be planned; all that train these models know bf16.
    in_bf16 = device.kind == "cuda" and model.compute.dtype == "auto"
    dtype = choose_compute_dtype(
        "bfloat16" if in_bf16 else model.compute.dtype,
        hidden=config.hidden_size,
        intermediate=config.intermediate_size,
    )
    return RunSettings(
        base=model.base,
        quantization=model.quantization,
        lora=model.lora,
        optimiser=cli.model.optimizer_settings.kind,
        dtype=dtype,
        checkpointing=model.memory.activation_checkpointing,
        kept_bytes=model.memory.stored_activation_bytes,
        compiled=model.compute.compile_kernels,
        embeddings_on_cpu=model.memory.embeddings_on_cpu,
        block_size=data.block_size,
        blocks_per_batch=data.blocks_per_batch,
        accumulation=cli.trainer.accumulate_grad_batches,
        device=device.kind,
        processes=_processes(cli.trainer),
    )


def _processes(trainer: Any) -> Processes:
    sharded = isinstance(trainer.strategy, FullyShardedStrategy)
    return Processes(trainer.world_size, trainer.num_devices, sharded)


def _stored_sizes(base: str) -> Sequence[int]:
    """Bytes of the checkpoint's tensors where it lies in a folder; its headers are read."""
    if not any(Path(base).glob("*.safetensors")):
        return ()
    return [tensor.bytes for tensor in Checkpoint.in_folder(Path(base))]


def _length(cli: TrainerCLI, settings: RunSettings) -> RunLength | str:
    """Steps and tokens; or why they cannot be counted."""
    data, trainer = cli.datamodule, cli.trainer
    at_hand = Path(data.base).is_dir() or isinstance(
        try_to_load_from_cache(data.base, "tokenizer.json"), str
    )
    if not at_hand:
        return f"{data.base}: its tokenizer is not here, neither as a folder nor fetched"
    data.trainer = trainer
    try:
        return run_length(
            data.train_dataloader(),
            settings.accumulation,
            trainer.max_epochs,
            trainer.max_steps,
            trainer.limit_train_batches,
        )
    except UserError as error:
        return str(error)
