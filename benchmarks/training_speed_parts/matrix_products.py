"""The matrix products that a training step cannot do without, run alone.

Counted are, forward and backward: the frozen products and LoRA's of every attention projection and
of every expert that got tokens, with as many rows as it got; the router; the head over the
supervised positions. The products inside attention (scores and values), whose kernel does other
work too, are left out. Nothing is counted that a careful step would not compute: no gradient of a
frozen weight, and none of the embeddings, which the first layer's query, key and value would need.

Legend: N rows, I input width, O output width, R rank, T tokens, K experts chosen per token.
"""

from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import GptOssForCausalLM

from training_speed_parts.setting import RANK

Product = tuple[Tensor, Tensor, Tensor]  # left, right, where the result is written
_HEAD_ROWS = 1024


class _Buffers:
    """Operands of the wanted shapes; those of one name and width share memory, row by row."""

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._held: dict[tuple[str, int], Tensor] = {}

    def take(self, name: str, rows: range, width: int) -> Tensor:
        """Rows of a matrix [*, width]; grows it where it is too short."""
        held = self._held.get((name, width))
        if held is None or len(held) < rows.stop:
            held = torch.randn(rows.stop, width).to(self._dtype)
            self._held[name, width] = held
        return held[rows.start : rows.stop]


class BareProducts:
    """Records how the router deals a step's tokens out, and times that step's products.

    Args:
        model: the adapted model; its router modules are hooked.
        now: the clock, in seconds.
    """

    def __init__(self, model: Any, now: Callable[[], float]) -> None:
        self._now = now
        causal = cast(
            GptOssForCausalLM, model.get_base_model() if isinstance(model, PeftModel) else model
        )
        self._config = causal.config
        self._head = causal.lm_head.weight
        self._buffers = _Buffers(self._head.dtype)
        self._counts: list[list[int]] = []
        self._tokens = 0
        self._weights: dict[tuple[str, int, int], Tensor] = {}
        for layer in causal.model.layers:
            layer.mlp.router.register_forward_hook(self._record)

    def _record(self, module: nn.Module, inputs: Any, output: Any) -> None:
        indices = output[2]
        experts = self._config.num_local_experts
        self._tokens = indices.shape[0]
        self._counts.append(torch.bincount(indices.flatten(), minlength=experts).tolist())

    def run(self, supervised: int) -> float:
        """Seconds of the recorded step's bare products; forgets the record.

        Each runs twice, and the second time counts: what the library prepares for a new shape
        (oneDNN compiles a kernel, and forgets it after 1,024 others) is no part of the product.
        """
        products = list(self._step(supervised))
        self._counts.clear()
        seconds = 0.0
        for left, right, out in products:
            torch.mm(left, right, out=out)
            begin = self._now()
            torch.mm(left, right, out=out)
            seconds += self._now() - begin
        return seconds

    def _step(self, supervised: int) -> Iterator[Product]:
        config, every = self._config, range(self._tokens)
        hidden, inner = config.hidden_size, config.intermediate_size
        queries = config.num_attention_heads * config.head_dim
        keys = config.num_key_value_heads * config.head_dim
        for layer, counts in enumerate(self._counts):
            for name, width in (("q", queries), ("k", keys), ("v", keys)):
                yield from self._adapted(f"{layer}{name}", every, hidden, width, layer > 0)
            yield from self._adapted(f"{layer}o", every, queries, hidden, True)
            yield from self._frozen(f"{layer}router", every, hidden, len(counts))
            first = 0
            for expert, count in enumerate(counts):
                rows = range(first, first + count)
                first += count
                if count:
                    yield from self._adapted(f"{layer}.{expert}up", rows, hidden, 2 * inner, True)
                    yield from self._adapted(f"{layer}.{expert}down", rows, inner, hidden, True)
        for begin in range(0, supervised, _HEAD_ROWS):
            rows = range(min(_HEAD_ROWS, supervised - begin))
            yield from self._frozen("head", rows, hidden, self._head.shape[0])

    def _weight(self, name: str, out_features: int, in_features: int) -> Tensor:
        if name == "head":
            return self._head.detach()
        key = (name, out_features, in_features)
        if key not in self._weights:
            self._weights[key] = torch.randn(out_features, in_features).to(self._head.dtype)
        return self._weights[key]

    def _frozen(
        self, name: str, rows: range, in_features: int, out_features: int
    ) -> Iterator[Product]:
        take, weight = self._buffers.take, self._weight(name, out_features, in_features)
        yield take("x", rows, in_features), weight.T, take("y", rows, out_features)
        yield take("grad_y", rows, out_features), weight, take("grad_x", rows, in_features)

    def _adapted(
        self, name: str, rows: range, in_features: int, out_features: int, input_grad: bool
    ) -> Iterator[Product]:
        take = self._buffers.take
        down = self._weight(f"{name}A", RANK, in_features)
        up = self._weight(f"{name}B", out_features, RANK)
        x, grad_y = take("x", rows, in_features), take("grad_y", rows, out_features)
        low, grad_low = take("low", rows, RANK), take("grad_low", rows, RANK)
        frozen = list(self._frozen(name, rows, in_features, out_features))
        yield from frozen if input_grad else frozen[:1]
        yield x, down.T, low
        yield low, up.T, take("y", rows, out_features)
        yield grad_y, up, grad_low
        yield grad_y.T, low, take("grad_up", range(out_features), RANK)
        yield grad_low.T, x, take("grad_down", range(RANK), in_features)
        if input_grad:
            yield grad_low, down, take("grad_x", rows, in_features)
