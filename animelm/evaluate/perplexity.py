"""Perplexity on packed articles: exp of the mean loss over their tokens."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast

import torch
from peft import PeftModel

from animelm.data.batches.batch import PackedBatch
from animelm.evaluate.generate import CausalModel
from animelm.model.architecture import CausalLM
from animelm.model.attention.documents import packed_hidden_states
from animelm.model.loss import chunked_cross_entropy


@dataclass(frozen=True)
class Perplexity:
    """A perplexity and what it was measured on.

    Attributes:
        value: exp of the mean negative log-likelihood of a token in nats; infinite if it overflows.
        tokens: number of predicted tokens.
    """

    value: float
    tokens: int


@torch.inference_mode()
def perplexity(
    model: CausalModel,
    batches: Iterable[PackedBatch],
    progress: Callable[[int], object] | None = None,
) -> Perplexity | None:
    """Measures ``model`` on packed blocks of articles, which do not attend to each other.

    Args:
        model: a model from ``load_base``; with adapters, the active one is used.
        batches: blocks [B, S]; all targets have the same weight, whichever their article.
        progress: called with 1 after each batch.

    Returns:
        The perplexity; None if the batches hold no target.
    """
    inner = model.get_base_model() if isinstance(model, PeftModel) else model
    causal = cast(CausalLM, inner)
    was_training = model.training
    model.eval()
    loss, tokens = 0.0, 0
    try:
        for batch in batches:
            batch = batch.to(model.device)
            hidden = packed_hidden_states(model, batch.input_ids, batch.position_ids)  # [B, S, C]
            head = causal.lm_head.weight  # [V, C]
            loss += float(chunked_cross_entropy(hidden, head, batch.targets))
            tokens += batch.supervised_tokens
            if progress is not None:
                progress(1)
    finally:
        model.train(was_training)
    return Perplexity(_exp(loss / tokens), tokens) if tokens else None


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
