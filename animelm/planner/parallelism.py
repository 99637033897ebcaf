"""How a run is distributed over processes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Parallelism:
    """The processes of a run, and whether they shard the model.

    Attributes:
        processes: number of processes of the run.
        per_machine: number of processes on one machine.
        sharded: whether each process holds only its shard of every parameter, gradient and
            optimizer state (FSDP2).
    """

    processes: int = 1
    per_machine: int = 1
    sharded: bool = False

    def shard(self, size: int) -> int:
        """What one process holds of ``size`` bytes or rows; the largest shard if they differ."""
        return -(-size // self.processes) if self.sharded else size


SINGLE_PROCESS = Parallelism()
