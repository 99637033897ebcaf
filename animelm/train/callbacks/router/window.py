"""Sums over the tokens that passed a model's routers, and the statistics they give.

Legend: N layers with a router, T tokens, E experts, k experts chosen per token.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class RouterSummary:
    """Router statistics of one window of training (CPU tensors, float64).

    Attributes:
        tokens: tokens counted in each layer.
        shares: [N, E], expert's share of the layer's T·k choices.
        entropy: [N], mean over tokens of the entropy, in nats, of the softmax over all E logits.
        chosen_mass: [N], mean over tokens of the probability, in that softmax, of the chosen k.
            (The routing weights are a softmax over the chosen logits alone: they always sum to 1.)
        imbalance: [N], largest share over mean share; 1 is perfect balance, E is total collapse.
        dead_experts: [N], how many experts no token chose.
    """

    tokens: int
    shares: Tensor
    entropy: Tensor
    chosen_mass: Tensor
    imbalance: Tensor
    dead_experts: Tensor

    @staticmethod
    def from_sums(sums: Tensor) -> "RouterSummary":
        """Reads the sums [N, E + 3], on the CPU, of a :class:`RouterWindow` that counted tokens."""
        sums = sums.double()
        choices, entropy, mass, tokens = sums[:, :-3], sums[:, -3], sums[:, -2], sums[:, -1]
        shares = choices / choices.sum(-1, keepdim=True)
        return RouterSummary(
            tokens=int(tokens.max()),
            shares=shares,
            entropy=entropy / tokens,
            chosen_mass=mass / tokens,
            imbalance=shares.amax(-1) * shares.shape[-1],
            dead_experts=(choices == 0).sum(-1).double(),
        )

    def per_layer(self) -> dict[str, Tensor]:
        """The [N] statistics by name."""
        return {
            "entropy": self.entropy,
            "chosen_mass": self.chosen_mass,
            "imbalance": self.imbalance,
            "dead_experts": self.dead_experts,
        }


class RouterWindow:
    """Running sums, kept on the routers' device so that counting never waits for the CPU.

    Args:
        layers: N.
    """

    def __init__(self, layers: int) -> None:
        self.layers = layers
        self.sums: Tensor | None = None

    @torch.no_grad()
    def add(self, row: int, logits: Tensor, chosen: Tensor, counted: Tensor | None) -> None:
        """Adds one forward of one router.

        Args:
            row: which of the N layers.
            logits: [T, E].
            chosen: [T, k] int64, the experts chosen.
            counted: [T] bool, False for padding; None counts every token.

        Raises:
            ValueError: ``counted`` has another number of tokens.
        """
        tokens, experts = logits.shape
        if counted is None:
            counted = logits.new_ones(tokens, dtype=torch.bool)
        if counted.numel() != tokens:
            raise ValueError(f"the router saw {tokens} tokens, the batch has {counted.numel()}")
        sums = self._on(logits.device, experts)
        log_probabilities = logits.float().log_softmax(-1)
        probabilities = log_probabilities.exp()
        # 0·log 0 is 0, but a logit of -inf would make it NaN.
        entropy = -(probabilities * log_probabilities.clamp_min(-1e4)).sum(-1)
        mass = probabilities.gather(-1, chosen).sum(-1)
        weights = counted.to(sums.dtype).repeat_interleave(chosen.shape[-1])
        sums[row, :-3].index_add_(0, chosen.flatten(), weights)
        # masked_fill, not a product: padding may hold NaN.
        sums[row, -3] += entropy.masked_fill(~counted, 0).sum(dtype=sums.dtype)
        sums[row, -2] += mass.masked_fill(~counted, 0).sum(dtype=sums.dtype)
        sums[row, -1] += counted.sum()

    def take(self) -> Tensor | None:
        """Returns the sums and resets them.

        Returns:
            [N, E + 3]: choices of each expert, entropy, mass, tokens; None if nothing was added.
        """
        sums, self.sums = self.sums, None
        return sums

    def _on(self, device: torch.device, experts: int) -> Tensor:
        # MPS has no float64; its float32 counts exactly up to 2**24 tokens a window.
        dtype = torch.float32 if device.type == "mps" else torch.float64
        if self.sums is None:
            self.sums = torch.zeros(self.layers, experts + 3, dtype=dtype, device=device)
        # A window restored from a checkpoint lies on the CPU.
        self.sums = self.sums.to(device, dtype)
        return self.sums
