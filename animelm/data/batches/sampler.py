"""Assigns blocks to batches, for each epoch and process."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from animelm.data.batches.packing import Block, fill, filled
from animelm.errors import UserError

# Drawn beyond what is needed, because not every document finds a gap of its length.
_SPARE = 1.1


@dataclass(frozen=True)
class Replay:
    """Documents from which each epoch draws new replay.

    Attributes:
        lengths: number of tokens of every document, int64 ``[N]``.
        candidates: indices of the documents that may be drawn.
        tokens: tokens of replay per epoch.
    """

    lengths: NDArray[np.int64]
    candidates: NDArray[np.int64]
    tokens: int

    def draw(self, rng: np.random.Generator, tokens: float | None = None) -> NDArray[np.int64]:
        """Draws documents in random order until they have ``tokens`` tokens or a few more.

        No document is drawn twice before all have been drawn once.

        Args:
            rng: decides the order.
            tokens: how many to draw; by default as many as an epoch holds.
        """
        needed = self.tokens if tokens is None else tokens
        drawn = [np.empty(0, dtype=np.int64)]
        while needed > 0:
            order = rng.permutation(self.candidates)
            totals = np.cumsum(self.lengths[order])
            taken = order[: int(np.searchsorted(totals, needed)) + 1]
            needed -= int(self.lengths[taken].sum())
            drawn.append(taken)
        return np.concatenate(drawn)


class BlockSampler:
    """Yields batches of packed blocks.

    When shuffled, the order and the replay of an epoch follow from ``(seed, epoch)`` alone. Replay
    fills the room that the blocks have left, so that a block mixes sources. Every epoch has the
    same number of batches.

    With several processes, each global step takes the next ``blocks_per_batch × world_size`` blocks
    and process ``rank`` every ``world_size``-th of them, so all processes get the same number of
    different blocks. If the blocks of an epoch cannot be divided evenly, the last ones (fewer than
    there are processes) are left out when shuffled, other ones in every epoch; otherwise empty
    blocks are added.

    ``state_dict`` is saved between two batches. After ``load_state_dict`` the next iteration begins
    with the batch that would have followed.

    Args:
        blocks: the packed blocks of an epoch, with room for the replay.
        replays: documents to mix in, one entry per source.
        block_size: tokens per block.
        blocks_per_batch: blocks per batch of one process.
        seed: seed of the order and the replay.
        rank: this process, from 0.
        world_size: number of processes.
        shuffle: False keeps the given order, without replay, as for validation.
        lead: blocks that precede all others in every epoch, in the given order.

    Raises:
        UserError: ``blocks_per_batch`` is below 1, or there are fewer training blocks than
            processes.
    """

    def __init__(
        self,
        blocks: Sequence[Block],
        replays: Sequence[Replay] = (),
        *,
        block_size: int,
        blocks_per_batch: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        shuffle: bool = True,
        lead: Sequence[Block] = (),
    ) -> None:
        if blocks_per_batch < 1:
            raise UserError(f"blocks_per_batch must be at least 1, not {blocks_per_batch}")
        self.block_size = block_size
        self.blocks_per_batch = blocks_per_batch
        self.epoch = 0
        self._blocks = list(blocks)
        self._lead = list(lead)
        self._replays = list(replays)
        self._seed = seed
        self._rank, self._world_size = rank, world_size
        self._shuffle = shuffle
        self._next = 0  # the next batch
        self._begin = 0  # the batch with which the next iteration begins
        count = len(self._lead) + len(self._blocks)
        if not shuffle:
            count += -count % world_size
        elif count < world_size:
            raise UserError(
                f"only {count} blocks of {block_size} tokens for {world_size} processes: train on "
                "fewer processes or with a smaller block_size"
            )
        self._count = count - count % world_size

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch, as Lightning does. The current epoch keeps a loaded position."""
        if epoch != self.epoch:
            self.epoch, self._next, self._begin = epoch, 0, 0

    def __len__(self) -> int:
        return -(-self._count // (self.blocks_per_batch * self._world_size))

    def __iter__(self) -> Iterator[list[Block]]:
        # Lightning creates iterators before it calls set_epoch and load_state_dict; as a generator,
        # this runs only when the first batch is requested.
        begin, self._begin = self._begin, 0
        order = self._order()
        step = self.blocks_per_batch * self._world_size
        for index in range(begin, len(self)):
            share = order[index * step : (index + 1) * step][self._rank :: self._world_size]
            self._next = index + 1
            yield share

    def _order(self) -> list[Block]:
        """The blocks of this epoch for all processes, in order."""
        if not self._shuffle:
            given = self._lead + self._blocks
            return given + [[] for _ in range(self._count - len(given))]
        rng = np.random.default_rng((self._seed, self.epoch))
        blocks = self._blocks
        if self._replays:
            drawn = [replay.draw(rng, replay.tokens * _SPARE) for replay in self._replays]
            order = rng.permutation(np.concatenate(drawn))
            blocks = fill(blocks, self._replays[0].lengths, order, self.block_size)
        mixed = [blocks[i] for i in rng.permutation(len(blocks))]
        return (self._lead + mixed)[: self._count]

    @property
    def tokens(self) -> int:
        """Tokens of one epoch of all processes, without padding."""
        own = sum(map(filled, self._lead + self._blocks))
        return own + sum(replay.tokens for replay in self._replays)

    @property
    def blocks(self) -> int:
        """Blocks of one epoch of all processes, before those are left out that do not divide."""
        return len(self._lead) + len(self._blocks)

    @property
    def padding_share(self) -> float:
        """Share of an epoch's positions that are padding, 0 to 1."""
        return 1 - self.tokens / max(1, self.blocks * self.block_size)

    def __str__(self) -> str:
        replayed = sum(replay.tokens for replay in self._replays)
        text = (
            f"{self.blocks:,} blocks of {self.block_size} tokens ({self.padding_share:.1%} padding)"
        )
        return text + (f", {replayed / self.tokens:.0%} of them replay" if replayed else "")

    def _settings(self) -> dict[str, int]:
        return {
            "seed": self._seed,
            "block_size": self.block_size,
            "blocks_per_batch": self.blocks_per_batch,
            "processes": self._world_size,
            "blocks": len(self._lead) + len(self._blocks),
            "replay_tokens": sum(replay.tokens for replay in self._replays),
        }

    def state_dict(self) -> dict[str, Any]:
        """The epoch, the next batch, and the settings that they depend on."""
        return {"epoch": self.epoch, "next_batch": self._next, "settings": self._settings()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues at the position of ``state_dict``.

        Raises:
            UserError: the data or the settings have changed.
        """
        saved, present = state["settings"], self._settings()
        changed = [name for name in present if saved.get(name) != present[name]]
        if changed:
            what = ", ".join(f"{name} {saved.get(name)} → {present[name]}" for name in changed)
            raise UserError(
                f"the checkpoint cannot be resumed: its data or settings have changed ({what}); "
                "restore them, or start a new run from its adapter"
            )
        self.epoch = state["epoch"]
        self._next = self._begin = state["next_batch"]
