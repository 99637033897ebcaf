"""Keys and values of what was read, with room for what will be generated.

transformers' cache is copied as a whole for each new token; here a token is written into its slot.
Slots may hold padding anywhere, because each slot knows the position of its token.

Legend: B rows, J key and value heads, L slots, D head dimension, Q new tokens.
"""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import GptOssConfig, PreTrainedConfig
from transformers.cache_utils import Cache, DynamicLayer

_ROOM = 32  # slots that are added at once
PADDING = -1  # position of a slot without a token


class GrowingLayer(DynamicLayer):
    """Keys and values of one layer, [B, J, L, D] each, in buffers that are longer than L."""

    keys: Tensor
    values: Tensor

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Empty buffers of the shape of the first keys and values."""
        self.dtype, self.device = key_states.dtype, key_states.device
        self._key_buffer, self._value_buffer = key_states[:, :, :0], value_states[:, :, :0]
        self._show(0)
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Adds [B, J, Q, D]; returns all keys and values."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        begin = self.keys.shape[2]
        end = begin + key_states.shape[2]
        self._key_buffer = _with_room(self._key_buffer, end)
        self._value_buffer = _with_room(self._value_buffer, end)
        self._key_buffer[:, :, begin:end] = key_states
        self._value_buffer[:, :, begin:end] = value_states
        self._show(end)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keeps these rows."""
        length = self.keys.shape[2]
        self._key_buffer, self._value_buffer = (
            self._key_buffer[indices],
            self._value_buffer[indices],
        )
        self._show(length)

    def _show(self, length: int) -> None:
        self.keys = self._key_buffer[:, :, :length]
        self.values = self._value_buffer[:, :, :length]


def _with_room(buffer: Tensor, length: int) -> Tensor:
    """The buffer, or a longer copy if it has fewer than ``length`` slots."""
    missing = length - buffer.shape[2]
    return buffer if missing <= 0 else F.pad(buffer, (0, 0, 0, missing + _ROOM))


class GenerationCache(Cache):
    """The cache of rows that generate, and the position of the token in each slot.

    Attributes:
        positions: [B, L] int64, ``PADDING`` in slots without a token.
    """

    def __init__(self, positions: Tensor) -> None:
        super().__init__(layer_class_to_replicate=GrowingLayer)
        self.positions = positions

    def inputs(self, config: PreTrainedConfig, new: Tensor, dtype: torch.dtype) -> dict[str, Any]:
        """What the model takes beside the tokens at the positions ``new`` [B, Q], now slots.

        Args:
            config: The model's configuration.
            new: Positions of the new tokens; ``PADDING`` for none.
            dtype: The type of the model's scores.
        """
        self.positions = torch.cat([self.positions, new], 1)
        window = getattr(config, "sliding_window", None)
        full = self._mask(new, None, dtype)
        mask: Any = full
        if isinstance(config, GptOssConfig):
            # No position is further back than there are slots.
            is_short = window is None or self.positions.shape[1] <= window
            sliding = full if is_short else self._mask(new, window, dtype)
            mask = {"full_attention": full, "sliding_attention": sliding}
        return {
            "attention_mask": mask,
            "position_ids": new.clamp(min=0),
            "past_key_values": self,
            "use_cache": True,
            "logits_to_keep": 1,
        }

    def _mask(self, new: Tensor, window: int | None, dtype: torch.dtype) -> Tensor:
        """[B, 1, Q, L], added to scores: the lowest value where a slot is not attended to."""
        held, new = self.positions[:, None, None, :], new[:, None, :, None]
        hidden = (held == PADDING) | (held > new)
        if window is not None:
            hidden |= held <= new - window
        zeros = torch.zeros(hidden.shape, dtype=dtype, device=hidden.device)
        return zeros.masked_fill_(hidden, torch.finfo(dtype).min)

    def keep(self, rows: Tensor) -> None:
        """Lets all rows leave but ``rows`` [b] int64."""
        self.batch_select_indices(rows)
        self.positions = self.positions[rows]

    @staticmethod
    def joined(caches: "list[GenerationCache]") -> "GenerationCache":
        """The rows of all ``caches``, one cache after the other; shorter ones are padded."""
        longest = max(cache.positions.shape[1] for cache in caches)
        missing = [longest - cache.positions.shape[1] for cache in caches]
        positions = [
            F.pad(cache.positions, (0, count), value=PADDING)
            for cache, count in zip(caches, missing, strict=True)
        ]
        whole = GenerationCache(torch.cat(positions))
        for number, parts in enumerate(zip(*(cache._states() for cache in caches), strict=True)):
            keys, values = (
                torch.cat(
                    [
                        F.pad(states, (0, 0, 0, count))
                        for states, count in zip(side, missing, strict=True)
                    ]
                )
                for side in zip(*parts, strict=True)
            )
            whole.update(keys, values, number)
        return whole

    def repeated(self, rows: int) -> "GenerationCache":
        """A cache of ``rows`` rows that all have read what this one's only row has read."""
        copy = GenerationCache(self.positions.expand(rows, -1))
        for number, (keys, values) in enumerate(self._states()):
            copy.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), number)
        return copy

    def _states(self) -> list[tuple[Tensor, Tensor]]:
        """Keys and values of each layer."""
        layers = cast(list[GrowingLayer], self.layers)
        return [(layer.keys, layer.values) for layer in layers]
