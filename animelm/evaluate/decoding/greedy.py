"""Greedy generation for many prompts, without computing what no answer needs.

The beginning that all prompts share is computed once; prompts of equal length are read together,
so that none is padded; only the last position has logits; rows that have ended leave the batch.

Legend: N prompts, P tokens of the shared beginning, L longest prompt, B rows that still generate.
"""

import os
from collections.abc import Collection, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from peft import PeftModel
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from animelm.evaluate.decoding.kept_weights import dequantized_once

CausalModel = PreTrainedModel | PeftModel

# Rows leave when so many have ended: each time, the whole cache is copied.
_LEAVING_SHARE = 0.125
_LONGEST_GROUP = 64  # prompts of equal length that are read at once


@torch.no_grad()  # not inference_mode: tensors that FSDP2 gathers in it cannot be trained
def generate_greedily(
    model: CausalModel,
    prompts: Sequence[Sequence[int]],
    stop: Collection[int],
    max_new_tokens: int,
) -> list[list[int]]:
    """The likeliest continuation of each prompt, token by token.

    Args:
        model: the model, on its device and in evaluation mode.
        prompts: [N] token ids, none empty.
        stop: tokens that end a continuation; they are its last token.
        max_new_tokens: longest continuation.
    """
    with dequantized_once(model):
        outputs = _generate(model, prompts, stop, max_new_tokens)
    return [_until_stop(tokens, stop) for tokens in outputs]


def _generate(
    model: CausalModel,
    prompts: Sequence[Sequence[int]],
    stop: Collection[int],
    max_new_tokens: int,
) -> list[list[int]]:
    """The continuations; a row that stayed beyond its end has more tokens than it should."""
    outputs: list[list[int]] = [[] for _ in prompts]
    batch = _read(model, prompts)
    while True:
        tokens = batch.next_tokens.tolist()
        for row, token in zip(batch.rows, tokens, strict=True):
            outputs[row].append(token)
        live = [
            place
            for place, (row, token) in enumerate(zip(batch.rows, tokens, strict=True))
            if batch.generates[place] and token not in stop and len(outputs[row]) < max_new_tokens
        ]
        if not live:
            break
        batch.keep(live)
        batch.step(model)
    return outputs


def _until_stop(tokens: list[int], stop: Collection[int]) -> list[int]:
    """The tokens up to the first that ends a continuation."""
    end = next((place for place, token in enumerate(tokens) if token in stop), len(tokens) - 1)
    return tokens[: end + 1]


class _Batch:
    """The rows that generate.

    Args:
        cache: keys and values of what was read, [B, …].
        mask: [B, L] int64, 0 on the padding at the left.
        rows: the prompt's number of each row.
        next_tokens: [B] the tokens generated last.
    """

    def __init__(
        self, cache: DynamicCache, mask: Tensor, rows: list[int], next_tokens: Tensor
    ) -> None:
        self._cache, self._mask = cache, mask
        self.rows, self.next_tokens = rows, next_tokens
        self.generates = [True] * len(rows)

    def keep(self, live: list[int]) -> None:
        """Lets the other rows leave, if they are enough."""
        ended = len(self.rows) - len(live)
        self.generates = [False] * len(self.rows)
        for place in live:
            self.generates[place] = True
        if ended <= _LEAVING_SHARE * len(self.rows):
            return
        kept = torch.tensor(live, device=self._mask.device)
        self._cache.batch_select_indices(kept)
        self._mask, self.next_tokens = self._mask[kept], self.next_tokens[kept]
        self.rows = [self.rows[place] for place in live]
        self.generates = [True] * len(live)

    def step(self, model: CausalModel) -> None:
        """Generates one token of each row."""
        self._mask = F.pad(self._mask, (0, 1), value=1)
        positions = self._mask.sum(1, keepdim=True) - 1
        self.next_tokens = _last_token(
            model,
            input_ids=self.next_tokens[:, None],
            attention_mask=self._mask,
            position_ids=positions,
            past_key_values=self._cache,
        )


def _last_token(model: CausalModel, **inputs: Any) -> Tensor:
    """The likeliest token after each row."""
    logits = model(**inputs, use_cache=True, logits_to_keep=1).logits  # [B, 1, V]
    return logits[:, -1].argmax(-1)


def _read(model: CausalModel, prompts: Sequence[Sequence[int]]) -> _Batch:
    """Reads all prompts; the caches of all lengths become one, padded at the left."""
    shared = _shared_beginning(prompts)
    order = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
    longest = len(prompts[order[-1]])
    groups = _groups(prompts, order)
    beginning = _beginning(model, prompts[0][:shared])
    keys_and_values: list[list[tuple[Tensor, Tensor]]] = []
    tokens, masks = [], []
    for group in groups:
        cache = _repeated(model, beginning, len(group))
        ids = torch.tensor([prompts[number][shared:] for number in group], device=model.device)
        length = shared + ids.shape[1]
        positions = torch.arange(shared, length, device=model.device).expand(len(group), -1)
        mask = torch.ones(len(group), length, dtype=torch.int64, device=model.device)
        tokens.append(
            _last_token(
                model,
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
            )
        )
        masks.append(F.pad(mask, (longest - length, 0)))
        keys_and_values.append(_tensors(cache))
    return _Batch(
        _joined(model, keys_and_values, masks), torch.cat(masks), order, torch.cat(tokens)
    )


def _shared_beginning(prompts: Sequence[Sequence[int]]) -> int:
    """P: at least one token of each prompt is left, whose logits begin its continuation."""
    common = os.path.commonprefix([list(prompt) for prompt in prompts])  # noqa: RUF071
    return min(len(common), min(map(len, prompts)) - 1)


def _groups(prompts: Sequence[Sequence[int]], order: Sequence[int]) -> list[list[int]]:
    groups: list[list[int]] = []
    for number in order:
        same = groups and len(prompts[groups[-1][0]]) == len(prompts[number])
        if not same or len(groups[-1]) == _LONGEST_GROUP:
            groups.append([])
        groups[-1].append(number)
    return groups


def _beginning(model: CausalModel, tokens: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
    """Keys and values of each layer for the shared beginning, [1, …, P, …]; empty without one."""
    if not tokens:
        return []
    cache = DynamicCache(config=model.config)
    ids = torch.tensor([list(tokens)], device=model.device)
    model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return _tensors(cache)


def _tensors(cache: DynamicCache) -> list[tuple[Tensor, Tensor]]:
    """Keys and values of each layer."""
    layers = cast(list[DynamicLayer], cache.layers)
    return [(cast(Tensor, layer.keys), cast(Tensor, layer.values)) for layer in layers]


def _repeated(
    model: CausalModel, beginning: list[tuple[Tensor, Tensor]], rows: int
) -> DynamicCache:
    cache = DynamicCache(config=model.config)
    for layer, (keys, values) in enumerate(beginning):
        cache.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), layer)
    return cache


def _joined(
    model: CausalModel,
    groups: Sequence[Sequence[tuple[Tensor, Tensor]]],
    masks: Sequence[Tensor],
) -> DynamicCache:
    """One cache of all groups. A sliding layer keeps no more than its window, here as well."""
    longest = masks[0].shape[1]
    joined = DynamicCache(config=model.config)
    for layer in range(len(groups[0])):
        parts = []
        for side in (0, 1):
            tensors = [group[layer][side] for group in groups]
            padded = [F.pad(each, (0, 0, longest - each.shape[2], 0)) for each in tensors]
            parts.append(torch.cat(padded))
        joined.update(parts[0], parts[1], layer)
    return joined
