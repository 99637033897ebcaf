"""The matrix products that a training step needs, run alone.

Counted are, forward and backward: the frozen products and LoRA's of every attention projection, of
a dense model's gate, up and down, and of every expert that got tokens, with as many rows as it got;
the router; the head over the supervised positions. The products inside attention (scores and
values), whose kernel does other work too, are left out. Nothing is counted that a careful step
would not compute: no gradient of a frozen weight, none of the embeddings, which the first layer's
query, key and value would need, and nothing twice, as activation checkpointing does. Weights of one
shape share their memory.

Legend: N rows, I input width, O output width, R rank, T tokens, K experts chosen per token.
"""

from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

Product = tuple[Tensor, Tensor, Tensor]  # left, right, where the result is written
_HEAD_ROWS = 1024


class _Buffers:
    """Operands by shape; those of the same name and width share memory."""

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._held: dict[tuple[str, int], Tensor] = {}

    def take(self, name: str, rows: range, width: int) -> Tensor:
        """Rows of a matrix [*, width]; grows it where it is too short."""
        held = self._held.get((name, width))
        if held is None or len(held) < rows.stop:
            held = torch.randn(rows.stop, width, dtype=self._dtype)
            self._held[name, width] = held
        return held[rows.start : rows.stop]


class BareProducts:
    """Records how a step's tokens are routed, and times that step's products.

    Args:
        model: the adapted model; its routers (or a dense model's MLPs) are hooked.
        now: the clock, in seconds.

    Attributes:
        counts: tokens of each expert, layer by layer; in a dense model all tokens, as of one.
    """

    def __init__(self, model: Any, now: Callable[[], float]) -> None:
        self._now = now
        causal = model.get_base_model() if isinstance(model, PeftModel) else model
        self._config = cast(PreTrainedModel, causal).config
        self._rank = _rank(model)
        self._vocabulary, self._dtype = causal.config.vocab_size, causal.lm_head.weight.dtype
        self._buffers = _Buffers(self._dtype)
        self._weights: dict[tuple[int, int], Tensor] = {}
        self.counts: list[list[int]] = []
        for layer in causal.model.layers:
            if isinstance(causal, LlamaForCausalLM):
                layer.mlp.register_forward_hook(self._record_dense)
            else:
                layer.mlp.router.register_forward_hook(self._record)

    def _record(self, module: nn.Module, inputs: Any, output: Any) -> None:
        indices = output[2]
        experts = self._config.num_local_experts
        self.counts.append(torch.bincount(indices.flatten(), minlength=experts).tolist())

    def _record_dense(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if len(self.counts) < self._config.num_hidden_layers:  # not again in a recomputation
            self.counts.append([output.numel() // output.shape[-1]])

    def run(self, supervised: int) -> float:
        """Seconds of the recorded step's matrix products alone; clears the record.

        Each runs twice, and the second time counts: oneDNN compiles a kernel for each new shape,
        which is not part of the product, and keeps the last 1,024.
        """
        products = list(self._step(supervised))
        self.counts.clear()
        seconds = 0.0
        for left, right, out in products:
            torch.mm(left, right, out=out)
            begin = self._now()
            torch.mm(left, right, out=out)
            seconds += self._now() - begin
        return seconds

    def _step(self, supervised: int) -> Iterator[Product]:
        config = self._config
        tokens = sum(self.counts[0]) // getattr(config, "num_experts_per_tok", 1)
        every = range(tokens)
        hidden, inner = config.hidden_size, config.intermediate_size
        queries = config.num_attention_heads * config.head_dim
        keys = config.num_key_value_heads * config.head_dim
        dense = isinstance(config, LlamaConfig)
        for layer, counts in enumerate(self.counts):
            for width in (queries, keys, keys):
                yield from self._adapted(every, hidden, width, layer > 0)
            yield from self._adapted(every, queries, hidden, True)
            if not dense:
                yield from self._frozen(every, hidden, len(counts))
            first = 0
            for count in counts:
                rows = range(first, first + count)
                first += count
                for width in (inner, inner) if dense else (2 * inner,):
                    yield from self._adapted(rows, hidden, width, True) if count else ()
                yield from self._adapted(rows, inner, hidden, True) if count else ()
        for begin in range(0, supervised, _HEAD_ROWS):
            rows = range(min(_HEAD_ROWS, supervised - begin))
            yield from self._frozen(rows, hidden, self._vocabulary)

    def _weight(self, out_features: int, in_features: int) -> Tensor:
        key = (out_features, in_features)
        if key not in self._weights:
            self._weights[key] = torch.randn(key, dtype=self._dtype)
        return self._weights[key]

    def _frozen(self, rows: range, in_features: int, out_features: int) -> Iterator[Product]:
        take, weight = self._buffers.take, self._weight(out_features, in_features)
        yield take("x", rows, in_features), weight.T, take("y", rows, out_features)
        yield take("grad_y", rows, out_features), weight, take("grad_x", rows, in_features)

    def _adapted(
        self, rows: range, in_features: int, out_features: int, input_grad: bool
    ) -> Iterator[Product]:
        take = self._buffers.take
        lora_a = self._weight(self._rank, in_features)
        lora_b = self._weight(out_features, self._rank)
        x, grad_y = take("x", rows, in_features), take("grad_y", rows, out_features)
        low, grad_low = take("low", rows, self._rank), take("grad_low", rows, self._rank)
        frozen = list(self._frozen(rows, in_features, out_features))
        yield from frozen if input_grad else frozen[:1]
        yield x, lora_a.T, low
        yield low, lora_b.T, take("y", rows, out_features)
        yield grad_y, lora_b, grad_low
        yield grad_y.T, low, take("grad_b", range(out_features), self._rank)
        yield grad_low.T, x, take("grad_a", range(self._rank), in_features)
        if input_grad:
            yield grad_low, lora_a, take("grad_x", rows, in_features)


def _rank(model: Any) -> int:
    return model.peft_config["default"].r if isinstance(model, PeftModel) else 0
