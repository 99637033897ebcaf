"""Loading a gpt-oss checkpoint, tensor by tensor, into the form that is trained; and writing one.

On disk the experts are fused 3-D tensors, input first: ``experts.gate_up_proj`` [E, C, 2F] and
``experts.down_proj`` [E, F, C]. In memory each expert is a linear layer of its own.
"""

import copy
from collections.abc import Iterator
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import safe_open
from torch import Tensor, nn
from transformers import (
    GptOssConfig,
    GptOssForCausalLM,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssRotaryEmbedding

from animelm.errors import UserError
from animelm.model.attention import DOCUMENT_ATTENTION
from animelm.model.experts import Experts
from animelm.model.quantize import Linear4bit, Quantization, make_linear

_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
_FUSED = {"gate_up_proj": "gate_up_projs", "down_proj": "down_projs"}


def resolve_base(base: str) -> Path:
    """The folder of a base: a local path, or a hub id that is fetched.

    Of a hub id only safetensors, JSON files and the chat template are fetched.

    Raises:
        UserError: neither a folder with a config.json nor a hub id that can be reached.
    """
    folder = Path(base)
    if (folder / "config.json").is_file():
        return folder
    if folder.exists():
        raise UserError(
            f"{base}: no config.json here; expected a checkpoint as transformers writes it"
        )
    try:
        return Path(snapshot_download(base, allow_patterns=["*.safetensors", "*.json", "*.jinja"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise UserError(
            f"{base}: no such folder, and the model hub gave no model of that name "
            f"({type(error).__name__}). Expected a folder with config.json, or a hub id such as "
            "unsloth/gpt-oss-20b"
        ) from error


def load_tokenizer(base: str) -> PreTrainedTokenizerBase:
    """The base's tokenizer; nothing in its folder is executed."""
    return PreTrainedTokenizerFast.from_pretrained(resolve_base(base))


def empty_model(config: GptOssConfig, quantization: Quantization = "nf4") -> GptOssForCausalLM:
    """The model in the form that is trained, on the meta device: shapes and types, no memory."""
    with torch.device("meta"):
        model = GptOssForCausalLM(config)
    for layer in model.model.layers:
        layer.mlp.experts = Experts(config, quantization)
        for name in _ATTENTION:
            stock = getattr(layer.self_attn, name)
            linear = make_linear(
                stock.in_features,
                stock.out_features,
                stock.bias is not None,
                quantization,
            )
            setattr(layer.self_attn, name, linear)
    model.set_attn_implementation(DOCUMENT_ATTENTION)
    return model


def load_config(base: str) -> GptOssConfig:
    """The configuration of a gpt-oss checkpoint.

    Raises:
        UserError: the checkpoint is of another architecture.
    """
    folder = resolve_base(base)
    config = GptOssConfig.from_pretrained(folder)
    architectures = config.architectures or ["GptOssForCausalLM"]
    if "GptOssForCausalLM" not in architectures:
        raise UserError(
            f"{folder / 'config.json'}: architectures is {architectures}; "
            "expected GptOssForCausalLM"
        )
    return config


def load_base(
    base: str, quantization: Quantization = "nf4", compute_dtype: torch.dtype = torch.float32
) -> GptOssForCausalLM:
    """Loads a checkpoint folder or hub id, one tensor at a time; every weight comes out frozen.

    Attention projections and experts become 4-bit (``quantization="nf4"``) or stay as they are;
    router, norms, embeddings, sinks and head are held in ``compute_dtype``.

    Raises:
        UserError: the folder, a file or a tensor of the model is missing.
    """
    folder = resolve_base(base)
    model = empty_model(load_config(base), quantization)
    missing = {name for name, _ in model.named_parameters() if not name.endswith(".scales")}
    if model.config.tie_word_embeddings:
        missing.discard("lm_head.weight")
    for name, tensor in _checkpoint_tensors(folder):
        missing -= _place(model, name, tensor, compute_dtype)
    if missing:
        raise UserError(
            f"{folder}: the checkpoint lacks {len(missing)} tensors, the first is {min(missing)}"
        )
    model.tie_weights()
    model.model.rotary_emb = GptOssRotaryEmbedding(model.config)
    model.requires_grad_(False)
    return model.eval()


def initial_model(base: str, seed: int) -> GptOssForCausalLM:
    """A model with random weights for the configuration in ``base``, to be trained whole."""
    torch.manual_seed(seed)
    config = load_config(base)
    stock = GptOssForCausalLM(config)
    model = empty_model(config, "none")
    for name, tensor in stock.state_dict().items():
        _place(model, name, tensor, torch.float32)
    model.tie_weights()
    model.model.rotary_emb = GptOssRotaryEmbedding(config)
    return model.requires_grad_(True)


def _checkpoint_tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    shards = sorted(folder.glob("*.safetensors"))
    if not shards:
        raise UserError(
            f"{folder}: no .safetensors file; expected the weights as transformers writes them"
        )
    for shard in shards:
        with safe_open(shard, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (safe_open has no iterator)
                yield name, tensors.get_tensor(name)


def _place(model: nn.Module, name: str, tensor: Tensor, compute_dtype: torch.dtype) -> set[str]:
    """Puts one tensor of the checkpoint where it belongs; returns the parameter names it filled."""
    path, _, leaf = name.rpartition(".")
    if path.endswith(".experts"):
        fused = leaf.removesuffix("_bias")
        experts = getattr(model.get_submodule(path), _FUSED[fused])
        is_bias = leaf.endswith("_bias")
        for layer, part in zip(experts, tensor.unbind(0), strict=True):
            _fill(
                layer, "bias" if is_bias else "weight", part if is_bias else part.T, compute_dtype
            )
        return {
            f"{path}.{_FUSED[fused]}.{i}.{'bias' if is_bias else 'weight'}"
            for i in range(len(experts))
        }
    _fill(model.get_submodule(path), leaf, tensor, compute_dtype)
    return {name}


def _fill(module: nn.Module, leaf: str, tensor: Tensor, compute_dtype: torch.dtype) -> None:
    if isinstance(module, Linear4bit) and leaf == "weight":
        module.load_weight(tensor)
    else:
        held = tensor.to(compute_dtype).contiguous().clone()
        setattr(module, leaf, nn.Parameter(held, requires_grad=False))


def save_base(model: GptOssForCausalLM, folder: Path, dtype: torch.dtype = torch.bfloat16) -> None:
    """Writes an unquantised model as stock transformers reads it, experts fused."""
    # A copy: the two models need different attention, and both would read it from one config.
    stock = GptOssForCausalLM(copy.deepcopy(model.config))
    nn.Module.to(stock, dtype)
    state = {}
    for name, tensor in model.state_dict().items():
        if ".experts." not in name:
            state[name] = tensor.to(dtype)
    for index, layer in enumerate(model.model.layers):
        prefix = f"model.layers.{index}.mlp.experts"
        for fused, listed in _FUSED.items():
            linears = getattr(layer.mlp.experts, listed)
            state[f"{prefix}.{fused}"] = torch.stack([linear.weight.T for linear in linears]).to(
                dtype
            )
            state[f"{prefix}.{fused}_bias"] = torch.stack([linear.bias for linear in linears]).to(
                dtype
            )
    stock.load_state_dict(state)
    stock.set_attn_implementation("eager")
    stock.save_pretrained(folder)
