"""Looks for the stock settings that train fastest, one choice after another."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Literal

from training_speed_parts.setting import Measured, Peer

Try = Callable[[Peer], Measured | None]
_TARGETS: tuple[Literal["attention", "experts"], ...] = ("attention", "experts")


def search(attempt: Try, documents_per_step: int) -> list[Peer]:
    """The fastest of TRL and of the bare loop, for either kind of targets; fastest first.

    Weight type and experts' implementation are tried in every combination, then the layouts and
    batch sizes with the best of them, then the bare loop with the best of those and at other batch
    sizes.

    Args:
        attempt: measures a peer; None where it fails.
        documents_per_step: no batch is larger.
    """
    speeds: dict[Peer, float] = {}

    def best(candidates: Iterator[Peer]) -> Peer | None:
        tried = []
        for peer in candidates:
            if peer.micro_batch <= documents_per_step and peer not in speeds:
                measured = attempt(peer)
                speeds[peer] = measured.tokens_per_s if measured else 0.0
            if speeds.get(peer):
                tried.append(peer)
        return max(tried, key=speeds.__getitem__, default=None)

    winners = []
    for targets in _TARGETS:
        fastest = best(_kernels(targets))
        fastest = fastest and best(_layouts(fastest))
        if fastest:
            winners += [fastest, best(_loops(fastest))]
    found = [peer for peer in winners if peer]
    return sorted(found, key=lambda peer: -speeds[peer])


def _kernels(targets: Literal["attention", "experts"]) -> Iterator[Peer]:
    for dtype in ("bfloat16", "float32"):
        for experts in ("eager", "grouped_mm"):
            yield Peer(targets=targets, dtype=dtype, experts=experts)
    # It copies a whole expert for each token, so only short passes have a chance.
    yield Peer(targets=targets, experts="batched_mm", micro_batch=1)


def _layouts(fastest: Peer) -> Iterator[Peer]:
    yield fastest
    for size in (1, 2, 4, 16):
        yield dataclasses.replace(fastest, micro_batch=size)
    for size in (4, 8, 16):
        yield dataclasses.replace(fastest, layout="flattened", micro_batch=size)
    for size in (1, 2):
        yield dataclasses.replace(fastest, layout="packed", micro_batch=size)


def _loops(fastest: Peer) -> Iterator[Peer]:
    layout: Literal["padded", "flattened"] = "padded" if fastest.layout == "padded" else "flattened"
    for size in (1, 2, 4, 8, 16):
        yield dataclasses.replace(fastest, trainer="loop", layout=layout, micro_batch=size)
