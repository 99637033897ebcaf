"""Causal attention of packed documents with sinks, in tiles of query rows.

A tile is scored against the keys that its rows may see. Its scores are few enough to stay in a
processor's cache, and are recomputed in the backward pass: those of a whole document of 2,048
tokens would take half a GiB in a layer of gpt-oss-20B.

Legend: B blocks of S tokens, H query heads, J key heads, each for H/J query heads, D head
dimension, R query rows and N keys of a tile, both padded to a multiple of ``_MULTIPLE``.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

TILE_ROWS = 128  # the most query rows of a tile
# oneDNN compiles and keeps a kernel for every new shape: round numbers recur.
_MULTIPLE = 32


class DocumentSpan(NamedTuple):
    """Tokens ``begin`` to ``end`` of block ``block``."""

    block: int
    begin: int
    end: int


class _Tile(NamedTuple):
    """Query rows of one document, and the keys that they are scored against.

    The last key, at least, is not visible to any row: its column holds the sink.
    """

    block: int
    rows: slice
    keys: slice

    @property
    def padded_rows(self) -> int:
        return padded(self.rows.stop - self.rows.start)


def padded(count: int) -> int:
    """``count`` rows or keys, rounded up."""
    return -(-count // _MULTIPLE) * _MULTIPLE


def _tiles(documents: Sequence[DocumentSpan], window: int | None) -> Iterator[_Tile]:
    for document in documents:
        for begin in range(document.begin, document.end, TILE_ROWS):
            end = min(begin + TILE_ROWS, document.end)
            first = document.begin if window is None else max(document.begin, begin - window + 1)
            yield _Tile(
                document.block, slice(begin, end), slice(first, first + padded(end - first + 1))
            )


class _TiledAttention(torch.autograd.Function):
    """Keeps query, key, value and sinks for the backward pass."""

    @staticmethod
    def forward(ctx, query, key, value, sinks, scale, window, documents):
        batch, heads, length, dimension = query.shape
        out = query.new_empty(batch, length, heads, dimension)
        tiled = _TiledHeads(query, key, value, sinks, window)
        for tile in _tiles(documents, window):
            probabilities = tiled.probabilities(tile, tiled.rows_of(query, tile).mul_(scale))
            probabilities[..., -1] = 0  # the sink has no value
            rows = probabilities @ tiled.value[tile.block, :, tile.keys]
            out[tile.block, tile.rows] = tiled.each_head(rows, tile).transpose(0, 1)
        ctx.save_for_backward(query, key, value, sinks)
        ctx.scale, ctx.window, ctx.documents = scale, window, documents
        return out

    @staticmethod
    def backward(ctx, grad_out):
        query, key, value, sinks = ctx.saved_tensors
        tiled = _TiledHeads(query, key, value, sinks, ctx.window)
        grad_query = torch.empty_like(query)
        grad_key, grad_value = torch.zeros_like(tiled.key), torch.zeros_like(tiled.value)
        grad_sinks = torch.zeros(len(sinks), dtype=torch.float32, device=sinks.device)
        grad_out = grad_out.transpose(1, 2)
        for tile in _tiles(ctx.documents, ctx.window):
            place = (tile.block, slice(None), tile.keys)
            rows = tiled.rows_of(query, tile).mul_(ctx.scale)
            grad_rows = tiled.rows_of(grad_out, tile)
            probabilities = tiled.probabilities(tile, rows)
            grad_probabilities = grad_rows @ tiled.value[place].transpose(1, 2)
            grad_probabilities[..., -1] = 0
            grad_scores = torch.ops.aten._softmax_backward_data(
                grad_probabilities, probabilities, -1, probabilities.dtype
            )
            del grad_probabilities
            grad_sinks += grad_scores[..., -1].float().view(len(sinks), -1).sum(1)
            grad_scores[..., -1] = probabilities[..., -1] = 0
            grad_query[tile.block, :, tile.rows] = tiled.each_head(
                (grad_scores @ tiled.key[place]).mul_(ctx.scale), tile
            )
            grad_key[place].baddbmm_(grad_scores.transpose(1, 2), rows)
            grad_value[place].baddbmm_(probabilities.transpose(1, 2), grad_rows)
        length = query.shape[2]
        return (
            grad_query,
            grad_key[:, :, :length],
            grad_value[:, :, :length],
            grad_sinks.to(sinks.dtype) if ctx.needs_input_grad[3] else None,
            *(None,) * 3,
        )


class _TiledHeads:
    """Scores tiles against the keys. All query heads of a key head are rows of one product.

    Attributes:
        key, value: [B, J, S + ``_MULTIPLE``, D], padded for the last tile.
    """

    def __init__(
        self, query: Tensor, key: Tensor, value: Tensor, sinks: Tensor, window: int | None
    ) -> None:
        self.key, self.value = (F.pad(states, (0, 0, 0, _MULTIPLE)) for states in (key, value))
        self.sinks = sinks.to(query.dtype).view(-1, 1)
        self.window = window

    def rows_of(self, states: Tensor, tile: _Tile) -> Tensor:
        """A copy of the tile's rows of ``states`` [B, H, S, D], padded: [J, H/J·R, D]."""
        rows = states[tile.block, :, tile.rows]
        rows = F.pad(rows, (0, 0, 0, tile.padded_rows - rows.shape[1]))
        return rows.reshape(self.key.shape[1], -1, rows.shape[-1])

    def each_head(self, rows: Tensor, tile: _Tile) -> Tensor:
        """The inverse of ``rows_of``: [J, H/J·R, D] -> [H, rows, D]."""
        by_head = rows.view(len(self.sinks), tile.padded_rows, -1)
        return by_head[:, : tile.rows.stop - tile.rows.start]

    def probabilities(self, tile: _Tile, rows: Tensor) -> Tensor:
        """Softmax over the keys that each row may see, and the sink: [J, H/J·R, N]."""
        scores = rows @ self.key[tile.block, :, tile.keys].transpose(1, 2)
        by_head = scores.view(len(self.sinks), tile.padded_rows, -1)
        offset = tile.rows.start - tile.keys.start
        by_head += _mask(*by_head.shape[1:], offset, self.window, scores.dtype, scores.device)
        by_head[..., -1] = self.sinks
        return torch.softmax(scores, -1)


@lru_cache(maxsize=64)
def _mask(
    rows: int, keys: int, offset: int, window: int | None, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """[R, N]: the lowest number where row i, at key ``offset`` + i, must not see key j, else 0."""
    steps = torch.arange(max(rows, keys), device=device)
    distance = steps[:rows, None] + offset - steps[:keys]
    hidden = (distance < 0) | (distance >= (window or offset + rows))
    mask = torch.zeros(rows, keys, dtype=dtype, device=device)
    return mask.masked_fill_(hidden, torch.finfo(dtype).min)


def tiled_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    sinks: Tensor,
    scale: float,
    window: int | None,
    documents: Sequence[DocumentSpan],
) -> Tensor:
    """Causal attention inside documents, with sinks.

    Args:
        query: [B, H, S, D].
        key, value: [B, J, S, D].
        sinks: [H], one logit per head that takes probability and gives no value.
        scale: factor on the scores.
        window: a token sees itself and the ``window - 1`` tokens before it; None: every earlier
            token.
        documents: spans that cover every token once.

    Returns:
        [B, S, H, D].
    """
    return _TiledAttention.apply(query, key, value, sinks, scale, window, documents)
