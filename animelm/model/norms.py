"""RMSNorm compiled into one loop forward and one backward.

Operator by operator it copies its input to float32 and keeps the copy for the backward pass, which
then makes half a dozen passes over it. Compiled, it keeps the input as it is.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, nn
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssRMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from animelm.model.compiled import compiled

_Normalise = Callable[[Tensor], Tensor]


def compile_norms(model: nn.Module) -> None:
    """Makes every norm of the model compute transformers' own formula, compiled, in training."""
    for module in model.modules():
        if isinstance(module, GptOssRMSNorm | LlamaRMSNorm):
            _compile(module)


def _compile(norm: Any) -> None:
    norm.forward = partial(_forward, norm, compiled(norm.forward), norm.forward)


def _forward(norm: nn.Module, fused: _Normalise, stock: _Normalise, states: Tensor) -> Tensor:
    # Answers are generated in shapes of their own, each of which would be compiled.
    return fused(states) if norm.training else stock(states)
