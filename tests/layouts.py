"""Writes small checkpoints in the layouts in which bases are published."""

import copy
import json
from pathlib import Path

import torch
from bitsandbytes.functional import quantize_4bit
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import GptOssForCausalLM

from animelm.model.quantization.linear4bit import LinearDouble4bit, weight_in
from animelm.model.quantization.mxfp4 import encode_mxfp4

_EXPERTS = {"gate_up_proj": "gate_up_projs", "down_proj": "down_projs"}


def write_mxfp4(model: GptOssForCausalLM, folder: Path, shards: int = 2) -> Path:
    """As OpenAI released gpt-oss: experts in MXFP4, the rest in bf16, in several files."""
    state = {}
    for name, tensor in model.state_dict().items():
        leaf = name.rpartition(".")[2]
        if leaf in _EXPERTS:
            blocks, scales = encode_mxfp4(tensor.transpose(1, 2))
            state[f"{name}_blocks"], state[f"{name}_scales"] = blocks, scales
        else:
            state[name] = tensor.bfloat16().contiguous()
    _write_config(model, folder, {"quant_method": "mxfp4", "modules_to_not_convert": []})
    names = sorted(state)  # blocks and scales of one projection may end up in different files
    for shard in range(shards):
        part = {name: state[name] for name in names[shard::shards]}
        save_file(part, folder / f"model-{shard:05}-of-{shards:05}.safetensors", {"format": "pt"})
    _write_index(folder)
    return folder


def write_per_expert(
    model: GptOssForCausalLM, folder: Path, nested: bool, packed_attention: bool = True
) -> Path:
    """As unsloth publishes gpt-oss for bitsandbytes: a packed layer an expert, routers wrapped."""
    state: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        path, _, leaf = name.rpartition(".")
        if leaf in _EXPERTS:
            for index, weight in enumerate(tensor.transpose(1, 2)):
                state |= packed_tensors(f"{path}.{_EXPERTS[leaf]}.{index}.weight", weight, nested)
        elif leaf.removesuffix("_bias") in _EXPERTS:
            listed = _EXPERTS[leaf.removesuffix("_bias")]
            for index, bias in enumerate(tensor):
                state[f"{path}.{listed}.{index}.bias"] = bias.bfloat16()
        elif packed_attention and name.endswith("_proj.weight"):
            state |= packed_tensors(name, tensor, nested)
        else:
            state[name.replace(".mlp.router.", ".mlp.router.linear.")] = tensor.bfloat16()
    _write_config(model, folder, {"quant_method": "bitsandbytes", "load_in_4bit": True})
    contiguous = {name: tensor.contiguous() for name, tensor in state.items()}
    save_file(contiguous, folder / "model.safetensors", {"format": "pt"})
    return folder


def stock_twin(model: GptOssForCausalLM) -> GptOssForCausalLM:
    """Stock transformers' model with the values that ``load_base``'s model unpacks to, in fp32."""
    state = {}
    for name, tensor in model.state_dict().items():
        if ".experts." not in name and not name.endswith(LinearDouble4bit.SCALES):
            path = name.removesuffix(".weight")
            layer = model.get_submodule(path) if name.endswith("_proj.weight") else None
            state[name] = tensor if layer is None else weight_in(layer, torch.float32)
    for index, layer in enumerate(model.model.layers):
        for fused, listed in _EXPERTS.items():
            linears = list(getattr(layer.mlp.experts, listed))
            name = f"model.layers.{index}.mlp.experts.{fused}"
            state[name] = torch.stack([weight_in(linear, torch.float32).T for linear in linears])
            state[f"{name}_bias"] = torch.stack([linear.bias for linear in linears])
    twin = GptOssForCausalLM(copy.deepcopy(model.config)).eval()
    twin.load_state_dict(state)
    twin.set_attn_implementation("eager")
    return twin


def packed_tensors(name: str, weight: Tensor, nested: bool) -> dict[str, Tensor]:
    """What bitsandbytes writes for one packed weight [O, I]."""
    packed, state = quantize_4bit(
        weight.bfloat16().contiguous(), quant_type="nf4", compress_statistics=nested
    )
    parts = {f"{name}.{part}": value for part, value in state.as_dict(packed=True).items()}
    return {name: packed, **parts}


def _write_config(model: GptOssForCausalLM, folder: Path, quantization: dict) -> None:
    values = model.config.to_dict() | {
        "architectures": ["GptOssForCausalLM"],
        "quantization_config": quantization,
    }
    (folder / "config.json").write_text(json.dumps(values))


def _write_index(folder: Path) -> None:
    """Which file holds what; transformers needs it where there are several."""
    places = {}
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as tensors:
            places |= dict.fromkeys(tensors.keys(), file.name)
    index = {"metadata": {}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
