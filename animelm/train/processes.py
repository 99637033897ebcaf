"""What the processes of a run tell each other beside gradients."""

from typing import Any

from torch import distributed


def of_all(own: Any) -> list[Any]:
    """``own`` of every process, in the order of ranks; all must ask at the same time."""
    if not distributed.is_initialized():
        return [own]
    gathered: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(gathered, own)
    return gathered
