"""Loads a base tensor by tensor into the form that is trained, and saves one."""

import copy
from pathlib import Path

import torch
from torch import nn
from transformers import GptOssForCausalLM

from animelm.errors import UserError
from animelm.model.architecture import CausalLM, empty_model, new_model
from animelm.model.checkpoint.formats import load_tensor
from animelm.model.checkpoint.formats.fused_experts import EXPERT_LISTS
from animelm.model.checkpoint.hub import load_config, resolve_base
from animelm.model.checkpoint.reader import Checkpoint, loading_progress
from animelm.model.checkpoint.weight_loader import WeightLoader
from animelm.model.quantization.linear4bit import Quantization
from animelm.shipped import find_shipped

__all__ = ["initial_model", "load_base", "load_config", "save_base"]


def load_base(
    base: str, quantization: Quantization = "nf4", compute_dtype: torch.dtype = torch.float32
) -> CausalLM:
    """Loads a checkpoint folder or hub id, one tensor at a time; all weights are frozen.

    Whatever the format of the checkpoint: with ``nf4`` attention projections, experts and a dense
    model's MLP become NF4, with ``nf4-double`` their scales are quantized too; with ``mxfp4``
    experts keep the released bytes; with ``none`` nothing is quantized. All other weights are held
    in ``compute_dtype``. Memory never holds more than the model so far and one tensor of the
    checkpoint.

    Raises:
        UserError: the folder, a file or a tensor is missing or malformed.
    """
    folder = resolve_base(base)
    loader = WeightLoader(empty_model(load_config(str(folder)), quantization), compute_dtype)
    checkpoint = Checkpoint.from_folder(folder)
    with loading_progress() as progress:
        task = progress.add_task(base, total=checkpoint.bytes)
        for tensor in checkpoint:
            load_tensor(tensor, checkpoint, loader)
            progress.advance(task, tensor.bytes)
    model = _finished(loader, str(folder))
    # Adapters record it, and are opened from any folder.
    model.name_or_path = str(folder.resolve()) if find_shipped(Path(base)).is_dir() else base
    return model.requires_grad_(False).eval()


def initial_model(base: str, seed: int) -> CausalLM:
    """A model with random weights for the configuration in ``base``, all of them trainable."""
    torch.manual_seed(seed)
    config = load_config(base)
    weights = new_model(config).state_dict()
    loader = WeightLoader(empty_model(config, "none"), torch.float32)
    checkpoint = Checkpoint.from_state_dict(weights, base)
    for tensor in checkpoint:
        load_tensor(tensor, checkpoint, loader)
    return _finished(loader, base).requires_grad_(True)


def _finished(loader: WeightLoader, source: str) -> CausalLM:
    model = loader.model
    missing = loader.missing - ({"lm_head.weight"} if model.config.tie_word_embeddings else set())
    if missing:
        raise UserError(
            f"{source}: the checkpoint lacks {len(missing)} tensors; the first is {min(missing)}"
        )
    _check_tied_head(model, source)
    model.tie_weights()
    # Its frequencies are no parameters, and were created on the meta device.
    model.model.rotary_emb = type(model.model.rotary_emb)(model.config)
    return model


def _check_tied_head(model: CausalLM, source: str) -> None:
    """Tying discards the head, so a stored head must equal the embedding."""
    head, embedding = model.lm_head.weight, model.model.embed_tokens.weight
    if model.config.tie_word_embeddings and not head.is_meta and not torch.equal(head, embedding):
        raise UserError(
            f"{source}: lm_head.weight differs from model.embed_tokens.weight, and config.json "
            "says tie_word_embeddings; expected it to be false, or no lm_head.weight"
        )


def save_base(model: CausalLM, folder: Path, dtype: torch.dtype = torch.bfloat16) -> None:
    """Saves an unquantized model as stock transformers reads it, with fused experts."""
    # A copy, because a shared config would switch the attention of both models.
    stock = new_model(copy.deepcopy(model.config))
    nn.Module.to(stock, dtype)
    state = model.state_dict()
    if isinstance(model, GptOssForCausalLM):
        state = {name: tensor for name, tensor in state.items() if ".experts." not in name}
        for index, layer in enumerate(model.model.layers):
            for fused, listed in EXPERT_LISTS.items():
                linears = getattr(layer.mlp.experts, listed)
                name = f"model.layers.{index}.mlp.experts.{fused}"
                state[name] = torch.stack([linear.weight.T for linear in linears])
                state[f"{name}_bias"] = torch.stack([linear.bias for linear in linears])
    stock.load_state_dict({name: tensor.to(dtype) for name, tensor in state.items()})
    stock.set_attn_implementation("eager")
    stock.save_pretrained(folder)
