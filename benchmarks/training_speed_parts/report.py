"""Tables of what was measured, and the summary that ends the output."""

import statistics
from typing import Any

from rich.table import Table

from training_speed_parts.setting import Measured

Results = dict[str, list[Measured]]


def middle(repetitions: list[Measured]) -> Measured:
    """The repetition of median speed (the lower one of two)."""
    ordered = sorted(repetitions, key=lambda measured: measured.tokens_per_s)
    return ordered[(len(ordered) - 1) // 2]


def speed_table(results: Results) -> Table:
    """Speed and memory of every competitor, fastest first."""
    table = Table("competitor", title="Useful tokens a second")
    for column in ("tokens/s", "of each repetition", "s/step", "peak GiB", "of it imports", "loss"):
        table.add_column(column, justify="right")
    for name, repetitions in sorted(
        results.items(), key=lambda item: -middle(item[1]).tokens_per_s
    ):
        measured = middle(repetitions)
        table.add_row(
            name,
            f"{measured.tokens_per_s:,.0f}",
            " ".join(f"{one.tokens_per_s:.0f}" for one in repetitions),
            f"{measured.step_s:.2f}",
            f"{measured.peak_rss_gib:.2f}",
            f"{measured.import_rss_gib:.2f}",
            f"{measured.losses[-1]:.4f}",
        )
    return table


def loss_table(ours: Results, peers: Results) -> Table:
    """Losses of each step. Only padded peers keep documents apart."""
    table = Table("competitor", title="Mean token loss, in nats, at each step")
    first = next(iter(ours.values()))[0].losses
    for step in range(len(first)):
        table.add_column(str(step + 1), justify="right")
    for name, repetitions in {**ours, **peers}.items():
        table.add_row(name, *(f"{loss:.4f}" for loss in repetitions[0].losses))
    return table


def largest_difference(ours: Measured, peer: Measured) -> float:
    """Largest share by which the losses of a step differ."""
    pairs = zip(ours.losses, peer.losses, strict=True)
    return max(abs(own - other) / other for own, other in pairs)


def summary(ours: Results, peers: Results, headline: str) -> dict[str, Any]:
    """The figures of the last line; ratios are against the fastest peer."""
    own = middle(ours[headline])
    speeds = {name: middle(repetitions) for name, repetitions in peers.items()}
    best = max(speeds, key=lambda name: speeds[name].tokens_per_s)
    shares = [one.gemm_share for one in ours[headline] if one.gemm_share is not None]
    same = [name for name in speeds if "-experts-" in name]
    alike = [name for name in same if "-padded-" in name]
    same_best = max(same, key=lambda name: speeds[name].tokens_per_s, default=None)
    return {
        "ours": _figures(own),
        "ours_others": {
            name: _figures(middle(found)) for name, found in ours.items() if name != headline
        },
        "peers": {name: _figures(measured) for name, measured in speeds.items()},
        "best_peer": best,
        "ratio_tokens_per_s": own.tokens_per_s / speeds[best].tokens_per_s,
        "ratio_rss": own.peak_rss_gib / speeds[best].peak_rss_gib,
        "best_peer_with_experts": same_best,
        "ratio_tokens_per_s_with_experts": (
            own.tokens_per_s / speeds[same_best].tokens_per_s if same_best else None
        ),
        "largest_loss_difference": {
            name: {alone: largest_difference(middle(ours[alone]), speeds[name]) for alone in ours}
            for name in alike
        },
        "gemm_share": statistics.median(shares) if shares else None,
    }


def _figures(measured: Measured) -> dict[str, float]:
    return {
        "tokens_per_s": measured.tokens_per_s,
        "peak_rss_gib": measured.peak_rss_gib,
        "loss": measured.losses[-1],
    }
