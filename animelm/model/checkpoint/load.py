"""Loading a base, tensor by tensor, into the form that is trained; and writing one."""

import copy
from pathlib import Path

import torch
from torch import nn
from transformers import GptOssForCausalLM

from animelm.errors import UserError
from animelm.model.architecture import CausalLM, empty_model, new_model
from animelm.model.checkpoint.formats import place
from animelm.model.checkpoint.formats.fused_experts import LISTS
from animelm.model.checkpoint.hub import load_config, resolve_base
from animelm.model.checkpoint.reader import Checkpoint, loading_progress
from animelm.model.checkpoint.weight_loader import Filling
from animelm.model.quantization.linear4bit import Quantization

__all__ = ["initial_model", "load_base", "load_config", "save_base"]


def load_base(
    base: str, quantization: Quantization = "nf4", compute_dtype: torch.dtype = torch.float32
) -> CausalLM:
    """Loads a checkpoint folder or hub id, one tensor at a time; every weight comes out frozen.

    Whatever the layout of the checkpoint: with ``nf4`` attention projections, experts and a dense
    model's MLP become NF4, with ``nf4-double`` their scales are quantised too; with ``mxfp4``
    experts stay as gpt-oss was released; with ``none`` nothing is packed. All else is held in
    ``compute_dtype``. At no time is more in memory than the model so far and one tensor of the
    checkpoint.

    Raises:
        UserError: the folder, a file or a tensor of the model is missing or not as expected.
    """
    folder = resolve_base(base)
    filling = Filling(empty_model(load_config(str(folder)), quantization), compute_dtype)
    checkpoint = Checkpoint.in_folder(folder)
    with loading_progress() as progress:
        task = progress.add_task(base, total=checkpoint.bytes)
        for tensor in checkpoint:
            place(tensor, checkpoint, filling)
            progress.advance(task, tensor.bytes)
    model = _finished(filling, str(folder))
    model.name_or_path = base  # PEFT writes it into adapters
    return model.requires_grad_(False).eval()


def initial_model(base: str, seed: int) -> CausalLM:
    """A model with random weights for the configuration in ``base``, to be trained whole."""
    torch.manual_seed(seed)
    config = load_config(base)
    weights = new_model(config).state_dict()
    filling = Filling(empty_model(config, "none"), torch.float32)
    checkpoint = Checkpoint.of_state(weights, base)
    for tensor in checkpoint:
        place(tensor, checkpoint, filling)
    return _finished(filling, base).requires_grad_(True)


def _finished(filling: Filling, source: str) -> CausalLM:
    model = filling.model
    missing = filling.missing - ({"lm_head.weight"} if model.config.tie_word_embeddings else set())
    if missing:
        raise UserError(
            f"{source}: the checkpoint lacks {len(missing)} tensors, the first is {min(missing)}"
        )
    _check_tied_head(model, source)
    model.tie_weights()
    # Its table of frequencies is no parameter, and was made on the meta device.
    model.model.rotary_emb = type(model.model.rotary_emb)(model.config)
    return model


def _check_tied_head(model: CausalLM, source: str) -> None:
    """Tying drops the head; one that was stored must have been the embedding."""
    head, embedding = model.lm_head.weight, model.model.embed_tokens.weight
    if model.config.tie_word_embeddings and not head.is_meta and not torch.equal(head, embedding):
        raise UserError(
            f"{source}: lm_head.weight differs from model.embed_tokens.weight, and config.json "
            "says tie_word_embeddings; expected that to be false, or no head of its own"
        )


def save_base(model: CausalLM, folder: Path, dtype: torch.dtype = torch.bfloat16) -> None:
    """Writes an unquantised model as stock transformers reads it, experts fused."""
    # A copy: the two models need different attention, and both would read it from one config.
    stock = new_model(copy.deepcopy(model.config))
    nn.Module.to(stock, dtype)
    state = model.state_dict()
    if isinstance(model, GptOssForCausalLM):
        state = {name: tensor for name, tensor in state.items() if ".experts." not in name}
        for index, layer in enumerate(model.model.layers):
            for fused, listed in LISTS.items():
                linears = getattr(layer.mlp.experts, listed)
                name = f"model.layers.{index}.mlp.experts.{fused}"
                state[name] = torch.stack([linear.weight.T for linear in linears])
                state[f"{name}_bias"] = torch.stack([linear.bias for linear in linears])
    stock.load_state_dict({name: tensor.to(dtype) for name, tensor in state.items()})
    stock.set_attn_implementation("eager")
    stock.save_pretrained(folder)
