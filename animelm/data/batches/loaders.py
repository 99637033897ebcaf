"""The iterables from which Lightning takes batches.

They are not ``torch.utils.data.DataLoader``s: a batch is copied from mapped memory, which needs no
worker process, and without prefetching the saved position is exact. They divide the data among the
processes themselves; Lightning's ``use_distributed_sampler`` does not apply to them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import ConcatDataset, Dataset

from animelm.data.batches.batch import Document, Documents, PackedBatch, QuestionBatch
from animelm.data.batches.packing import build_batch, pack_selected
from animelm.data.batches.sampler import BlockSampler, Replay
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


@dataclass(frozen=True)
class TrainingSource:
    """Documents of one kind, and how much of an epoch they are.

    Attributes:
        documents: all documents of the source.
        lengths: tokens of each, int64 ``[N]``.
        chosen: the numbers of those to train on.
        passes: how often each epoch shows all of them.
        share: share of an epoch's tokens, in [0, 1), that is drawn from them afresh in each epoch;
            for a source without passes.
        leads: whether the passes come before all else in an epoch, unmixed.
    """

    documents: Documents
    lengths: NDArray[np.int64]
    chosen: NDArray[np.int64]
    passes: int = 0
    share: float = 0.0
    leads: bool = False


def training_loader(
    sources: Sequence[TrainingSource],
    block_size: int,
    blocks_per_batch: int,
    pad_token_id: int,
    seed: int,
    rank: int,
    world_size: int,
) -> PackedLoader:
    """A shuffled loader that mixes sources.

    Sources with passes make up the epoch; those with a share are added to it, so that each has its
    share of the whole.

    Args:
        sources: what is trained on. A source without documents is left out.
        block_size: tokens per block.
        blocks_per_batch: blocks per batch of one process.
        pad_token_id: token that fills the rest of a block.
        seed: of the order and of what is drawn.
        rank: this process, from 0.
        world_size: number of processes.

    Raises:
        UserError: the shares leave nothing for the passes; or as for ``BlockSampler``.
    """
    sources = [source for source in sources if source.lengths[source.chosen].any()]
    lengths = np.concatenate([np.empty(0, np.int64), *(source.lengths for source in sources)])
    first = np.cumsum([0, *(len(source.lengths) for source in sources)])
    chosen = [source.chosen + begin for source, begin in zip(sources, first[:-1], strict=True)]
    drawn_share = sum(source.share for source in sources)
    if drawn_share >= 1:
        raise UserError(
            f"the shares of an epoch add up to {drawn_share:g}; expected less than 1, so that "
            "something is left for what each epoch shows whole"
        )
    leading, mixed = (
        _in_passes(
            [
                (numbers, source.passes)
                for numbers, source in zip(chosen, sources, strict=True)
                if source.leads == leads
            ],
            seed,
        )
        for leads in (True, False)
    )
    tokens = int(lengths[leading].sum() + lengths[mixed].sum())
    replays = [
        Replay(lengths, numbers, _blocks(tokens / (1 - drawn_share) * source.share, block_size))
        for numbers, source in zip(chosen, sources, strict=True)
        if source.share
    ]
    sampler = BlockSampler(
        pack_selected(lengths, mixed, block_size),
        replays,
        lead=pack_selected(lengths, leading, block_size),
        block_size=block_size,
        blocks_per_batch=blocks_per_batch,
        seed=seed,
        rank=rank,
        world_size=world_size,
    )
    # A list is data set enough: it has a length and its items by number.
    parts = [cast(Dataset[Document], source.documents) for source in sources]
    documents: Documents = ConcatDataset[Document](parts) if parts else []
    return PackedLoader(documents, sampler, pad_token_id)


def _blocks(tokens: float, block_size: int) -> int:
    return max(1, round(tokens / block_size))


def _in_passes(parts: Sequence[tuple[NDArray[np.int64], int]], seed: int) -> NDArray[np.int64]:
    """Numbers of documents, each as often as it is passed; in random order where they repeat."""
    numbers = [np.tile(chosen, passes) for chosen, passes in parts]
    together = np.concatenate([np.empty(0, np.int64), *numbers])
    if [passes for _, passes in parts if passes] == [1]:
        return together
    return np.random.default_rng(seed).permutation(together)


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
        texts = [(context(r) if context else "") + r.question for r in records]
        self._prompts = chat.encode_prompts(texts, answer_from)
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
