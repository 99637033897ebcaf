"""Makes a model's norms and attention compute in few operations, where they give the same."""

from functools import partial
from typing import Any, cast

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssAttention, GptOssRMSNorm
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaRMSNorm

from animelm.model.attention.documents import DocumentLayout
from animelm.model.attention.tiled import tiled_attention
from animelm.model.fused.attention import AttentionShape, attend, fused_attention_forward
from animelm.model.fused.norm import fused_norm_forward
from animelm.model.quantization.kernels import kernels_serve

_LARGEST_HEAD = 256  # of the flash kernel
_TOLERANCE = 4e-2  # of the largest value, in bf16


def problem_with_fused_layers(
    model: PreTrainedModel, device: torch.device, dtype: torch.dtype
) -> str | None:
    """Why ``fuse_layers`` does not suit ``model`` on ``device``; None: it does."""
    config: Any = model.config
    head = config.head_dim or config.hidden_size // config.num_attention_heads
    if not kernels_serve(device):
        return "there is no GPU of compute capability 8 or above with Triton"
    if dtype not in (torch.bfloat16, torch.float16):
        return f"the flash kernel does not compute in {dtype}"
    # Heads are split into halves, whose width must be a power of two.
    if not 8 <= head <= _LARGEST_HEAD or head & (head - 1):
        return f"heads have {head} values, which is no power of two from 8 to {_LARGEST_HEAD}"
    try:
        return probe_attention(device, dtype, head)
    except Exception as error:  # compilers and drivers raise errors of their own; it is reported
        return f"it fails here ({type(error).__name__}: {' '.join(str(error).split()):.200})"


def probe_attention(device: torch.device, dtype: torch.dtype, dimension: int) -> str | None:
    """Compares fused attention with that in tiles, on documents longer than a window.

    Returns:
        The first difference; None: output and gradients agree.
    """
    heads, key_heads, length, scale = 4, 2, 48, dimension**-0.5
    generator = torch.Generator().manual_seed(0)
    shape = (2 * length, (heads + 2 * key_heads) * dimension)
    states = torch.randn(shape, generator=generator).to(device, dtype).requires_grad_()
    sinks = torch.randn(heads, generator=generator).to(device, dtype)
    direction = torch.randn(2 * length, heads, dimension, generator=generator).to(device, dtype)
    positions = torch.cat([torch.arange(40), torch.arange(8)]).repeat(2, 1).to(device)
    layout = DocumentLayout.from_position_ids(positions)
    angle = torch.zeros(2 * length, dimension // 2, device=device, dtype=dtype)
    for window in (None, 16):
        by_head = states.view(2, length, -1, dimension).transpose(1, 2)
        query, key, value = by_head.split([heads, key_heads, key_heads], 1)
        exact = tiled_attention(query, key, value, sinks, scale, window, layout.spans).flatten(0, 1)
        asked = AttentionShape(heads, key_heads, length, scale, window)
        ours = attend(states.clone(), angle + 1, angle, sinks, layout, asked)
        grads = (torch.autograd.grad(out, states, direction)[0] for out in (ours, exact))
        for mine, theirs in ((ours, exact), tuple(grads)):
            error = (mine.float() - theirs.float()).abs().max()
            if not error <= _TOLERANCE * theirs.float().abs().max():
                return f"its attention differs from that in tiles by {error.item():.3g}"
    return None


def fuse_layers(model: nn.Module) -> None:
    """Gives norms and attention their fused forward passes."""
    for module in model.modules():
        own = cast(Any, module)
        if isinstance(module, GptOssRMSNorm | LlamaRMSNorm):
            own.forward = partial(fused_norm_forward, own)
        elif isinstance(module, GptOssAttention | LlamaAttention):
            own.forward = partial(fused_attention_forward, own)
