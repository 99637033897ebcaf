"""Which blocks come in which batch, in which epoch and on which process."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from animelm.data.batches.packing import Block, pack_selected, padding_share
from animelm.errors import UserError


@dataclass(frozen=True)
class Replay:
    """Documents to rehearse: each epoch draws from them afresh.

    Attributes:
        lengths: tokens of every document that a piece may count in, ``[N]``.
        candidates: which of those documents may be drawn.
        blocks: blocks of them in an epoch.
    """

    lengths: NDArray[np.int64]
    candidates: NDArray[np.int64]
    blocks: int

    def draw(self, block_size: int, rng: np.random.Generator) -> list[Block]:
        """Exactly ``blocks`` blocks of documents in random order.

        None is drawn twice before all have been drawn once.
        """
        needed, drawn = self.blocks * block_size, [np.empty(0, dtype=np.int64)]
        while needed > 0:
            order = rng.permutation(self.candidates)
            totals = np.cumsum(self.lengths[order])
            taken = order[: int(np.searchsorted(totals, needed)) + 1]
            needed -= int(self.lengths[taken].sum())
            drawn.append(taken)
        blocks = pack_selected(self.lengths, np.concatenate(drawn), block_size)
        blocks.sort(key=lambda block: -sum(piece.stop - piece.start for piece in block))
        return blocks[: self.blocks]


class BlockSampler:
    """Deals packed blocks out in batches.

    Shuffled, every epoch has its own order and its own replay, both from ``(seed, epoch)`` alone;
    each replay is spread evenly over the epoch. Every epoch has the same number of batches.

    With several processes, each global step takes the next ``blocks_per_batch × world_size`` blocks
    and process ``rank`` every ``world_size``-th of them: the shares are disjoint and equally many.
    What does not divide among the processes at an epoch's end (fewer blocks than processes) is left
    out when shuffled, another part in every epoch; else empty blocks fill up.

    ``state_dict`` is taken between two batches. After ``load_state_dict`` the next iteration begins
    with the batch that would have come next.

    Args:
        blocks: the packed blocks of an epoch, without replay.
        replays: documents to mix in, of as many sources as there are.
        block_size: tokens of a block.
        blocks_per_batch: blocks of one process's batch.
        seed: of the order and the replay.
        rank: this process, from 0.
        world_size: number of processes.
        shuffle: False for the order given and no replay, as in validation.
        lead: blocks that come before all others in every epoch, in their own order.

    Raises:
        UserError: ``blocks_per_batch`` is below 1, or there are fewer blocks to train on than
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
        self._next = 0  # batch that comes next
        self._begin = 0  # batch that the next iteration begins with
        count = len(self._lead) + len(self._blocks) + self._replay_blocks
        if not shuffle:
            count += -count % world_size
        elif count < world_size:
            raise UserError(
                f"only {count} blocks of {block_size} tokens for {world_size} processes: train on "
                "fewer processes or with a smaller block_size"
            )
        self._count = count - count % world_size

    def set_epoch(self, epoch: int) -> None:
        """Turns to an epoch. Lightning calls it; the present epoch keeps a loaded position."""
        if epoch != self.epoch:
            self.epoch, self._next, self._begin = epoch, 0, 0

    def __len__(self) -> int:
        return -(-self._count // (self.blocks_per_batch * self._world_size))

    def __iter__(self) -> Iterator[list[Block]]:
        # Lightning makes iterators ahead of set_epoch and of load_state_dict; nothing of this runs
        # before it asks for the first batch.
        begin, self._begin = self._begin, 0
        order = self._order()
        step = self.blocks_per_batch * self._world_size
        for index in range(begin, len(self)):
            share = order[index * step : (index + 1) * step][self._rank :: self._world_size]
            self._next = index + 1
            yield share

    def _order(self) -> list[Block]:
        """The blocks of this epoch, of all processes, in order."""
        if not self._shuffle:
            given = self._lead + self._blocks
            return given + [[] for _ in range(self._count - len(given))]
        rng = np.random.default_rng((self._seed, self.epoch))
        parts = [self._blocks]
        parts += [replay.draw(self.block_size, rng) for replay in self._replays]
        mixed: list[tuple[float, Block]] = []
        for part in parts:
            # One place in each n-th of the epoch, so that no part comes in clumps.
            places = (np.arange(len(part)) + rng.random(len(part))) / max(1, len(part))
            chosen = rng.permutation(len(part))
            mixed += [(float(p), part[i]) for p, i in zip(places, chosen, strict=True)]
        mixed.sort(key=lambda placed: placed[0])
        return (self._lead + [block for _, block in mixed])[: self._count]

    @property
    def _replay_blocks(self) -> int:
        return sum(replay.blocks for replay in self._replays)

    @property
    def tokens(self) -> int:
        """Tokens of documents in one epoch of all processes; blocks of replay count as full."""
        own = (piece for block in self._lead + self._blocks for piece in block)
        replayed = self._replay_blocks * self.block_size
        return sum(piece.stop - piece.start for piece in own) + replayed

    def __str__(self) -> str:
        return (
            f"{len(self._blocks):,} blocks of {self.block_size} tokens "
            f"({padding_share(self._blocks, self.block_size):.1%} padding) and "
            f"{self._replay_blocks:,} blocks "
            "of replay in each epoch"
        )

    def _settings(self) -> dict[str, int]:
        return {
            "seed": self._seed,
            "block_size": self.block_size,
            "blocks_per_batch": self.blocks_per_batch,
            "processes": self._world_size,
            "blocks": len(self._lead) + len(self._blocks),
            "replay_blocks": self._replay_blocks,
        }

    def state_dict(self) -> dict[str, Any]:
        """Epoch, next batch, and the settings that give them their meaning."""
        return {"epoch": self.epoch, "next_batch": self._next, "settings": self._settings()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where ``state_dict`` was taken.

        Raises:
            UserError: the data or the settings have changed since.
        """
        saved, present = state["settings"], self._settings()
        changed = [name for name in present if saved.get(name) != present[name]]
        if changed:
            what = ", ".join(f"{name} {saved.get(name)} → {present[name]}" for name in changed)
            raise UserError(
                f"the checkpoint cannot be resumed: its data or settings have changed ({what}); "
                "restore them, or start anew from its adapter"
            )
        self.epoch = state["epoch"]
        self._next = self._begin = state["next_batch"]
