"""Tokenized documents, and batches of them for the model."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from animelm.data.sources.qa import QARecord

IGNORED = -100
"""Target of a position that does not count in the loss (torch's default ``ignore_index``)."""


@dataclass(frozen=True)
class Document:
    """One tokenized text.

    Attributes:
        input_ids: int32 array ``[T]``.
        supervised: bool array ``[T]``, True for tokens that count in the loss. The value of the
            first token, which nothing predicts, has no effect.
        name: source of the text, for messages.
    """

    input_ids: NDArray[np.int32]
    supervised: NDArray[np.bool_]
    name: str

    def __len__(self) -> int:
        return len(self.input_ids)


class Documents(Protocol):
    """Documents by number, in memory or on disk."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Document: ...


@dataclass
class PackedBatch:
    """Blocks of ``S`` tokens, each packed with documents that do not attend to each other.

    Attributes:
        input_ids: int64 ``[B, S]``.
        position_ids: int64 ``[B, S]``; 0 at the first token of every document, which marks the
            boundaries. The padding at the end of a block is one document of its own.
        targets: int64 ``[B, S]``; the token to predict at this position (already shifted), or
            ``IGNORED``. A document's last token and padding never have a target. A document cut
            into several pieces keeps its target across the cut, so that each of its tokens is
            predicted exactly once.
        is_padding: bool ``[B, S]``.
        name: ``train``, or the name of the validation set.
        documents: names of the packed documents, for messages.
    """

    input_ids: Tensor
    position_ids: Tensor
    targets: Tensor
    is_padding: Tensor
    name: str = "train"
    documents: tuple[str, ...] = ()

    @property
    def supervised_tokens(self) -> int:
        """Number of positions with a target."""
        return int((self.targets != IGNORED).sum())

    @property
    def padding_share(self) -> float:
        """Share of padding positions, 0 to 1."""
        return float(self.is_padding.float().mean())

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """The same batch on another device."""
        moved = {
            field.name: value.to(device, non_blocking=non_blocking)
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return type(self)(**moved, name=self.name, documents=self.documents)


class QuestionBatch:
    """Prompts to answer, left-padded so that all end at the same position.

    Not a dataclass: Lightning's precision plugins rebuild dataclasses field by field and fail on
    the frozen records. A class with ``to`` is moved as a whole.

    Attributes:
        input_ids: int64 ``[B, L]``.
        attention_mask: int64 ``[B, L]``, 1 on the prompt, 0 on the padding at its left.
        records: the ``B`` records whose questions are asked.
        held_out_set: name of the set of the questions.
    """

    def __init__(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        records: Sequence[QARecord],
        held_out_set: str,
    ) -> None:
        self.input_ids = input_ids
        self.attention_mask = attention_mask
        self.records = list(records)
        self.held_out_set = held_out_set

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """The same batch on another device."""
        return type(self)(
            self.input_ids.to(device, non_blocking=non_blocking),
            self.attention_mask.to(device, non_blocking=non_blocking),
            self.records,
            self.held_out_set,
        )

    def __len__(self) -> int:
        return len(self.records)
