"""The state of torch's random numbers, which dropout draws from.

Kept in a checkpoint, it lets a resumed run draw the masks that the first run would have drawn.
"""

from typing import Any

import torch


def random_state() -> dict[str, Any]:
    """The states of the CPU's generator and of every CUDA device's, uint8 tensors."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def set_random_state(state: dict[str, Any]) -> None:
    """Puts back what ``random_state`` returned; other devices than then keep their own."""
    torch.set_rng_state(state["cpu"])
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
