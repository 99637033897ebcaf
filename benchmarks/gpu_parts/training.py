"""One training step, ours and that of stock transformers and PEFT; its speed and memory."""

import copy
from collections.abc import Callable
from typing import Any

import bitsandbytes as bnb
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from transformers import GptOssConfig, GptOssForCausalLM

from animelm.model.attention.documents import packed_hidden_states
from animelm.model.loss import chunked_cross_entropy
from animelm.train.optimizer import OptimizerSettings, build_optimizer
from gpu_parts.machine import Machine, Skipped
from gpu_parts.model import DTYPE

_ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
_EXPERTS = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
_STEPS = 3
# Beside its weights, for logits, activations and the full-size update of one layer's experts.
_STOCK_WORKING_BYTES = 12 * 2**30


class TrainingStep:
    """Forward and backward pass, clipping, optimizer step and zeroing.

    Args:
        model: that is trained.
        losses: the mean loss of a batch of token ids [B, S].
        optimizer: of its trainable parameters.
    """

    def __init__(
        self,
        model: PeftModel,
        losses: Callable[[Tensor], Tensor],
        optimizer: torch.optim.Optimizer,
    ) -> None:
        self.model, self._losses, self._optimizer = model, losses, optimizer
        self._trained = [p for p in model.parameters() if p.requires_grad]

    def __call__(self, tokens: Tensor) -> None:
        self._losses(tokens).backward()
        clip_grad_norm_(self._trained, 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()


def our_step(model: PeftModel) -> TrainingStep:
    """A step of ``fit``, whose blocks hold one document each."""
    head = model.get_base_model().lm_head.weight
    model.train()

    def losses(tokens: Tensor) -> Tensor:
        positions = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
        states = packed_hidden_states(model, tokens, positions)
        return chunked_cross_entropy(states, head, tokens) / tokens.numel()

    return TrainingStep(model, losses, build_optimizer(model.parameters(), OptimizerSettings()))


def stock_step(config: GptOssConfig, machine: Machine, rank: int) -> TrainingStep:
    """The same by stock transformers and PEFT: experts in bf16, no dropout, which PEFT refuses.

    Raises:
        Skipped: the weights in bf16 do not fit.
    """
    with torch.device("meta"):
        values = sum(p.numel() for p in GptOssForCausalLM(config).parameters())
    needed, free = values * DTYPE.itemsize + _STOCK_WORKING_BYTES, machine.free_bytes
    if free is not None and free < needed:
        gib = 2**30
        raise Skipped(
            f"with experts in bf16 it needs about {needed / gib:.0f} GiB, and "
            f"{free / gib:.0f} are free"
        )
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(DTYPE)
    try:
        with machine.device:
            base = GptOssForCausalLM(copy.deepcopy(config))
    finally:
        torch.set_default_dtype(before)
    base.set_attn_implementation("eager")  # the only one with sinks that needs nothing fetched
    base.set_experts_implementation("grouped_mm")
    targets = LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules=_ATTENTION, target_parameters=_EXPERTS
    )
    model = get_peft_model(base, targets).train()
    base.gradient_checkpointing_enable({"use_reentrant": False})

    def losses(tokens: Tensor) -> Tensor:
        return model(input_ids=tokens, labels=tokens, use_cache=False).loss

    trained = [p for p in model.parameters() if p.requires_grad]
    return TrainingStep(model, losses, bnb.optim.AdamW8bit(trained, lr=2e-4))


def measure_speed(step: TrainingStep, machine: Machine, tokens: Tensor) -> dict[str, Any]:
    """Tokens per second and peak memory of steps over a batch of ``tokens`` [B, S].

    Raises:
        Skipped: there is too little time left.
    """
    machine.require(2)
    machine.forget_peak()
    try:
        first = machine.seconds(lambda: step(tokens))  # compiles kernels, makes optimizer states
        machine.require(first)
        steps = _STEPS if machine.seconds_left() > 2 * _STEPS * first else 1
        seconds = min(machine.seconds(lambda: step(tokens)) for _ in range(steps))
    finally:
        step.model.zero_grad()
    return {
        "step_seconds": round(seconds, 4),
        "tokens_per_second": round(tokens.numel() / seconds, 1),
        "peak_gib": machine.peak_gib(),
    }
