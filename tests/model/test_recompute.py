from pathlib import Path

import torch

from animelm.model.adapters import LoraSettings, add_adapter
from animelm.model.attention import packed_hidden_states
from animelm.model.checkpoint import load_base
from animelm.model.recompute import recompute_activations


def gradients(checkpoint: Path, recompute: bool) -> tuple[dict[str, torch.Tensor], int]:
    """Gradients of a packed batch, and the bytes that the forward pass kept for the backward."""
    torch.manual_seed(0)
    settings = LoraSettings(rank=4, dropout=0.2)
    model = add_adapter(load_base(str(checkpoint)), settings).train()
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    if recompute:
        recompute_activations(model.get_base_model())
    positions = torch.arange(64).repeat(2)[None]
    kept = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    torch.manual_seed(1)
    ids = torch.randint(2, 97, (1, 128))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        hidden = packed_hidden_states(model, ids, positions)
    hidden.square().sum().backward()
    found = {n: p.grad for n, p in model.named_parameters() if p.requires_grad}
    return found, sum(kept.values())


def test_gradients_are_the_same_and_a_fraction_is_kept(checkpoint: Path) -> None:
    plain, plain_bytes = gradients(checkpoint, recompute=False)
    again, kept_bytes = gradients(checkpoint, recompute=True)
    assert plain.keys() == again.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(again[name], gradient, rtol=1e-4, atol=1e-5)
    assert kept_bytes < plain_bytes / 3
