"""How the next token is drawn where the likeliest one is not always taken."""

import math
from dataclasses import dataclass

from animelm.errors import UserError


@dataclass(frozen=True)
class Sampling:
    """Settings of sampled generation.

    Args:
        temperature: divides the logits; above 0.
        top_p: the likeliest tokens of this probability together are drawn from (nucleus sampling,
            arXiv 1904.09751); above 0, at most 1.
        seed: makes the same prompt give the same answer; None for another answer each time.

    Raises:
        UserError: a value is out of its range.
    """

    temperature: float
    top_p: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise UserError(f"temperature is {self.temperature}; expected more than 0")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p is {self.top_p}; expected more than 0, and 1 at most")
        if self.seed is not None and not 0 <= self.seed < 2**63:
            raise UserError(f"seed is {self.seed}; expected a number from 0 to 2^63 - 1")
