"""Greedy generation for many prompts, without computing what no answer needs.

The beginning that all prompts share is computed once; prompts of similar length are read together;
only the last position has logits; rows that have ended leave the batch.

Legend: N prompts, P tokens of the shared beginning, B rows that still generate, Q tokens of each.
"""

import os
from collections.abc import Collection, Iterator, Sequence

import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel

from animelm.evaluate.decoding.cache import PADDING, GenerationCache
from animelm.evaluate.decoding.kept_weights import dequantized_once
from animelm.evaluate.decoding.last_position import last_position_alone

CausalModel = PreTrainedModel | PeftModel

# Rows leave when so many have ended: each time, the whole cache is copied.
_LEAVING_SHARE = 0.2
# Prompts that are read together: at most so many tokens, and the shortest no shorter than a share
# of the longest, since the difference is padding.
_MOST_TOKENS = 4096
_SHORTEST = 0.7


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
    with dequantized_once(model), last_position_alone(model):
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
        cache: what was read.
        rows: the prompt's number of each row.
        next_tokens: [B] the tokens generated last.
        next_positions: [B] their positions.
    """

    def __init__(
        self, cache: GenerationCache, rows: list[int], next_tokens: Tensor, next_positions: Tensor
    ) -> None:
        self._cache, self._positions = cache, next_positions
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
        kept = torch.tensor(live, device=self.next_tokens.device)
        self._cache.keep(kept)
        self.next_tokens, self._positions = self.next_tokens[kept], self._positions[kept]
        self.rows = [self.rows[place] for place in live]
        self.generates = [True] * len(live)

    def step(self, model: CausalModel) -> None:
        """Generates one token of each row."""
        new = self._positions[:, None]
        self.next_tokens = _last_token(model, self.next_tokens[:, None], new, self._cache)
        self._positions = self._positions + 1


def _last_token(
    model: CausalModel, tokens: Tensor, positions: Tensor, cache: GenerationCache
) -> Tensor:
    """Reads ``tokens`` [B, Q] at ``positions`` [B, Q]; returns each row's likeliest next token."""
    inputs = cache.inputs(model.config, positions, model.dtype)
    return model(input_ids=tokens, **inputs).logits[:, -1].argmax(-1)  # of [B, 1, V]


def _read(model: CausalModel, prompts: Sequence[Sequence[int]]) -> _Batch:
    """Reads all prompts, those of similar length together."""
    shared = _shared_beginning(prompts)
    order = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
    beginning = _beginning(model, prompts[0][:shared])
    caches, tokens = [], []
    for group in _groups([len(prompts[number]) - shared for number in order]):
        rests = [prompts[number][shared:] for number in order[group]]
        caches.append(beginning.repeated(len(rests)))
        ids, positions = _padded(rests, shared, model.device)
        tokens.append(_last_token(model, ids, positions, caches[-1]))
    lengths = torch.tensor([len(prompts[number]) for number in order], device=model.device)
    return _Batch(GenerationCache.joined(caches), order, torch.cat(tokens), lengths)


def _shared_beginning(prompts: Sequence[Sequence[int]]) -> int:
    """P: at least one token of each prompt is left, whose logits begin its continuation."""
    common = os.path.commonprefix([list(prompt) for prompt in prompts])  # noqa: RUF071
    return min(len(common), min(map(len, prompts)) - 1)


def _groups(lengths: Sequence[int]) -> Iterator[slice]:
    """Slices of ascending ``lengths`` that are read together, padded to their longest."""
    begin = 0
    for number, length in enumerate(lengths):
        rows = number - begin
        if rows and (length * (rows + 1) > _MOST_TOKENS or lengths[begin] < _SHORTEST * length):
            yield slice(begin, number)
            begin = number
    yield slice(begin, len(lengths))


def _padded(
    rows: Sequence[Sequence[int]], first: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Tokens and positions from ``first`` on, [B, Q] each, padded at the left."""
    longest = max(map(len, rows))
    ids = [[0] * (longest - len(row)) + list(row) for row in rows]
    positions = [
        [PADDING] * (longest - len(row)) + list(range(first, first + len(row))) for row in rows
    ]
    return torch.tensor(ids, device=device), torch.tensor(positions, device=device)


def _beginning(model: CausalModel, tokens: Sequence[int]) -> GenerationCache:
    """What all prompts begin with, as a cache of one row; empty without a shared beginning."""
    cache = GenerationCache(torch.empty(1, 0, dtype=torch.int64, device=model.device))
    if tokens:
        ids, positions = _padded([tokens], 0, model.device)
        _last_token(model, ids, positions, cache)
    return cache
