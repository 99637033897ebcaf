"""The iterables from which Lightning takes batches.

They are not ``torch.utils.data.DataLoader``s: a batch is copied from mapped memory, which needs no
worker process, and without prefetching the saved position is exact. They divide the data among the
processes themselves; Lightning's ``use_distributed_sampler`` does not apply to them.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from animelm.data.batches.batch import Documents, PackedBatch, QuestionBatch
from animelm.data.batches.packing import build_batch
from animelm.data.batches.sampler import BlockSampler
from animelm.data.sources.qa import QARecord
from animelm.data.tokenization.chat import AnswerFrom, ChatFormat
from animelm.errors import UserError


class PackedLoader:
    """Batches of packed blocks.

    Args:
        documents: the documents; the sampler's pieces index into them.
        sampler: yields the blocks of each batch. Lightning calls its ``set_epoch``.
        pad_token_id: token that fills the rest of a block.
        name: name of the set, written into every batch.
    """

    batch_sampler = None  # Lightning expects the attribute beside ``sampler``

    def __init__(
        self, documents: Documents, sampler: BlockSampler, pad_token_id: int, name: str = "train"
    ) -> None:
        self.sampler = sampler
        self.name = name
        self._documents = documents
        self._pad_token_id = pad_token_id

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[PackedBatch]:
        for blocks in self.sampler:
            yield build_batch(
                self._documents, blocks, self.sampler.block_size, self._pad_token_id, self.name
            )

    def state_dict(self) -> dict[str, Any]:
        """The position of the sampler; Lightning saves it in its checkpoints."""
        return self.sampler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues with the batch after those yielded when the state was saved."""
        self.sampler.load_state_dict(state)


class QuestionLoader:
    """Batches of questions of similar length, the longest first.

    The questions are divided into batches of nearly equal size, the same number for each process.

    Args:
        records: the questions; one or more.
        chat: encodes the prompts.
        held_out_set: name of the set.
        questions_per_batch: maximum size of a batch (one more if a process has fewer questions than
            that).
        rank: this process, from 0.
        world_size: number of processes.
        answer_from: where the prompts end.
        context: gives a text that precedes a question in its prompt; None for the question alone.

    Raises:
        UserError: there are fewer questions than processes.
    """

    def __init__(
        self,
        records: Sequence[QARecord],
        chat: ChatFormat,
        held_out_set: str,
        questions_per_batch: int = 32,
        rank: int = 0,
        world_size: int = 1,
        answer_from: AnswerFrom = "final",
        context: Callable[[QARecord], str] | None = None,
    ) -> None:
        if questions_per_batch < 1:
            raise UserError(f"questions_per_batch must be at least 1, not {questions_per_batch}")
        if len(records) < world_size:
            raise UserError(
                f"{held_out_set}: {len(records)} questions for {world_size} processes; evaluate on "
                "fewer processes"
            )
        self.name = held_out_set
        self._records = list(records)
        self._pad_token_id = chat.pad_token_id
        before = [context(record) for record in records] if context else ()
        self._prompts = chat.encode_questions(records, answer_from, before)
        longest_first = np.argsort([-len(prompt) for prompt in self._prompts], kind="stable")
        steps = -(-len(records) // (questions_per_batch * world_size))
        steps = min(steps, len(records) // world_size)
        self._batches = np.array_split(longest_first, steps * world_size)[rank::world_size]

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[QuestionBatch]:
        for indices in self._batches:
            yield self._build([int(index) for index in indices])

    def _build(self, indices: Sequence[int]) -> QuestionBatch:
        prompts = [self._prompts[index] for index in indices]
        shape = (len(prompts), max(map(len, prompts)))
        input_ids = torch.full(shape, self._pad_token_id, dtype=torch.int64)
        attention_mask = torch.zeros(shape, dtype=torch.int64)
        for row, prompt in enumerate(prompts):
            input_ids[row, -len(prompt) :] = torch.tensor(prompt)
            attention_mask[row, -len(prompt) :] = 1
        records = [self._records[index] for index in indices]
        return QuestionBatch(input_ids, attention_mask, records, self.name)
