"""A whole model with fused norms and attention, against the same model without."""

import pytest
import torch
from measuring.flash_attention import emulated_flash_attention
from measuring.operations import CountOperations
from peft import PeftModel

from animelm.model import operators
from animelm.model.activation_checkpointing import recompute_activations
from animelm.model.attention.documents import DocumentLayout, packed_hidden_states
from animelm.model.checkpoint.load import load_base
from animelm.model.fused import layers
from animelm.model.fused.attention import AttentionShape
from animelm.model.fused.layers import fuse_layers, probe_attention, problem_with_fused_layers
from animelm.model.kept_activations import AdapterShape
from animelm.model.lora.adapters import LoraSettings, add_adapter
from animelm.model.moe.experts import use_expert_engine
from animelm.model.moe.grouped.products import GroupedMM
from animelm.model.moe.grouped.projection import GroupedEngine
from animelm.model.moe.grouped.triton_products import TritonProducts

FLOAT32 = 1e-5


def adapted(folder, quantization: str = "nf4") -> PeftModel:
    torch.manual_seed(0)
    model = add_adapter(load_base(str(folder), quantization), LoraSettings(rank=4, dropout=0.0))
    for name, parameter in model.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return model.train()


def run(model: PeftModel) -> list[torch.Tensor]:
    """Hidden states, and every gradient."""
    positions = torch.cat([torch.arange(7), torch.arange(12), torch.arange(1)]).repeat(2, 1)
    tokens = torch.arange(40).view(2, 20) % 30
    states = packed_hidden_states(model, tokens, positions)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    direction = torch.linspace(-1, 1, states.numel()).view_as(states)
    return [states.detach(), *torch.autograd.grad(states, trained, direction)]


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("quantization", ["nf4", "nf4-double", "none"])
def test_states_and_every_gradient_are_those_of_the_model_as_it_was(
    checkpoint, quantization: str, checkpointing: bool
) -> None:
    model = adapted(checkpoint, quantization)
    expected = run(model)
    fuse_layers(model)
    if checkpointing:
        recompute_activations(model.get_base_model(), AdapterShape(frozenset(), 4, False))
    with emulated_flash_attention():
        found = run(model)
    for mine, theirs in zip(found, expected, strict=True):
        assert (mine - theirs).abs().max() <= FLOAT32 * theirs.abs().max()


CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_right_attention_passes_the_probe_and_one_that_forgets_windows_does_not(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    with emulated_flash_attention():
        assert probe_attention(CPU, dtype, 16) is None
        everything = property(lambda _: {"window_size_left": -1, "window_size_right": 0})
        monkeypatch.setattr(AttentionShape, "windows", everything)
        assert "differs" in str(probe_attention(CPU, dtype, 16))


def test_what_keeps_a_model_from_fused_layers_is_named(
    stock_model, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no GPU" in str(problem_with_fused_layers(stock_model, CPU, torch.bfloat16))
    monkeypatch.setattr(layers, "kernels_serve", lambda _: True)
    assert "float32" in str(problem_with_fused_layers(stock_model, CPU, torch.float32))
    # Without the emulation, a CPU has no flash kernel.
    assert "fails here" in str(problem_with_fused_layers(stock_model, CPU, torch.bfloat16))
    with emulated_flash_attention():
        monkeypatch.setattr(operators, "kernels_serve", lambda _: False)
        assert problem_with_fused_layers(stock_model, CPU, torch.bfloat16) is None


@pytest.mark.parametrize("engine", ["grouped_mm", "triton"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_layer_takes_150_operations_and_the_host_waits_for_none(
    checkpoint, checkpointing: bool, engine: str, request: pytest.FixtureRequest
) -> None:
    if engine == "triton":
        request.getfixturevalue("interpreted_triton")
    base = load_base(str(checkpoint), "nf4", torch.bfloat16)
    model = add_adapter(base, LoraSettings(rank=8, dropout=0.05)).train()
    products = GroupedMM() if engine == "grouped_mm" else TritonProducts()
    use_expert_engine(model, GroupedEngine(products))
    fuse_layers(model)
    for layer in base.model.layers:
        layer.mlp.experts.lay_weights_side_by_side()
    if checkpointing:
        recompute_activations(base, AdapterShape(frozenset(), 8, True))
    positions = torch.arange(20)[None]
    states = torch.randn(1, 20, base.config.hidden_size).bfloat16()
    angles = base.model.rotary_emb(states, positions)
    layout = DocumentLayout.from_position_ids(positions)
    assert layout.cumulative.tolist() == [0, 20]  # computed once, before the first layer
    with emulated_flash_attention(), CountOperations() as found:
        states.requires_grad_()
        out = base.model.layers[0](
            states, attention_mask=None, position_embeddings=angles, document_layout=layout
        )
        out.backward(out.detach())
    assert found.total <= 150
    assert not found.host_syncs
