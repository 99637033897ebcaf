"""The stock model with PEFT's adapters, for both kinds of peers."""

import torch
from peft import LoraConfig
from transformers import AutoModelForCausalLM, PreTrainedModel

from training_speed_parts.setting import ALPHA, ATTENTION, RANK, Peer, Run

_EXPERTS = ("mlp.experts.gate_up_proj", "mlp.experts.down_proj")


def stock_model(run: Run, peer: Peer) -> PreTrainedModel:
    """The checkpoint as transformers loads it, in training mode."""
    model = AutoModelForCausalLM.from_pretrained(
        run.checkpoint,
        dtype=getattr(torch, peer.dtype),
        attn_implementation="eager",  # the one that gpt-oss has on a CPU
        experts_implementation=peer.experts,
    )
    return model.train()


def lora_config(peer: Peer) -> LoraConfig:
    """LoRA on attention, and on the experts where the peer trains them.

    Dropout is 0: ``target_parameters`` refuses any other.
    """
    return LoraConfig(
        r=RANK,
        lora_alpha=ALPHA,
        lora_dropout=0.0,
        target_modules=list(ATTENTION),
        target_parameters=list(_EXPERTS) if peer.targets == "experts" else None,
        task_type="CAUSAL_LM",
    )
