"""Causal attention of packed documents with sinks, by blocks of query rows.

A block's scores reach over the keys that it may see, and no further. They are few enough to stay in
a processor's cache, and are computed again for the backward pass instead of kept, since those of a
whole document of 2,048 tokens would take half a GiB in a layer of gpt-oss-20B.

Legend: B blocks of S tokens, H query heads, J key heads, each for H/J query heads, D head
dimension, R query rows and N keys of a row block, both filled up to a multiple of ``_MULTIPLE``.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

ROWS = 128  # query rows of a block, at most
# oneDNN compiles kernels for every new shape, and keeps them: with round numbers they come again.
_MULTIPLE = 32


class DocumentPlace(NamedTuple):
    """Tokens ``begin`` to ``end`` of block ``block``."""

    block: int
    begin: int
    end: int


class _RowBlock(NamedTuple):
    """Query rows of one document, and the keys from ``keys.start`` on that they are scored with.

    One key at least, the last, is not visible to any row: its column is the sink's.
    """

    block: int
    rows: slice
    keys: slice

    @property
    def filled_rows(self) -> int:
        return filled(self.rows.stop - self.rows.start)


def filled(count: int) -> int:
    """Rows, or keys, that ``count`` are filled up to."""
    return -(-count // _MULTIPLE) * _MULTIPLE


def _row_blocks(documents: Sequence[DocumentPlace], window: int | None) -> Iterator[_RowBlock]:
    for document in documents:
        for begin in range(document.begin, document.end, ROWS):
            end = min(begin + ROWS, document.end)
            first = document.begin if window is None else max(document.begin, begin - window + 1)
            yield _RowBlock(
                document.block, slice(begin, end), slice(first, first + filled(end - first + 1))
            )


class _RowAttention(torch.autograd.Function):
    """Keeps query, key, value and sinks."""

    @staticmethod
    def forward(ctx, query, key, value, sinks, scale, window, documents):
        batch, heads, length, dimension = query.shape
        out = query.new_empty(batch, length, heads, dimension)
        scored = _Scored(query, key, value, sinks, window)
        for block in _row_blocks(documents, window):
            shares = scored.shares(block, scored.rows_of(query, block).mul_(scale))
            shares[..., -1] = 0  # the sink has no value
            rows = shares @ scored.value[block.block, :, block.keys]
            out[block.block, block.rows] = scored.each_head(rows, block).transpose(0, 1)
        ctx.save_for_backward(query, key, value, sinks)
        ctx.scale, ctx.window, ctx.documents = scale, window, documents
        return out

    @staticmethod
    def backward(ctx, grad_out):
        query, key, value, sinks = ctx.saved_tensors
        scored = _Scored(query, key, value, sinks, ctx.window)
        grad_query = torch.empty_like(query)
        grad_key, grad_value = torch.zeros_like(scored.key), torch.zeros_like(scored.value)
        grad_sinks = torch.zeros(len(sinks), dtype=torch.float32, device=sinks.device)
        grad_out = grad_out.transpose(1, 2)
        for block in _row_blocks(ctx.documents, ctx.window):
            place = (block.block, slice(None), block.keys)
            rows = scored.rows_of(query, block).mul_(ctx.scale)
            grad_rows = scored.rows_of(grad_out, block)
            shares = scored.shares(block, rows)
            grad_shares = grad_rows @ scored.value[place].transpose(1, 2)
            grad_shares[..., -1] = 0
            grad_scores = torch.ops.aten._softmax_backward_data(
                grad_shares, shares, -1, shares.dtype
            )
            del grad_shares
            grad_sinks += grad_scores[..., -1].float().view(len(sinks), -1).sum(1)
            grad_scores[..., -1] = shares[..., -1] = 0
            grad_query[block.block, :, block.rows] = scored.each_head(
                (grad_scores @ scored.key[place]).mul_(ctx.scale), block
            )
            grad_key[place].baddbmm_(grad_scores.transpose(1, 2), rows)
            grad_value[place].baddbmm_(shares.transpose(1, 2), grad_rows)
        length = query.shape[2]
        return (
            grad_query,
            grad_key[:, :, :length],
            grad_value[:, :, :length],
            grad_sinks.to(sinks.dtype) if ctx.needs_input_grad[3] else None,
            *(None,) * 3,
        )


class _Scored:
    """What row blocks are scored with. The query heads of one key head are rows of one product.

    Attributes:
        key, value: [B, J, S + ``_MULTIPLE``, D], so that the last block's keys can be filled up.
    """

    def __init__(
        self, query: Tensor, key: Tensor, value: Tensor, sinks: Tensor, window: int | None
    ) -> None:
        self.key, self.value = (F.pad(states, (0, 0, 0, _MULTIPLE)) for states in (key, value))
        self.sinks = sinks.to(query.dtype).view(-1, 1)
        self.window = window

    def rows_of(self, states: Tensor, block: _RowBlock) -> Tensor:
        """The block's rows of ``states`` [B, H, S, D], then zeros, copied: [J, H/J·R, D]."""
        rows = states[block.block, :, block.rows]
        rows = F.pad(rows, (0, 0, 0, block.filled_rows - rows.shape[1]))
        return rows.reshape(self.key.shape[1], -1, rows.shape[-1])

    def each_head(self, rows: Tensor, block: _RowBlock) -> Tensor:
        """Undoes ``rows_of``: [J, H/J·R, D] -> [H, rows, D]."""
        by_head = rows.view(len(self.sinks), block.filled_rows, -1)
        return by_head[:, : block.rows.stop - block.rows.start]

    def shares(self, block: _RowBlock, rows: Tensor) -> Tensor:
        """Softmax over the keys that each row may see, and the sink: [J, H/J·R, N]."""
        scores = rows @ self.key[block.block, :, block.keys].transpose(1, 2)
        by_head = scores.view(len(self.sinks), block.filled_rows, -1)
        offset = block.rows.start - block.keys.start
        by_head += _mask(*by_head.shape[1:], offset, self.window, scores.dtype, scores.device)
        by_head[..., -1] = self.sinks
        return torch.softmax(scores, -1)


@lru_cache(maxsize=64)
def _mask(
    rows: int, keys: int, offset: int, window: int | None, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """[R, N], the lowest number where row i, at key ``offset`` + i, does not see key j."""
    steps = torch.arange(max(rows, keys), device=device)
    distance = steps[:rows, None] + offset - steps[:keys]
    hidden = (distance < 0) | (distance >= (window or offset + rows))
    mask = torch.zeros(rows, keys, dtype=dtype, device=device)
    return mask.masked_fill_(hidden, torch.finfo(dtype).min)


def row_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    sinks: Tensor,
    scale: float,
    window: int | None,
    documents: Sequence[DocumentPlace],
) -> Tensor:
    """Causal attention inside documents, with sinks.

    Args:
        query: [B, H, S, D].
        key, value: [B, J, S, D].
        sinks: [H], one logit per head that takes probability and gives no value.
        scale: factor on the scores.
        window: a token sees itself and the ``window - 1`` tokens before it; None: every earlier
            token.
        documents: every token's, once.

    Returns:
        [B, S, H, D].
    """
    return _RowAttention.apply(query, key, value, sinks, scale, window, documents)
