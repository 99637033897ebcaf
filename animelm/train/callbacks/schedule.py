"""Decides when a callback acts that has a period in optimizer steps."""

from animelm.errors import UserError


class EveryNSteps:
    """Is due once at each optimizer step that is a multiple of ``every_n_steps``.

    With gradient accumulation several batches end at the same optimizer step, and a resumed run
    begins at a step that was already handled: in neither case may a callback act twice.

    Args:
        every_n_steps: period in optimizer steps.
        name: the setting's name, for the error message.

    Raises:
        UserError: ``every_n_steps`` is below 1.
    """

    def __init__(self, every_n_steps: int, name: str = "every_n_steps") -> None:
        if every_n_steps < 1:
            raise UserError(f"{name} is {every_n_steps}, expected 1 or more optimizer steps")
        self.every_n_steps = every_n_steps
        self._done = 0

    def start(self, global_step: int) -> None:
        """Starts counting at a run's first or resumed ``global_step``."""
        self._done = global_step

    def due(self, global_step: int) -> bool:
        """Whether to act now; False when asked again at the same step."""
        if global_step % self.every_n_steps:
            return False
        return self.newly_reached(global_step)

    def newly_reached(self, global_step: int) -> bool:
        """Whether ``global_step`` is after the last action; records it as the last action."""
        reached = global_step > self._done
        self._done = max(self._done, global_step)
        return reached
