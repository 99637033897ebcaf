"""plan: estimates the memory and length of a config's run before anything is loaded."""

import argparse
import math
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
from animelm.planner.devices import GPU_NAMES, gpu_memory
from animelm.planner.memory import MemoryEstimate, RunSettings, estimate_memory
from animelm.planner.parallelism import Parallelism
from animelm.planner.run_length import RunLength, run_length
from animelm.planner.suggestions import suggest_changes
from animelm.report.plan import Device, RunPlan, print_plan
from animelm.shipped import find_shipped
from animelm.terminal import say_json
from animelm.train.strategies import FullyShardedStrategy

_LARGEST_DEVICE = 2.0**60  # bytes
_UNITS = {"GB": 10**9, "GIB": 2**30, "MB": 10**6, "MIB": 2**20, "B": 1, "": 1}
_DEVICE = re.compile(r"(?:(\d+(?:\.\d+)?)\s*([GM]i?B|B)?)?\s*\b(cpu|gpu)?", re.IGNORECASE)


def make_parser(command: str) -> argparse.ArgumentParser:
    """The parser of the options that ``fit`` does not have."""
    parser = config_parser(
        command,
        "Estimates a run's memory and length: bytes by part, the peaks while loading and training, "
        "whether they fit on a device, suggested changes if not, and the number of steps and "
        "tokens. Weights are not loaded.",
        "config of the run, such as gpt-oss-20b/cpt.yaml; a second one overrides the first",
    )
    parser.add_argument(
        "--device",
        help='device to plan for: cpu, gpu, "16 GB GPU", "24 GiB CPU", the bytes of a GPU, or a '
        'name such as "RTX 4090", A100-40GB or H100; '
        "default: the device that the trainer would use on this machine",
    )
    parser.add_argument(
        "--tokens_per_second",
        type=float,
        help="speed to estimate the hours from: train/tokens_per_second of a run like this one",
    )
    return parser


def run(command: str, arguments: list[str]) -> None:
    """Prints the plan of a run, as tables or as JSON."""
    parser = make_parser(command)
    options, rest = parser.parse_known_args(arguments)
    configs = [f"--config={name}" for name in options.config]
    try:
        cli = TrainerCLI(find_configs([*configs, *rest]), False)
    except MisconfigurationException as error:  # settings that contradict each other
        raise UserError(str(error)) from error
    device = parse_device(options.device) if options.device else _device_of(cli.trainer)
    speed = options.tokens_per_second
    if speed is not None and not 0 < speed < math.inf:
        raise UserError(f"--tokens_per_second {speed:g}: expected a number above 0")
    plan = _plan(cli, device, speed)
    if options.format == "json":
        say_json(plan.to_json(), indent=1)
    else:
        print_plan(plan)


def _plan(cli: TrainerCLI, device: Device, speed: float | None) -> RunPlan:
    settings = _settings(cli, device)
    tensors = _tensor_sizes(settings.base)
    # Run once before the process is measured: the model's modules are part of the process.
    estimate_memory(settings)
    process = _resident()

    def estimate(other: RunSettings) -> MemoryEstimate:
        return estimate_memory(other, process, tensors)

    memory = estimate(settings)
    suggestions = () if device.fits(memory) else suggest_changes(settings, estimate, device.fits)
    return RunPlan(settings, device, memory, suggestions, _length(cli, settings), speed)


def parse_device(text: str) -> Device:
    """Parses the name of a device; without a size, this machine's device is taken.

    Raises:
        UserError: the name cannot be parsed, or it is a GPU without a size and this machine has
            none.
    """
    if memory := gpu_memory(text):
        return Device("cuda", memory)
    match = _DEVICE.fullmatch(text.strip())
    if match is None or not text.strip():
        raise UserError(
            f"--device {text!r}: expected cpu, gpu, a size such as '16 GB GPU' or '24 GiB CPU', "
            f"the bytes of a GPU, or one of {', '.join(GPU_NAMES)}"
        )
    number, unit, kind = match[1], (match[2] or "").upper(), (match[3] or "gpu").lower()
    kind = "cpu" if kind == "cpu" else "cuda"
    if number:
        size = float(number) * _UNITS[unit]
        if size > _LARGEST_DEVICE:
            raise UserError(f"--device {text[:80]!r}: larger than any device")
        return Device(kind, round(size))
    return Device(kind, _memory_here(kind))


def _resident() -> int:
    """Bytes of memory that this process holds; outside Linux, the most it has held so far."""
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
        raise UserError("--device gpu: this machine has no GPU; give a size, such as '16 GB GPU'")
    return torch.cuda.get_device_properties(0).total_memory


def _settings(cli: TrainerCLI, device: Device) -> RunSettings:
    model, data = cli.model.settings, cli.datamodule
    if model.from_scratch:
        raise UserError("plan supports LoRA training only, and this config trains all weights")
    config = load_config(model.base)
    # The GPU may be in another machine. Every GPU that can train these models supports bf16.
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
        optimizer=cli.model.optimizer_settings.kind,
        dtype=dtype,
        checkpointing=model.memory.activation_checkpointing,
        kept_bytes=model.memory.stored_activation_bytes,
        compiled=model.compute.compile_kernels,
        embeddings_on_cpu=model.memory.embeddings_on_cpu,
        block_size=data.block_size,
        blocks_per_batch=data.blocks_per_batch,
        accumulation=cli.trainer.accumulate_grad_batches,
        device=device.kind,
        parallelism=_parallelism(cli.trainer),
        experts_at_once=model.compute.experts_at_once,
        fused_layers=model.compute.fused_layers,
    )


def _parallelism(trainer: Any) -> Parallelism:
    sharded = isinstance(trainer.strategy, FullyShardedStrategy)
    return Parallelism(trainer.world_size, trainer.num_devices, sharded)


def _tensor_sizes(base: str) -> Sequence[int]:
    """Bytes of the tensors of a checkpoint folder, from its headers; empty for a hub id."""
    folder = find_shipped(Path(base))
    if not any(folder.glob("*.safetensors")):
        return ()
    return [tensor.bytes for tensor in Checkpoint.from_folder(folder)]


def _length(cli: TrainerCLI, settings: RunSettings) -> RunLength | str:
    """Steps and tokens, or the reason why they cannot be counted."""
    data, trainer = cli.datamodule, cli.trainer
    local = find_shipped(Path(data.base)).is_dir() or isinstance(
        try_to_load_from_cache(data.base, "tokenizer.json"), str
    )
    if not local:
        return f"the tokenizer of {data.base} is neither a local folder nor in the download cache"
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
