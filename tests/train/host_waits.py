"""Where code asks for a tensor's values, for which the host would wait for a GPU."""

import sys
from collections import defaultdict
from pathlib import Path

from lightning.pytorch.callbacks import Callback
from torch.overrides import TorchFunctionMode

import animelm.train

_WAITING = {"item", "tolist", "cpu", "numpy", "nonzero", "__array__", "__bool__", "__contains__"}
_WAITING |= {"__float__", "__int__", "__index__", "new_tensor"}
_OWN = Path(animelm.train.__file__).parent


class HostWaits(TorchFunctionMode):
    """Names of such calls from the room ``train``, by optimizer step; a callback tells the step."""

    def __init__(self) -> None:
        super().__init__()
        self.by_step: dict[int, list[str]] = defaultdict(list)
        self.step = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "")
        if name in _WAITING and _OWN in Path(sys._getframe(1).f_code.co_filename).parents:
            self.by_step[self.step].append(name)
        return func(*args, **(kwargs or {}))


class TellsTheStep(Callback):
    """Comes first, so that what others do at the end of a batch belongs to that batch's step."""

    def __init__(self, waits: HostWaits) -> None:
        self.waits = waits

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.waits.step = trainer.global_step + 1
