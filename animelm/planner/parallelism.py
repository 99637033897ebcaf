"""The processes that a run is spread over."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Processes:
    """How many train, and whether they share the model.

    Attributes:
        total: of the run.
        here: of those on one machine.
        sharded: whether each holds only its part of every parameter, of its gradient and of its
            optimiser states.
    """

    total: int = 1
    here: int = 1
    sharded: bool = False

    def part(self, size: int) -> int:
        """What one process holds of ``size`` bytes or rows; where they do not divide, the most."""
        return -(-size // self.total) if self.sharded else size


ONE_PROCESS = Processes()
