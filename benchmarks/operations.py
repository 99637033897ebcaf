"""Operations of a training step, by engine of the experts: the launches that a GPU would wait for.

    python benchmarks/operations.py [--names]

A small gpt-oss with random NF4 weights and LoRA with dropout on attention and experts takes a step
on the CPU, with 16 and with 32 experts, with and without activation checkpointing. Counted are the
operations that reach the device, without views and allocations. One layer's are the difference
between a model of two layers and one of a single layer, in bf16. With a grouped engine the layers
are those of a GPU (fused, with the experts' weights side by side): operators of our own, which are
one Triton kernel each there, count as one, and PyTorch's flash attention is emulated. The loop is
counted with the layers of a CPU. The experts' own are counted on the module alone; clipping,
optimizer step and zeroing on adapters of the 20B's size.

The last line is JSON: for each engine the most that any of the four settings takes.
"""

import argparse
import json
import tempfile
from collections import Counter
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import torch
from gpu_parts.model import real_config
from measuring.flash_attention import emulated_flash_attention
from measuring.operations import CountOperations, Operations
from peft import PeftModel
from rich.console import Console
from rich.table import Table
from torch.nn import Parameter
from torch.nn.utils import clip_grad_norm_
from transformers import GptOssConfig

from animelm.model.activation_checkpointing import recompute_activations
from animelm.model.architecture import empty_model, new_model
from animelm.model.attention.documents import packed_hidden_states
from animelm.model.checkpoint.load import load_base
from animelm.model.fused.layers import fuse_layers
from animelm.model.kept_activations import AdapterShape
from animelm.model.lora.adapters import LoraSettings, add_adapter
from animelm.model.lora.targets import audit_targets
from animelm.model.loss import chunked_cross_entropy
from animelm.model.moe.engines import EngineName, choose_engine
from animelm.model.moe.experts import use_expert_engine
from animelm.train.optimizer import OptimizerSettings, build_optimizer

ENGINES: tuple[EngineName, ...] = ("loop", "grouped_mm")
EXPERTS = (16, 32)
HIDDEN, INTERMEDIATE, TOKENS, LAYERS_20B = 64, 64, 256, 24
# Modules, by the beginning of their names, and the part of a layer that they compute.
PARTS = {
    "animelm.model.fused.norm": "norms",
    "animelm.model.fused.linear": "attention's projections",
    "animelm.model.fused.attention": "rotary embedding and attention",
    "animelm.model.moe.grouped.routing": "sorting and summing rows",
    "animelm.model.moe": "experts",
}
_OTHERS = "router, residuals, sums of gradients"
LORA = LoraSettings(rank=16, dropout=0.05)


def small_model(folder: Path, experts: int, layers: int) -> PeftModel:
    """A gpt-oss with random weights in NF4 and fresh adapters, ready to be trained."""
    config = GptOssConfig(
        vocab_size=512,
        hidden_size=HIDDEN,
        intermediate_size=INTERMEDIATE,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        num_local_experts=experts,
        num_experts_per_tok=4,
        sliding_window=128,
        pad_token_id=0,
        eos_token_id=1,
        layer_types=["full_attention"] * layers,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    )
    place = folder / f"{experts}-{layers}"
    torch.manual_seed(0)
    new_model(config).save_pretrained(place)
    return add_adapter(load_base(str(place), "nf4", torch.bfloat16), LORA).train()


def count_step(model: PeftModel) -> Operations:
    """Counts forward and backward pass."""
    causal = model.get_base_model()
    tokens = torch.arange(TOKENS).remainder(500)[None]
    positions = torch.arange(TOKENS)[None]
    for _ in range(2):  # the first step also fills caches
        with emulated_flash_attention(), CountOperations(PARTS) as step:
            states = packed_hidden_states(model, tokens, positions)
            chunked_cross_entropy(states, causal.lm_head.weight, tokens).backward()
        model.zero_grad()
    return step


@cache
def count_update(experts: int, layers: int) -> int:
    """Counts clipping, optimizer step and zeroing for adapters of the 20B's widths.

    They are counted at full size, because the optimizer joins small tensors. An operation on many
    tensors at once counts as one; a GPU launches a kernel for about a hundred of them.
    """
    config = real_config(layers)
    config.num_local_experts = experts
    with torch.device("meta"):
        adapters = add_adapter(empty_model(config, "mxfp4"), LORA)
    trained = [Parameter(torch.zeros(p.shape)) for p in adapters.parameters() if p.requires_grad]
    optimizer = build_optimizer(trained, OptimizerSettings())
    for _ in range(2):  # the first step also makes the optimizer's states
        for parameter in trained:
            parameter.grad = torch.zeros_like(parameter)
        with CountOperations() as update:
            clip_grad_norm_(trained, 1.0)
            optimizer.step()
            optimizer.zero_grad()
    return update.total


def count_experts(model: PeftModel) -> Operations:
    """Counts forward and backward pass of the first layer's experts alone."""
    experts = model.get_base_model().model.layers[0].mlp.experts
    states = torch.randn(TOKENS, HIDDEN, dtype=torch.bfloat16, requires_grad=True)
    scores, indices = torch.randn(TOKENS, experts.num_experts).topk(experts.chosen)
    weights = scores.softmax(-1).bfloat16().requires_grad_()
    with CountOperations() as found:
        experts(states, indices, weights).backward(states)
    model.zero_grad()
    return found


def measure(model: PeftModel, engine: EngineName, checkpointing: bool) -> dict[str, Any]:
    """Counts of one model with one engine."""
    choice = choose_engine(engine, torch.device("cpu"), torch.float32, (HIDDEN, INTERMEDIATE))
    use_expert_engine(model, choice.engine)
    if engine != "loop":
        fuse_layers(model)
        for layer in model.get_base_model().model.layers:
            layer.mlp.experts.lay_weights_side_by_side()  # as on a GPU
    causal = model.get_base_model()
    if checkpointing:
        adapters = AdapterShape.of(LORA, audit_targets(model, LORA.target_modules))
        recompute_activations(causal, adapters)
    step = count_step(model)
    experts = count_experts(model)
    return {
        "step": step.total,
        "optimizer": count_update(causal.config.num_local_experts, causal.config.num_hidden_layers),
        "syncs": step.host_syncs.total(),
        "experts": experts.total,
        "parts": step.parts,
        "names": step.moving,
        "waits": dict(experts.host_syncs),
    }


def per_layer(one: dict[str, Any], two: dict[str, Any]) -> dict[str, Any]:
    """What a layer adds, and what the whole step of the 20B would take."""
    layer = two["step"] - one["step"]
    return {
        "per_layer": layer,
        "experts": two["experts"],
        "per_step_20b": one["step"] + (LAYERS_20B - 1) * layer,
        "optimizer": two["optimizer"] - one["optimizer"],
        "host_syncs": two["syncs"] - one["syncs"],
        "host_syncs_in_experts": sum(two["waits"].values()),
    }


def _print_parts(console: Console, settings: dict[str, Counter[str]]) -> None:
    """Operations of a layer by part, a column for each setting."""
    table = Table("part of a layer", *settings, title="grouped_mm, by part")
    for part in (*dict.fromkeys(PARTS.values()), "other"):
        label = _OTHERS if part == "other" else part
        table.add_row(label, *(str(parts[part]) for parts in settings.values()))
    console.print(table)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--names", action="store_true", help="list a layer's operations by name")
    arguments = parser.parse_args()
    console = Console(width=160)
    columns = ("a layer", "its experts", "step of the 20B", "optimizer a layer")
    table = Table("engine", "experts", "checkpointing", *columns, "waits a layer", "in experts")
    most: dict[str, dict[str, int]] = {}
    parts: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for experts, engine, checkpointing in product(EXPERTS, ENGINES, (False, True)):
            one, two = (
                measure(small_model(Path(folder), experts, layers), engine, checkpointing)
                for layers in (1, 2)
            )
            found = per_layer(one, two)
            words = [engine, str(experts), "yes" if checkpointing else "no"]
            table.add_row(*words, *(f"{value:,}" for value in found.values()))
            held = most.setdefault(engine, found)
            most[engine] = {key: max(held[key], value) for key, value in found.items()}
            if engine != "loop":
                setting = f"{experts} experts{', checkpointing' * checkpointing}"
                parts[setting] = two["parts"] - one["parts"]
            if arguments.names:
                console.print(*words, two["names"] - one["names"])
    console.print(table)
    _print_parts(console, parts)
    print(json.dumps(most))


if __name__ == "__main__":
    main()
