"""The estimate against what autograd really keeps."""

from dataclasses import replace

import pytest
import torch
from measuring.flash_attention import emulated_flash_attention
from peft import PeftModel
from torch import Tensor
from transformers import GptOssConfig, LlamaConfig

from animelm.model.activation_checkpointing import recompute_activations
from animelm.model.architecture import Config, new_model
from animelm.model.attention.documents import packed_hidden_states
from animelm.model.checkpoint.load import load_base
from animelm.model.compile import compile_norms
from animelm.model.fused.layers import fuse_layers
from animelm.model.kept_activations import AdapterShape, BatchShape
from animelm.model.lora.adapters import (
    LoraSettings,
    add_adapter,
    save_adapter,
    stack_adapter,
)
from animelm.model.lora.targets import DEFAULT_TARGETS, audit_targets
from animelm.model.moe.experts import use_expert_engine
from animelm.model.moe.grouped.products import GroupedMM
from animelm.model.moe.grouped.projection import GroupedEngine
from animelm.planner.activation_memory import activations

TOKENS = 384
GPT_OSS = GptOssConfig(
    vocab_size=97, hidden_size=96, intermediate_size=64, num_hidden_layers=3,
    num_attention_heads=6, num_key_value_heads=2, head_dim=32, num_local_experts=4,
    num_experts_per_tok=2, sliding_window=128,
)  # fmt: skip
LLAMA = LlamaConfig(
    vocab_size=97, hidden_size=128, intermediate_size=352, num_hidden_layers=3,
    num_attention_heads=4, num_key_value_heads=2,
)  # fmt: skip
PLAIN = BatchShape(TOKENS, TOKENS, torch.bfloat16, checkpointing=False)
ON_GPU = replace(PLAIN, device="cuda")  # its code runs here with the flash kernel emulated
ATTENTION = ("q_proj", "v_proj")


def kept_by_autograd(model: PeftModel, shape: BatchShape) -> int:
    """Bytes that a forward pass keeps, parameters of the model not counted."""
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    input_ids = torch.randint(0, 97, (1, shape.tokens))
    position_ids = torch.arange(shape.tokens)[None] % shape.document
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        hidden = packed_hidden_states(model, input_ids, position_ids)
    assert hidden.requires_grad
    return sum(kept.values())


@pytest.mark.parametrize(
    ("shape", "targets", "dropout"),
    [
        (PLAIN, DEFAULT_TARGETS, 0.05),
        (PLAIN, DEFAULT_TARGETS, 0.0),
        (PLAIN, ATTENTION, 0.05),
        (replace(PLAIN, document=96), DEFAULT_TARGETS, 0.05),
        (replace(PLAIN, dtype=torch.float32), DEFAULT_TARGETS, 0.05),
        (replace(PLAIN, checkpointing=True), DEFAULT_TARGETS, 0.05),
        (replace(PLAIN, checkpointing=True, dtype=torch.float32), DEFAULT_TARGETS, 0.0),
        (replace(PLAIN, checkpointing=True, kept_bytes=500_000), DEFAULT_TARGETS, 0.05),
        (replace(PLAIN, checkpointing=True, kept_bytes=4_000_000), DEFAULT_TARGETS, 0.05),
        (replace(PLAIN, checkpointing=True, kept_bytes=2**30), DEFAULT_TARGETS, 0.05),
        (replace(PLAIN, compiled=True), DEFAULT_TARGETS, 0.05),
        (replace(PLAIN, compiled=True, dtype=torch.float32), ATTENTION, 0.0),
        (replace(PLAIN, compiled=True, checkpointing=True), DEFAULT_TARGETS, 0.05),
        (
            replace(PLAIN, compiled=True, checkpointing=True, kept_bytes=2_900_000),
            DEFAULT_TARGETS,
            0.05,
        ),
        (ON_GPU, DEFAULT_TARGETS, 0.05),
        (ON_GPU, ATTENTION, 0.0),
        (replace(ON_GPU, checkpointing=True), DEFAULT_TARGETS, 0.05),
    ],
)
@pytest.mark.parametrize("config", [GPT_OSS, LLAMA], ids=["gpt-oss", "llama"])
def test_what_is_kept_is_what_autograd_keeps(
    config: Config, shape: BatchShape, targets: tuple[str, ...], dropout: float, tmp_path
) -> None:
    torch.manual_seed(0)
    new_model(config).save_pretrained(tmp_path)
    base = load_base(str(tmp_path), "nf4", shape.dtype)
    lora = LoraSettings(8, 16, dropout, targets)
    model = add_adapter(base, lora)
    adapters = AdapterShape.of(lora, audit_targets(model, targets))
    if shape.compiled:
        compile_norms(base)
    if shape.fused:
        fuse_layers(base)
        use_expert_engine(base, GroupedEngine(GroupedMM()))
    if shape.checkpointing:
        recompute_activations(base, adapters, shape.kept_bytes, shape.compiled)
    estimate = activations(config, adapters, shape, quantized=True)
    with emulated_flash_attention():
        kept = kept_by_autograd(model.train(), shape)
    assert estimate.kept == pytest.approx(kept, rel=0.02)


@pytest.mark.parametrize("shape", [PLAIN, replace(PLAIN, checkpointing=True)], ids=["", "again"])
@pytest.mark.parametrize("config", [GPT_OSS, LLAMA], ids=["gpt-oss", "llama"])
def test_a_frozen_adapter_below_the_trained_one_keeps_nothing(
    config: Config, shape: BatchShape, tmp_path
) -> None:
    torch.manual_seed(0)
    new_model(config).save_pretrained(tmp_path)
    lora = LoraSettings(8, 16, 0.05)
    save_adapter(add_adapter(load_base(str(tmp_path), "nf4"), lora), tmp_path / "below")
    model = stack_adapter(load_base(str(tmp_path), "nf4", shape.dtype), tmp_path / "below", lora)
    adapters = AdapterShape.of(lora, audit_targets(model, lora.target_modules))
    if shape.checkpointing:
        recompute_activations(model.get_base_model(), adapters)
    estimate = activations(config, adapters, shape, quantized=True)
    assert estimate.kept == pytest.approx(kept_by_autograd(model.train(), shape), rel=0.02)


def test_the_logits_of_one_chunk_exist_at_a_time() -> None:
    wide = LlamaConfig(**{**LLAMA.to_dict(), "vocab_size": 200_000})
    adapters = AdapterShape(frozenset(), 8, dropout=False)
    short, long = (
        activations(wide, adapters, replace(PLAIN, tokens=tokens), quantized=True).loss
        for tokens in (2048, 4096)
    )
    assert short > 128e6 and long - short < 2e6


def test_a_longer_document_needs_the_scores_of_its_longest_tile_three_times() -> None:
    """Of 6 heads, 128 rows and all keys with the sink: probabilities and two gradients."""
    config = GptOssConfig(
        **GPT_OSS.to_dict() | {"hidden_size": 16, "intermediate_size": 2}
    )  # little but attention
    shape, nothing = replace(PLAIN, tokens=8192), AdapterShape(frozenset(), 0, False)
    short, long = (
        activations(config, nothing, replace(shape, document=length), True)
        for length in (1000, 8000)
    )
    keys = 8032 - 1024  # 8,001 and 1,001, rounded up
    assert long.layer - short.layer == 3 * 6 * 128 * keys * shape.dtype.itemsize
