"""Training batches that mix several sources of documents."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import ConcatDataset, Dataset

from animelm.data.batches.batch import Document, Documents
from animelm.data.batches.loaders import PackedLoader
from animelm.data.batches.packing import Block, pack_selected
from animelm.data.batches.sampler import BlockSampler, Replay
from animelm.errors import UserError

_Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class TrainingSource:
    """Documents of one kind, and how much of an epoch they are.

    Attributes:
        documents: all documents of the source.
        lengths: tokens of each, int64 ``[N]``.
        chosen: the numbers of those to train on; one that is to be shown more often than others,
            several times.
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

    @property
    def tokens(self) -> int:
        """Tokens of the documents to train on."""
        return int(self.lengths[self.chosen].sum())


def repeats_per_epoch(sources: Sequence[TrainingSource]) -> list[float]:
    """How often an epoch draws each source as a whole; 0 for one without a share or text."""
    drawn = sum(source.share for source in sources if source.tokens)
    if drawn >= 1:
        return [0.0] * len(sources)
    total = sum(source.passes * source.tokens for source in sources) / (1 - drawn)
    return [source.share * total / source.tokens if source.tokens else 0.0 for source in sources]


def cap_repeats(sources: Sequence[TrainingSource], most: float) -> list[TrainingSource]:
    """The sources with lower shares, where one would be drawn more than ``most`` times in an epoch.

    Such a source is drawn ``most`` times; the others keep their shares of the whole. Beyond some
    four repeats, text teaches little that is new (https://arxiv.org/abs/2305.16264).
    """
    capped: set[int] = set()
    lowered = list(sources)
    while True:
        repeats = repeats_per_epoch(lowered)
        excess = {i for i, count in enumerate(repeats) if count > most} - capped
        if not excess:
            return lowered
        capped |= excess
        fixed = {i: most * sources[i].tokens for i in capped}
        free = sum(s.share for i, s in enumerate(sources) if s.tokens and i not in capped)
        shown = sum(source.passes * source.tokens for source in sources)
        total = (shown + sum(fixed.values())) / (1 - free)
        lowered = [
            replace(source, share=fixed[i] / total) if i in fixed else source
            for i, source in enumerate(sources)
        ]


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
    mixture = _Mixture(sources, block_size, seed)
    replays = mixture.replays()
    sampler = BlockSampler(
        mixture.blocks(replays),
        replays,
        lead=mixture.lead(),
        block_size=block_size,
        blocks_per_batch=blocks_per_batch,
        seed=seed,
        rank=rank,
        world_size=world_size,
    )
    return PackedLoader(mixture.documents, sampler, pad_token_id)


class _Mixture:
    """The documents of all sources, numbered consecutively."""

    def __init__(self, sources: Sequence[TrainingSource], block_size: int, seed: int) -> None:
        self._sources = [source for source in sources if source.tokens]
        self._block_size, self._seed = block_size, seed
        lengths = [source.lengths for source in self._sources]
        self._lengths: _Numbers = np.concatenate([np.empty(0, np.int64), *lengths])
        first = np.cumsum([0, *map(len, lengths)])
        self._chosen = [s.chosen + i for s, i in zip(self._sources, first[:-1], strict=True)]

    @property
    def documents(self) -> Documents:
        # A list is data set enough: it has a length and its items by number.
        parts = [cast(Dataset[Document], source.documents) for source in self._sources]
        return ConcatDataset[Document](parts) if parts else []

    def lead(self) -> list[Block]:
        """Packed blocks of what comes before all else in an epoch."""
        return pack_selected(self._lengths, self._in_passes[True], self._block_size)

    def blocks(self, replays: Sequence[Replay]) -> list[Block]:
        """Packed blocks of what else an epoch shows whole, with room for the replay.

        Both are packed together once; each epoch then fills the room anew.
        """
        passed = self._in_passes[False]
        rng = np.random.default_rng(self._seed)
        numbers = np.concatenate([passed, *(replay.draw(rng) for replay in replays)])
        # In random order, so that a block mixes sources.
        order = rng.permutation(len(numbers))
        blocks = pack_selected(self._lengths, numbers[order], self._block_size)
        own = set(passed.tolist())
        return [[piece for piece in block if piece.document in own] for block in blocks]

    @cached_property
    def _in_passes(self) -> dict[bool, _Numbers]:
        """Numbers of documents, each as often as it is passed, by whether it leads."""
        pairs = list(zip(self._sources, self._chosen, strict=True))
        return {
            leads: self._repeated([(s.passes, n) for s, n in pairs if s.leads == leads])
            for leads in (True, False)
        }

    def _repeated(self, parts: Sequence[tuple[int, _Numbers]]) -> _Numbers:
        numbers = [np.tile(chosen, passes) for passes, chosen in parts]
        return np.concatenate([np.empty(0, np.int64), *numbers])

    def replays(self) -> list[Replay]:
        """What each epoch draws afresh.

        Raises:
            UserError: the shares leave nothing for the passes.
        """
        drawn = sum(source.share for source in self._sources)
        if drawn >= 1:
            raise UserError(
                f"the shares of an epoch add up to {drawn:g}; expected less than 1, so that "
                "something is left for what each epoch shows whole"
            )
        shown = sum(int(self._lengths[numbers].sum()) for numbers in self._in_passes.values())
        return [
            Replay(self._lengths, numbers, round(shown / (1 - drawn) * source.share))
            for source, numbers in zip(self._sources, self._chosen, strict=True)
            if source.share
        ]
