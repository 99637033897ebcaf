"""The estimate against a model that is really loaded and trained."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import GptOssConfig, LlamaConfig

from animelm.model.architecture import Config, new_model
from animelm.model.checkpoint.load import load_base
from animelm.model.lora.adapters import LoraSettings, add_adapter
from animelm.model.quantization.linear4bit import Quantization
from animelm.model.quantization.packed_linear import PackedLinear
from animelm.planner.memory import MemoryEstimate, RunSettings, estimate_memory
from animelm.planner.parallelism import Parallelism
from animelm.planner.static_memory import optimizer_state_bytes
from animelm.train.optimizer import OptimizerSettings, build_optimizer

RELEASED = RunSettings(
    "unsloth/gpt-oss-20b", "nf4", LoraSettings(), "adamw_8bit", torch.bfloat16, True, 1024, 1, 1,
    "cpu",
)  # fmt: skip
# A process that loads a base and takes two steps on random tokens; prints peaks in bytes.
TRAIN = """
import json, sys
import torch
from animelm.model.kept_activations import AdapterShape
from animelm.model.lora.adapters import LoraSettings, add_adapter
from animelm.model.lora.targets import audit_targets
from animelm.model.attention.documents import packed_hidden_states
from animelm.model.checkpoint.load import load_base
from animelm.model.checkpoint.hub import load_config
from animelm.model.loss import chunked_cross_entropy
from animelm.model.activation_checkpointing import recompute_activations
from animelm.train.module import AdaptedLM
from animelm.train.optimizer import OptimizerSettings, build_optimizer

def peak():
    # Not getrusage: its figure is that of the process which started this one, if that is larger.
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024

folder, tokens, checkpointing = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "True"
found = {"process": peak()}
config = load_config(folder)
base = load_base(folder, "nf4", torch.bfloat16)
found["loading"] = peak()
lora = LoraSettings()
model = add_adapter(base, lora)
if checkpointing:
    audit = audit_targets(model, lora.target_modules)
    recompute_activations(base, AdapterShape.of(lora, audit))
model.train()
optimizer = build_optimizer(model.parameters(), OptimizerSettings())
for step in range(2):
    ids = torch.randint(0, base.config.vocab_size, (1, tokens))
    hidden = packed_hidden_states(model, ids, torch.arange(tokens)[None])
    chunked_cross_entropy(hidden, base.lm_head.weight, ids).backward()
    del hidden
    optimizer.step()
    optimizer.zero_grad()
found["training"] = peak()
print(json.dumps(found))
"""


def settings_of(folder: Path, config: Config, quantization: Quantization = "nf4") -> RunSettings:
    new_model(config).bfloat16().save_pretrained(folder)
    return RunSettings(
        str(folder), quantization, LoraSettings(rank=4), "adamw_8bit", torch.bfloat16, False, 64,
        1, 1, "cpu",
    )  # fmt: skip


def small(tied: bool = False) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=97, hidden_size=64, intermediate_size=1500, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=tied,
    )  # fmt: skip


@pytest.mark.parametrize("quantization", ["nf4", "nf4-double", "none"])
@pytest.mark.parametrize("kind", ["gpt-oss", "llama", "tied llama"])
def test_static_memory_is_counted_to_the_byte(
    kind: str, quantization: Quantization, tiny_config: GptOssConfig, tmp_path: Path
) -> None:
    config = tiny_config if kind == "gpt-oss" else small(tied=kind.startswith("tied"))
    settings = settings_of(tmp_path, config, quantization)
    static = estimate_memory(settings).static
    base = load_base(str(tmp_path), quantization, torch.bfloat16)
    layers = [module for module in base.modules() if isinstance(module, PackedLinear)]
    assert static.weights.packed == sum(layer.weight.nbytes for layer in layers)
    assert static.weights.scales == sum(
        parameter.nbytes for layer in layers for parameter in layer.scale_parameters()
    )
    assert static.weights.total == sum(parameter.nbytes for parameter in base.parameters())
    model = add_adapter(base, settings.lora)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert static.adapters == static.gradients == sum(p.nbytes for p in trained)
    assert static.audit.total == sum(p.numel() for p in trained)


@pytest.mark.parametrize("kind", ["adamw_8bit", "adamw"])
def test_the_optimizers_states_are_counted_to_the_byte(kind) -> None:
    trained = [torch.nn.Parameter(torch.ones(n)) for n in (100, 4095, 4096, 5000)]
    optimizer = build_optimizer(trained, OptimizerSettings(kind=kind))
    for parameter in trained:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    states = [
        value.nbytes
        for state in optimizer.state.values()
        for name, value in state.items()
        # All tensors share one table of levels; the count of steps is a number each.
        if isinstance(value, torch.Tensor) and name != "step" and not name.startswith("qmap")
    ]
    assert sum(states) == sum(optimizer_state_bytes(p.numel(), kind) for p in trained)


def test_a_tensor_is_in_memory_twice_while_it_is_loaded() -> None:
    weights = estimate_memory(RELEASED).static.weights.total
    plain = estimate_memory(RELEASED)
    small, big = 10**9, 4 * 10**9
    first, last = (estimate_memory(RELEASED, 0, order) for order in ([big, small], [small, big]))
    assert plain.loading_peak > weights + plain.largest_tensor
    assert plain.largest_tensor == 201_088 * 2880 * 2  # the head in bf16
    assert last.loading_peak - first.loading_peak == pytest.approx(weights / 5, rel=1e-6)


def test_the_process_is_the_same_before_both_peaks() -> None:
    small_process, large = estimate_memory(RELEASED, 10**8), estimate_memory(RELEASED, 10**9)
    assert (small_process.process, large.process) == (10**8, 10**9)
    assert large.loading_peak - small_process.loading_peak == 9 * 10**8
    assert large.training_peak - small_process.training_peak == 9 * 10**8
    on_gpu = estimate_memory(replace(RELEASED, device="cuda"), 10**9)
    assert on_gpu.process == on_gpu.training_code == 0


def test_embeddings_are_on_a_gpu_unless_they_stay_on_the_cpu() -> None:
    on_gpu = replace(RELEASED, device="cuda")
    whole, kept = estimate_memory(on_gpu), estimate_memory(replace(on_gpu, embeddings_on_cpu=True))
    assert whole.training_peak - kept.training_peak == 201_088 * 2880 * 2
    assert whole.loading_peak == kept.loading_peak  # into the machine's memory
    on_cpu = estimate_memory(replace(RELEASED, embeddings_on_cpu=True))
    assert on_cpu.training_peak == estimate_memory(RELEASED).training_peak


def test_the_released_models_parts_are_those_of_their_shapes() -> None:
    weights = estimate_memory(RELEASED).static.weights
    experts, attention = 24 * 32 * 3 * 2880**2, 24 * 2880 * (2 * 4096 + 2 * 512)
    assert weights.packed == (experts + attention) // 2
    assert weights.scales == (experts + attention) // 64 * 4


def on(parallelism: Parallelism, device: str = "cpu") -> MemoryEstimate:
    return estimate_memory(replace(RELEASED, device=device, parallelism=parallelism))


def test_processes_of_one_machine_fill_its_memory_together_and_a_gpu_each() -> None:
    one, two, spread = on(Parallelism()), on(Parallelism(2, 2)), on(Parallelism(4, 2))
    # Each averages its gradients in buffers of their size.
    assert two.training_peak == spread.training_peak == one.training_peak + one.static.gradients
    assert two.device_training_peak == 2 * two.training_peak
    assert two.device_loading_peak == 2 * one.loading_peak
    assert spread.device_training_peak == two.device_training_peak
    assert on(Parallelism(2, 2), "cuda").processes_on_device == 1


def test_processes_that_shard_the_model_hold_their_shard_and_two_layers() -> None:
    one, four = on(Parallelism(), "cuda"), on(Parallelism(4, 4, sharded=True), "cuda")
    for name in ("adapters", "gradients"):
        assert getattr(four.static, name) == getattr(one.static, name) / 4
    assert four.static.weights.total == pytest.approx(one.static.weights.total / 4)
    assert four.static.parameters == one.static.parameters
    assert four.gradient_buckets == 0
    head = (201_088 + 1) * 2880 * 2
    layers = one.static.weights.total - head - 201_088 * 2880 * 2 + one.static.adapters
    assert four.gathered == pytest.approx(2 * layers / 24 + head)
    # Every process reads the whole base before it drops the others' parts.
    assert four.loading_peak == one.loading_peak


def test_gathered_layers_fragment_a_machines_memory() -> None:
    whole, shared = on(Parallelism()), on(Parallelism(4, 4, sharded=True))
    layers = whole.static.weights.total - 2 * 201_088 * 2880 * 2 - 2880 * 2
    assert shared.fragmentation - whole.fragmentation == pytest.approx(layers)
    assert on(Parallelism(4, 4, sharded=True), "cuda").fragmentation == 0


def test_one_matrix_for_embedding_and_head_is_gathered_as_the_head(tmp_path: Path) -> None:
    shared = Parallelism(2, 2, sharded=True)
    tied, own = (
        estimate_memory(replace(settings_of(tmp_path / str(t), small(t)), parallelism=shared))
        for t in (True, False)
    )
    assert tied.gathered == own.gathered


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted as Linux does")
@pytest.mark.parametrize("checkpointing", [True, False])
@pytest.mark.parametrize("kind", ["gpt-oss", "llama"])
def test_both_peaks_are_estimated(kind: str, checkpointing: bool, tmp_path: Path) -> None:
    common = {"vocab_size": 4096, "hidden_size": 512, "num_hidden_layers": 4}
    config = (
        LlamaConfig(**common, intermediate_size=1024, num_attention_heads=8)
        if kind == "llama"
        else GptOssConfig(
            **common, intermediate_size=512, num_attention_heads=8, num_key_value_heads=2,
            num_local_experts=4, num_experts_per_tok=2,
        )
    )  # fmt: skip
    new_model(config).bfloat16().save_pretrained(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, str(tmp_path), "512", str(checkpointing)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    settings = RunSettings(
        str(tmp_path), "nf4", LoraSettings(), "adamw_8bit", torch.bfloat16, checkpointing, 512, 1,
        1, "cpu",
    )  # fmt: skip
    plan = estimate_memory(settings, found["process"])
    assert plan.loading_peak == pytest.approx(found["loading"], rel=0.15)
    assert plan.training_peak == pytest.approx(found["training"], rel=0.15)


def test_on_a_gpu_fewer_experts_at_once_take_less_memory() -> None:
    def dequantized(experts_at_once: int, device: str) -> int:
        settings = replace(RELEASED, device=device, experts_at_once=experts_at_once)
        return estimate_memory(settings, 10**9).activations.dequantized

    assert dequantized(4, "cuda") < dequantized(8, "cuda") < dequantized(0, "cuda")
    assert dequantized(4, "cpu") == dequantized(0, "cpu")  # the loop takes one after the other
