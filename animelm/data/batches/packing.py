"""Packs documents of different lengths into blocks of one length.

The documents of a block do not attend to each other (arXiv 2402.13991). Finding the smallest number
of blocks is bin packing; best-fit decreasing comes within 11/9 of the optimum in the worst
case and within a fraction of a percent on texts.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from animelm.data.batches.batch import IGNORED, Documents, PackedBatch
from animelm.errors import UserError

# Documents up to half a block fill gaps well in any order. They are not sorted: sorted by length, a
# block would hold documents of one length, and so of one source and one wording.
_SHORT = 2


class Piece(NamedTuple):
    """Tokens ``start`` (included) to ``stop`` (excluded) of a document."""

    document: int
    start: int
    stop: int


Block = list[Piece]


def pack(lengths: Sequence[int] | NDArray[np.integer], block_size: int) -> list[Block]:
    """Packs documents into blocks by best-fit decreasing.

    A document longer than a block is first divided into pieces of a block and a rest. Every token
    is in exactly one piece. The result depends on the arguments alone.

    Args:
        lengths: number of tokens of each document; empty documents are left out.
        block_size: tokens per block.

    Returns:
        Blocks of pieces, whose ``document`` is an index into ``lengths``; no block holds more than
        ``block_size`` tokens.

    Raises:
        UserError: ``block_size`` is below 1.
    """
    if block_size < 1:
        raise UserError(f"block_size must be at least 1, not {block_size}")
    blocks: list[Block] = []
    rests: list[Piece] = []
    for document, length in enumerate(np.asarray(lengths).tolist()):
        *whole, last = _pieces(document, length, block_size)
        blocks.extend([piece] for piece in whole)
        if last.stop > last.start:
            rests.append(last)
    blocks.extend(_best_fit([], _placed_first(rests, block_size), block_size))
    return blocks


def fill(
    blocks: Sequence[Block],
    lengths: NDArray[np.int64],
    selected: NDArray[np.int64],
    block_size: int,
) -> list[Block]:
    """Puts documents into the room that blocks have left, by best fit.

    Args:
        blocks: blocks that are partly filled or empty; they are not changed.
        lengths: number of tokens of every document, int64 ``[N]``.
        selected: indices of the documents to place, in the order in which they are placed.
        block_size: tokens per block.

    Returns:
        As many blocks. Pieces that have found no room are left out.
    """
    pieces = [
        piece
        for document in selected.tolist()
        for piece in _pieces(document, int(lengths[document]), block_size)
        if piece.stop > piece.start
    ]
    return _best_fit(blocks, _placed_first(pieces, block_size), block_size, open_new=False)


def _pieces(document: int, length: int, block_size: int) -> list[Piece]:
    """Pieces of a whole block each, then the rest, which may be empty."""
    whole = length - length % block_size
    starts = range(0, whole, block_size)
    pieces = [Piece(document, start, start + block_size) for start in starts]
    return [*pieces, Piece(document, whole, length)]


def _placed_first(pieces: Iterable[Piece], block_size: int) -> list[Piece]:
    """The pieces in the order of placing: the long ones first, the longest before all."""
    return sorted(pieces, key=lambda piece: -_sorting_length(piece, block_size))


def pack_selected(
    lengths: NDArray[np.int64], selected: NDArray[np.int64], block_size: int
) -> list[Block]:
    """Packs some documents; pieces, like ``selected``, hold indices into ``lengths``."""
    return [
        [piece._replace(document=int(selected[piece.document])) for piece in block]
        for block in pack(lengths[selected], block_size)
    ]


def _sorting_length(piece: Piece, block_size: int) -> int:
    length = piece.stop - piece.start
    return length if length * _SHORT > block_size else 0


def _best_fit(
    given: Sequence[Block], pieces: Iterable[Piece], block_size: int, open_new: bool = True
) -> list[Block]:
    """Puts each piece into the fullest block that has room for it.

    For a piece that fits into none, a new block is opened at the end, or it is left out.
    """
    blocks: list[Block] = [list(block) for block in given]
    open_blocks: list[list[int]] = [[] for _ in range(block_size + 1)]  # by free tokens
    occupied = 0  # bit r is set while some block has r free tokens
    for index, block in enumerate(blocks):
        if room := block_size - filled(block):
            open_blocks[room].append(index)
            occupied |= 1 << room
    for piece in pieces:
        length = piece.stop - piece.start
        fitting = occupied >> length
        if fitting:
            room = length + (fitting & -fitting).bit_length() - 1
            index = open_blocks[room].pop()
            if not open_blocks[room]:
                occupied &= ~(1 << room)
        elif not open_new:
            continue
        else:
            room, index = block_size, len(blocks)
            blocks.append([])
        blocks[index].append(piece)
        if room > length:
            open_blocks[room - length].append(index)
            occupied |= 1 << (room - length)
    return blocks


def filled(block: Block) -> int:
    """Tokens that the documents of a block have."""
    return sum(piece.stop - piece.start for piece in block)


def build_batch(
    documents: Documents,
    blocks: Sequence[Block],
    block_size: int,
    pad_token_id: int,
    name: str = "train",
) -> PackedBatch:
    """Writes the tokens of packed documents into one batch.

    Args:
        documents: the documents; only those of ``blocks`` are read.
        blocks: ``B`` blocks; an empty one becomes padding.
        block_size: tokens per block, ``S``.
        pad_token_id: padding token.
        name: name of the set, stored in the batch.

    Returns:
        A batch of shape ``[B, S]``.
    """
    shape = (len(blocks), block_size)
    input_ids = np.full(shape, pad_token_id, dtype=np.int64)
    position_ids = np.zeros(shape, dtype=np.int64)
    targets = np.full(shape, IGNORED, dtype=np.int64)
    is_padding = np.ones(shape, dtype=np.bool_)
    names: dict[str, None] = {}
    for row, block in enumerate(blocks):
        end = 0
        for piece in block:
            begin, end = end, end + piece.stop - piece.start
            document = documents[piece.document]
            names[document.name] = None
            input_ids[row, begin:end] = document.input_ids[piece.start : piece.stop]
            position_ids[row, begin:end] = np.arange(end - begin)
            following = slice(piece.start + 1, piece.stop + 1)
            ids, supervised = document.input_ids[following], document.supervised[following]
            targets[row, begin : begin + len(ids)] = np.where(supervised, ids, IGNORED)
        is_padding[row, :end] = False
        position_ids[row, end:] = np.arange(block_size - end)
    return PackedBatch(
        torch.from_numpy(input_ids),
        torch.from_numpy(position_ids),
        torch.from_numpy(targets),
        torch.from_numpy(is_padding),
        name,
        tuple(names),
    )
