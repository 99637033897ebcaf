from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig

from animelm.model.activation_checkpointing import recompute_activations
from animelm.model.architecture import new_model
from animelm.model.attention.documents import packed_hidden_states
from animelm.model.checkpoint.load import load_base
from animelm.model.kept_activations import AdapterShape
from animelm.model.lora.adapters import LoraSettings, add_adapter
from animelm.model.lora.targets import audit_targets

NOTHING, EVERYTHING = 0, 2**30


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llama")
    config = LlamaConfig(
        vocab_size=97, hidden_size=64, intermediate_size=176, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2,
    )  # fmt: skip
    new_model(config).save_pretrained(folder)
    return folder


def gradients(checkpoint: Path, kept: int | None) -> tuple[dict[str, torch.Tensor], int]:
    """Gradients of a packed batch, and the bytes that the forward pass kept for the backward.

    Args:
        checkpoint: of the base.
        kept: budget for stored activations; None: without checkpointing.
    """
    torch.manual_seed(0)
    settings = LoraSettings(rank=4, dropout=0.2)
    model = add_adapter(load_base(str(checkpoint)), settings).train()
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    if kept is not None:
        adapters = AdapterShape.of(settings, audit_targets(model, settings.target_modules))
        recompute_activations(model.get_base_model(), adapters, kept)
    positions = torch.arange(64).repeat(2)[None]
    held = {}

    def hold(tensor: torch.Tensor) -> torch.Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    torch.manual_seed(1)
    ids = torch.randint(2, 97, (1, 128))
    with torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor):
        hidden = packed_hidden_states(model, ids, positions)
    hidden.square().sum().backward()
    found = {n: p.grad for n, p in model.named_parameters() if p.requires_grad}
    return found, sum(held.values())


@pytest.mark.parametrize("base", ["checkpoint", "llama"])
@pytest.mark.parametrize("kept", [NOTHING, 30_000, EVERYTHING])
def test_gradients_are_the_same_whatever_is_kept(base: str, kept: int, request) -> None:
    folder = request.getfixturevalue(base)
    plain, _ = gradients(folder, None)
    again, _ = gradients(folder, kept)
    assert plain.keys() == again.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(again[name], gradient, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("base", ["checkpoint", "llama"])
def test_a_fraction_is_kept_and_more_where_it_may_be(base: str, request) -> None:
    folder = request.getfixturevalue(base)
    plain, least, most = (gradients(folder, kept)[1] for kept in (None, NOTHING, EVERYTHING))
    assert least < plain / 3 and least < most <= plain
